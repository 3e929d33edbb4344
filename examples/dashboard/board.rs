//! The rules of the job queue, without a task or a clock.

use std::ops::Range;

use helios::prelude::{HttpError, JsonSchema};
use serde::{Deserialize, Serialize};

/// The most jobs that wait or run at a time.
const UNFINISHED: usize = 8;

/// The most finished jobs that pages show.
const FINISHED: usize = 12;

/// The jobs that a page shows, in the order of their start.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Board(Vec<Job>);

/// A job counts the primes below a number, in a hundred slices.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) below: u32,
    pub(crate) state: State,
    /// The slices that are done.
    pub(crate) percent: u32,
    /// The primes found in them.
    pub(crate) found: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Queued,
    Running,
    Done,
    Cancelled,
}

impl Job {
    fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Cancelled)
    }

    /// Returns the numbers of the next slice.
    pub(crate) fn slice(&self) -> Range<u32> {
        let start = |percent: u32| (u64::from(self.below) * u64::from(percent) / 100) as u32;
        start(self.percent)..start(self.percent + 1)
    }
}

impl Board {
    /// Queues the jobs that were running when the server stopped. Their finished slices count.
    pub(crate) fn restarted(&mut self) {
        for job in &mut self.0 {
            if job.state == State::Running {
                job.state = State::Queued;
            }
        }
    }

    pub(crate) fn jobs(&self) -> &[Job] {
        &self.0
    }

    pub(crate) fn start(&mut self, below: u32) -> Result<Job, HttpError> {
        if self.unfinished() >= UNFINISHED {
            let detail = format!("{UNFINISHED} jobs are not done yet: cancel one, or wait");
            return Err(HttpError::too_many_requests(detail));
        }
        let job = Job {
            id: self.0.last().map_or(1, |last| last.id + 1),
            below,
            state: State::Queued,
            percent: 0,
            found: 0,
        };
        self.0.push(job.clone());
        self.forget();
        Ok(job)
    }

    pub(crate) fn cancel(&mut self, id: u64) -> Result<Job, HttpError> {
        let job = self.find(id);
        let job = job.ok_or_else(|| HttpError::not_found("there is no such job"))?;
        if job.is_over() {
            return Err(HttpError::conflict("the job is over"));
        }
        job.state = State::Cancelled;
        Ok(job.clone())
    }

    /// Takes the next job to work at.
    pub(crate) fn take(&mut self) -> Option<Job> {
        let job = self.0.iter_mut().find(|job| job.state == State::Queued)?;
        job.state = State::Running;
        Some(job.clone())
    }

    /// Adds the result of a slice. Returns `None` if the job was cancelled meanwhile.
    pub(crate) fn advance(&mut self, id: u64, found: u32) -> Option<Job> {
        let job = self.find(id).filter(|job| job.state == State::Running)?;
        job.percent += 1;
        job.found += found;
        if job.percent == 100 {
            job.state = State::Done;
        }
        Some(job.clone())
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.0.iter().filter(|job| !job.is_over()).count()
    }

    fn find(&mut self, id: u64) -> Option<&mut Job> {
        self.0.iter_mut().find(|job| job.id == id)
    }

    fn forget(&mut self) {
        let mut surplus = (self.0.len() - self.unfinished()).saturating_sub(FINISHED);
        self.0.retain(|job| {
            let forgotten = surplus > 0 && job.is_over();
            surplus -= usize::from(forgotten);
            !forgotten
        });
    }
}
