//! Topics that end: what their publishers tell of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::post::now;
use crate::server::RETENTION;

/// A client that comes in the last moment of a job's history may find it gone.
const LAST_MOMENT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) topic: String,
    /// When it is to be finished.
    pub(crate) ends_at: u64,
    /// When it was.
    pub(crate) finished_at: Option<u64>,
}

impl Job {
    /// Whether the server knows that it has ended, or will see it end: later its name is free again.
    pub(crate) fn is_kept(&self, now: u64) -> bool {
        let since = |at: u64| Duration::from_micros(now.saturating_sub(at));
        self.finished_at
            .is_none_or(|at| since(at) < RETENTION - LAST_MOMENT)
    }
}

/// The jobs that a client may ask for.
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

    /// Notes that it has ended, and forgets those that nobody may ask for any more.
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
    fn a_job_is_asked_for_until_its_end_is_about_to_be_forgotten() {
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
