//! The counts of all clients together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kind::Traits;
use crate::ledger::{Fault, FaultKind};

/// How many faults are printed in full.
const DETAILS: usize = 20;

#[derive(Default)]
pub(crate) struct Tally {
    counts: Mutex<Counts>,
}

impl Tally {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a fault. For the first ones it prints the client's last acts too.
    pub(crate) fn fault<'a>(
        &self,
        client: usize,
        kind: &Traits,
        fault: &Fault,
        diary: impl Iterator<Item = &'a str>,
    ) {
        let mut counts = self.lock();
        *counts.faults.entry(fault.kind).or_default() += fault.events;
        counts.kinds.entry(kind.name).or_default().faults += fault.events;
        counts.fault_count += 1;
        if counts.fault_count <= DETAILS {
            let Fault {
                kind: what, detail, ..
            } = fault;
            eprintln!("client {client} ({}): {what:?}: {detail}", kind.name);
            diary.for_each(|note| eprintln!("  {note}"));
        }
    }
}

/// The counts for the clients of one kind.
#[derive(Default)]
pub(crate) struct OfKind {
    pub(crate) clients: u64,
    pub(crate) connections: u64,
    pub(crate) resumes: u64,
    pub(crate) received: u64,
    /// How often they learned that no more events will come.
    pub(crate) ends: u64,
    /// How often they came back after that.
    pub(crate) over: u64,
    /// How often they had to begin anew.
    pub(crate) gone: u64,
    /// How often they had to come back later.
    pub(crate) busy: u64,
    pub(crate) snapshots: u64,
    /// Events, or whatever else a fault concerns.
    pub(crate) faults: u64,
}

impl fmt::Display for OfKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clients,
            connections,
            resumes,
            received,
            ..
        } = self;
        write!(f, "{clients} clients, {connections} connections, ")?;
        write!(f, "of which {resumes} resumed; {received} events")?;
        let some = [
            ("ends", self.ends),
            ("times 204", self.over),
            ("times 410", self.gone),
            ("times 503", self.busy),
            ("snapshots", self.snapshots),
            ("FAULTS", self.faults),
        ];
        for (name, count) in some.iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) kinds: BTreeMap<&'static str, OfKind>,
    pub(crate) private: u64,
    pub(crate) keep_alives: u64,
    /// The acts of clients, by name.
    pub(crate) acts: BTreeMap<&'static str, u64>,
    /// Resets by reason.
    pub(crate) resets: BTreeMap<String, u64>,
    /// How the server ended connections.
    pub(crate) ends: BTreeMap<String, u64>,
    /// Events, or whatever else a fault concerns, by kind.
    pub(crate) faults: BTreeMap<FaultKind, u64>,
    fault_count: usize,
    pub(crate) latency: Histogram,
    /// Latencies in the middle third of the time.
    pub(crate) middle: Histogram,
}

impl Counts {
    pub(crate) fn total(&self, count: impl Fn(&OfKind) -> u64) -> u64 {
        self.kinds.values().map(count).sum()
    }

    pub(crate) fn arrived(&mut self, age: Duration, is_middle: bool) {
        self.latency.add(age);
        if is_middle {
            self.middle.add(age);
        }
    }

    pub(crate) fn act(&mut self, name: &'static str) {
        *self.acts.entry(name).or_default() += 1;
    }

    pub(crate) fn reset(&mut self, reason: String) {
        *self.resets.entry(reason).or_default() += 1;
    }

    pub(crate) fn end(&mut self, how: String) {
        *self.ends.entry(how).or_default() += 1;
    }

    pub(crate) fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults.get(&kind).copied().unwrap_or(0)
    }
}

/// Counts of durations, in buckets that differ by about a tenth.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: BTreeMap<u32, u64>,
    total: u64,
    longest: u64,
}

const PER_OCTAVE: f64 = 8.0;

impl Histogram {
    pub(crate) fn add(&mut self, duration: Duration) {
        let micros = duration.as_micros() as u64;
        let bucket = (micros.max(1) as f64).log2() * PER_OCTAVE;
        *self.buckets.entry(bucket as u32).or_default() += 1;
        self.total += 1;
        self.longest = self.longest.max(micros);
    }

    /// Returns the duration that this share of them did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.total as f64 * part) as u64;
        let mut passed = 0;
        for (bucket, count) in &self.buckets {
            passed += count;
            if passed >= wanted {
                let micros = (f64::from(bucket + 1) / PER_OCTAVE).exp2();
                return Duration::from_micros(micros as u64);
            }
        }
        self.longest()
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_to_about_a_tenth() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        let median = histogram.quantile(0.5).as_micros();
        assert!((500..560).contains(&median), "{median}");
        assert_eq!(histogram.longest().as_micros(), 1_000);
    }
}
