//! The kinds of clients: how each opens its stream, and which rules apply to it.

use fastrand::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Reads topics that never end, with control events.
    Full,
    /// Reads topics that never end, without control events.
    Plain,
    /// Reads topics that end, with control events.
    Job,
    /// Reads topics that end, without control events.
    PlainJob,
    /// Begins with a snapshot of its topics.
    Snapshot,
}

/// The differences between kinds.
#[derive(Debug)]
pub(crate) struct Traits {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// It gets no control events, so it learns everything from statuses and from how a response ends.
    pub(crate) plain: bool,
    /// Its topics end.
    pub(crate) jobs: bool,
    pub(crate) snapshots: bool,
    /// How many of a hundred clients are of this kind.
    share: u32,
}

const NONE: Traits = Traits {
    name: "",
    method: "GET",
    path: "/events",
    plain: false,
    jobs: false,
    snapshots: false,
    share: 0,
};

const FULL: Traits = Traits {
    name: "full",
    share: 40,
    ..NONE
};

const PLAIN: Traits = Traits {
    name: "plain",
    method: "POST",
    path: "/plain",
    plain: true,
    share: 20,
    ..NONE
};

const JOB: Traits = Traits {
    name: "job",
    jobs: true,
    share: 12,
    ..NONE
};

const PLAIN_JOB: Traits = Traits {
    name: "plain job",
    path: "/plain",
    plain: true,
    jobs: true,
    share: 8,
    ..NONE
};

const SNAPSHOT: Traits = Traits {
    name: "snapshot",
    path: "/snapshots/events",
    snapshots: true,
    share: 20,
    ..NONE
};

impl Kind {
    const ALL: [Self; 5] = [
        Self::Full,
        Self::Plain,
        Self::Job,
        Self::PlainJob,
        Self::Snapshot,
    ];

    pub(crate) fn traits(self) -> &'static Traits {
        match self {
            Self::Full => &FULL,
            Self::Plain => &PLAIN,
            Self::Job => &JOB,
            Self::PlainJob => &PLAIN_JOB,
            Self::Snapshot => &SNAPSHOT,
        }
    }

    /// Picks a kind at random, weighted by the shares.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        let shares = Self::ALL.iter().map(|kind| kind.traits().share);
        let all: u32 = shares.sum();
        let mut drawn = rng.u32(..all);
        for kind in Self::ALL {
            match drawn.checked_sub(kind.traits().share) {
                Some(left) => drawn = left,
                None => return kind,
            }
        }
        Self::Full
    }
}
