//! Topics that end, as their publishers report them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::post::now;
use crate::server::RETENTION;

/// If a client joins this late in the history of a job, the history may have expired.
const LAST_MOMENT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) topic: String,
    /// When the job is to finish.
    pub(crate) ends_at: u64,
    /// When it did finish.
    pub(crate) finished_at: Option<u64>,
}

impl Job {
    /// Returns whether the server knows that the job has ended, or will see it end. Later the name is free again.
    pub(crate) fn is_kept(&self, now: u64) -> bool {
        let since = |at: u64| Duration::from_micros(now.saturating_sub(at));
        self.finished_at
            .is_none_or(|at| since(at) < RETENTION - LAST_MOMENT)
    }
}

/// The jobs that a client may follow.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<Vec<Job>>);

impl Jobs {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Job>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn all(&self) -> Vec<Job> {
        self.change(|jobs| jobs.clone())
    }

    pub(crate) fn set(&self, all: Vec<Job>) {
        self.change(|jobs| *jobs = all);
    }

    pub(crate) fn get(&self, topic: &str) -> Option<Job> {
        self.change(|jobs| jobs.iter().find(|job| job.topic == topic).cloned())
    }

    pub(crate) fn begun(&self, topic: String, ends_at: u64) {
        let finished_at = None;
        let job = Job {
            topic,
            ends_at,
            finished_at,
        };
        self.change(|jobs| jobs.push(job));
    }

    /// Records the end of a job, and forgets jobs that clients may no longer follow.
    pub(crate) fn finished(&self, topic: &str) {
        let now = now();
        self.change(|jobs| {
            let job = jobs.iter_mut().find(|job| job.topic == topic);
            if let Some(job) = job {
                job.finished_at = Some(now);
            }
            jobs.retain(|job| job.is_kept(now));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_offered_until_its_end_is_nearly_forgotten() {
        let jobs = Jobs::default();
        jobs.begun("a".to_owned(), now());
        jobs.begun("b".to_owned(), now());
        jobs.finished("a");
        let job = jobs.get("a").unwrap();
        let later = |after: Duration| now() + after.as_micros() as u64;
        assert!(job.is_kept(now()));
        assert!(!job.is_kept(later(RETENTION - LAST_MOMENT)));
        assert!(jobs.get("b").unwrap().is_kept(later(10 * RETENTION)));
    }
}
