//! How a client follows topics that end.

use std::time::Duration;

use tokio::time::Instant;

use super::Life;
use crate::jobs::Job;
use crate::ledger::Start;
use crate::post::now;
use crate::stream::{End, Stream};
use crate::world::Phase;

/// How soon a reading client must learn of the end of its topics.
const HANGS_AFTER: Duration = Duration::from_secs(10);
/// How close to the end of a job a client connects to meet it, in microseconds.
const NEAR: u64 = 10_000;

impl Life {
    /// Continues with its jobs, or picks new ones.
    pub(super) async fn choose_jobs(&mut self) {
        if !self.has_kept_jobs() && !self.ledger.topics().is_empty() {
            self.act("gave up a job");
            self.forget();
        }
        let anew = !self.is_over && self.rng.u32(..5) == 0;
        let goes_on = !self.ledger.topics().is_empty() && !anew;
        if self.world.phase() != Phase::Unruly || goes_on {
            return;
        }
        let mut jobs = self.world.jobs.all();
        jobs.retain(|job| job.is_kept(now()));
        self.rng.shuffle(&mut jobs);
        jobs.truncate(self.rng.usize(1..=2));
        if self.rng.u32(..3) == 0 {
            self.meet_the_end(&jobs).await;
            // Another of the jobs may have become too old in the meantime.
            jobs.retain(|job| self.is_kept(&job.topic));
        }
        let begins = match self.rng.bool() {
            true => Start::Earliest,
            false => Start::Now,
        };
        self.forget();
        let topics = jobs.into_iter().map(|job| job.topic);
        self.ledger.begin_with(topics, begins);
    }

    /// Waits until about the time at which the first of the jobs ends.
    async fn meet_the_end(&mut self, jobs: &[Job]) {
        let running = jobs.iter().filter(|job| job.finished_at.is_none());
        if let Some(ends_at) = running.map(|job| job.ends_at).min() {
            let near = ends_at + self.rng.u64(..2 * NEAR);
            let left = near.saturating_sub(now() + NEAR);
            self.act("met an end");
            self.pause(Duration::from_micros(left)).await;
        }
    }

    /// Returns whether the server is sure to know how the jobs ended.
    fn has_kept_jobs(&self) -> bool {
        let topics = self.ledger.topics();
        topics.iter().all(|topic| self.is_kept(topic))
    }

    fn is_kept(&self, topic: &str) -> bool {
        let job = self.world.jobs.get(topic);
        job.is_some_and(|job| job.is_kept(now()))
    }

    /// Returns whether all of its topics have ended.
    fn is_end_due(&self) -> bool {
        let ended = |topic: &&str| {
            let job = self.world.jobs.get(topic);
            job.is_none_or(|job| job.finished_at.is_some())
        };
        self.kind.jobs && self.ledger.topics().iter().all(ended)
    }

    /// Reads until the end arrives, if it is due.
    pub(super) async fn await_end(&mut self, stream: &mut Stream) -> Result<(), End> {
        if !self.is_end_due() {
            return Ok(());
        }
        let due = Instant::now() + HANGS_AFTER;
        self.read_until(stream, due, Phase::Unruly).await?;
        if self.world.phase() == Phase::Unruly {
            self.hangs();
        }
        Ok(())
    }

    /// Reports a fault if the jobs ended long ago and the client has followed them since.
    pub(super) fn was_to_be_over(&mut self) {
        let is_long = self.arrived.elapsed() > HANGS_AFTER;
        if self.is_end_due() && is_long {
            self.hangs();
        }
    }

    fn hangs(&mut self) {
        let fault = self.ledger.hangs();
        self.fault(&fault);
        self.forget();
    }

    /// Records that the server has reported the end.
    pub(super) fn told_end(&mut self) {
        self.is_over = true;
        self.count(|counts| counts.ends += 1);
        for fault in self.ledger.over() {
            self.fault(&fault);
        }
    }

    pub(super) fn forget(&mut self) {
        self.is_over = false;
        self.ledger.forget();
    }
}
