//! The result of a run.

use std::fmt;

use helios_core::hub::EventId;

/// The most faults of one kind that a report describes.
const MOST: usize = 8;

/// A summary of a run, with the faults that it has found. Its `Display` lists them, with the seed that repeats the run.
///
/// ```
/// use helios::testing::backplane::{InMemory, Kit};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let report = Kit::new(7).lasting(Duration::from_millis(300)).run(InMemory::new()).await;
/// println!("{report}");
/// assert!(report.is_clean() && report.to_string().contains("seed 7"));
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The seed of the run's random choices.
    pub seed: u64,
    /// The guarantees that were tested alone.
    pub scenarios: Vec<&'static str>,
    /// The number of storms, each followed by a calm.
    pub rounds: u64,
    /// Events that were certainly published.
    pub events: u64,
    /// Connections of clients.
    pub connections: u64,
    /// Resets that clients received.
    pub resets: u64,
    /// The broken guarantees, with the first faults of each kind.
    pub faults: Vec<Fault>,
    /// The number of all faults.
    pub faults_found: usize,
}

/// A broken guarantee.
///
/// ```
/// use helios::testing::backplane::{FaultKind, Report};
///
/// fn loses_events(report: &Report) -> bool {
///     report.faults.iter().any(|fault| fault.kind == FaultKind::Missed)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fault {
    /// Which guarantee.
    pub kind: FaultKind,
    /// The seed of a run that begins with the part that found it.
    pub seed: u64,
    /// A description of what happened.
    pub what: String,
}

/// The guarantee that is broken.
///
/// ```
/// use helios::testing::backplane::FaultKind;
///
/// assert_eq!(FaultKind::WatchPlace.to_string(), "an answer to `watch` out of its place");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Ids do not ascend.
    Order,
    /// An id names two events, or an event has two ids.
    Id,
    /// A published event was neither seen nor covered by a reset.
    Missed,
    /// An event that was not published appears.
    NotPublished,
    /// An event appears that was never published, or appears again, or in the wrong topic.
    Invented,
    /// An event with the same key was published twice.
    Key,
    /// An event follows the end of a topic.
    BehindEnd,
    /// An end is missing, or is reported for a topic that has none.
    End,
    /// Clients do not reach the newest event in time, without any trouble.
    Stuck,
    /// A client was reset without need.
    Reset,
    /// Ids of another sequence appear without notice, or an old sequence comes back.
    Epoch,
    /// History does not contain what was published.
    History,
    /// An event names the wrong previous event.
    Prev,
    /// An answer to `watch` is not in its place.
    WatchPlace,
    /// An event of a topic that is not watched any more is handed over.
    Unwatch,
    /// A lease is not as it should be.
    Lease,
    /// The members of a topic are not as they should be.
    Members,
    /// A call fails without any trouble.
    Failed,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "ids that do not ascend",
            Self::Id => "an id shared by several events",
            Self::Missed => "an event missed without notice",
            Self::NotPublished => "an event whose publish had failed",
            Self::Invented => "an event that was never published like this",
            Self::Key => "a key that was ignored",
            Self::BehindEnd => "an event behind the end of its topic",
            Self::End => "a wrong or missing end",
            Self::Stuck => "a client that makes no progress",
            Self::Reset => "a needless reset",
            Self::Epoch => "ids of another sequence",
            Self::History => "a history that differs from what was published",
            Self::Prev => "a wrong `prev`",
            Self::WatchPlace => "an answer to `watch` out of its place",
            Self::Unwatch => "an event of an unwatched topic",
            Self::Lease => "a wrong lease",
            Self::Members => "wrong members of a topic",
            Self::Failed => "a failure without any trouble",
        })
    }
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            scenarios: Vec::new(),
            rounds: 0,
            events: 0,
            connections: 0,
            resets: 0,
            faults: Vec::new(),
            faults_found: 0,
        }
    }

    /// Adds the faults found in a part of the run that began with this seed.
    pub(super) fn add(&mut self, seed: u64, found: Vec<Found>) {
        self.faults_found += found.len();
        for (kind, what) in found {
            let of_kind = self.faults.iter().filter(|fault| fault.kind == kind);
            if of_kind.count() < MOST {
                self.faults.push(Fault { kind, seed, what });
            }
        }
    }

    /// Whether no fault was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults_found == 0
    }

    /// Whether a fault of this kind was found.
    #[must_use]
    pub fn has(&self, kind: FaultKind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }

    /// Panics with the whole report if a fault was found.
    ///
    /// # Panics
    ///
    /// If a fault was found.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

/// A fault, before the part that found it is known.
pub(super) type Found = (FaultKind, String);

/// Formats an id for a fault.
pub(super) fn said(id: Option<EventId>) -> String {
    id.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            rounds,
            events,
            connections,
            resets,
            ..
        } = self;
        for scenario in &self.scenarios {
            writeln!(f, "seed {seed}: {scenario}")?;
        }
        write!(
            f,
            "seed {seed}: {rounds} rounds, {events} events, {connections} connections, {resets} resets: "
        )?;
        match self.faults_found {
            0 => write!(f, "no fault"),
            found => write!(f, "{found} faults"),
        }?;
        for Fault { kind, seed, what } in &self.faults {
            write!(f, "\n  seed {seed}: {kind}: {what}")?;
        }
        match self.faults_found - self.faults.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
