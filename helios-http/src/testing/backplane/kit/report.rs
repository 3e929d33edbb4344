//! What a run has found.

use std::fmt;

use helios_core::hub::EventId;

/// Faults of one kind of which a report keeps the words.
const MOST: usize = 8;

/// What a run has done, and what it has found. Its `Display` says it in plain words, with the seed that begins it anew.
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
    /// What the run's luck follows from.
    pub seed: u64,
    /// What was tried by itself.
    pub scenarios: Vec<&'static str>,
    /// Times that a storm was followed by a calm.
    pub rounds: u64,
    /// Events published for certain.
    pub events: u64,
    /// Connections of clients.
    pub connections: u64,
    /// Resets that clients were told.
    pub resets: u64,
    /// What broke a promise: the first of each kind.
    pub faults: Vec<Fault>,
    /// Faults in all.
    pub faults_found: usize,
}

/// A broken promise.
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
    /// Which promise.
    pub kind: FaultKind,
    /// The seed of a run that begins with the part that found it.
    pub seed: u64,
    /// What happened.
    pub what: String,
}

/// Which promise is broken.
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
    /// What was published is neither seen nor told to be missing.
    Missed,
    /// What was not published appears.
    NotPublished,
    /// What nobody published appears, or appears again, or elsewhere.
    Invented,
    /// What was published with the same key is there twice.
    Key,
    /// Something is behind the end of a topic.
    BehindEnd,
    /// An end is missing, or is told of a topic that has none.
    End,
    /// Clients do not reach the newest event in time, though everything is well.
    Stuck,
    /// A client was reset for nothing.
    Reset,
    /// Ids of another sequence come without a word, or come back.
    Epoch,
    /// History is not what was published.
    History,
    /// An event names a wrong one before it.
    Prev,
    /// An answer to `watch` is not in its place.
    WatchPlace,
    /// What is not watched any more is handed over.
    Unwatch,
    /// A lease is not what it should be.
    Lease,
    /// Who is present is not who it should be.
    Members,
    /// It fails, though everything is well.
    Failed,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "ids that do not ascend",
            Self::Id => "an id that is not of one event alone",
            Self::Missed => "an event missed in silence",
            Self::NotPublished => "an event that was said not to be published",
            Self::Invented => "an event that nobody published so",
            Self::Key => "a key that did not count",
            Self::BehindEnd => "an event behind the end of its topic",
            Self::End => "a wrong or missing end",
            Self::Stuck => "a client that does not go on",
            Self::Reset => "a reset for nothing",
            Self::Epoch => "ids of another sequence",
            Self::History => "a history that is not what was published",
            Self::Prev => "a wrong `prev`",
            Self::WatchPlace => "an answer to `watch` out of its place",
            Self::Unwatch => "an event of an unwatched topic",
            Self::Lease => "a wrong lease",
            Self::Members => "wrong members of a topic",
            Self::Failed => "a failure though all is well",
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

    /// Notes what was found in a part that the seed begins.
    pub(super) fn add(&mut self, seed: u64, found: Vec<Found>) {
        self.faults_found += found.len();
        for (kind, what) in found {
            let of_kind = self.faults.iter().filter(|fault| fault.kind == kind);
            if of_kind.count() < MOST {
                self.faults.push(Fault { kind, seed, what });
            }
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults_found == 0
    }

    /// Whether something of this kind was found.
    #[must_use]
    pub fn has(&self, kind: FaultKind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }

    /// Panics with the whole report unless nothing was found.
    ///
    /// # Panics
    ///
    /// If there are faults.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

/// A fault before it is known which part has found it.
pub(super) type Found = (FaultKind, String);

/// An id in plain words.
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
