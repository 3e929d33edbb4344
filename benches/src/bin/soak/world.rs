//! State shared by all clients.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::jobs::Jobs;
use crate::post::Mark;
use crate::tally::Tally;

/// How clients behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Unruly,
    /// All clients connect, stay, and read.
    Orderly,
    /// All clients check what they have, and leave.
    Over,
}

pub(crate) struct World {
    pub(crate) server: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) tally: Tally,
    /// The jobs, as the server reported them a moment ago.
    pub(crate) jobs: Jobs,
    is_middle: AtomicBool,
    phase: watch::Sender<Phase>,
    marks: OnceLock<Arc<HashMap<String, Mark>>>,
}

impl World {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            started: Instant::now(),
            tally: Tally::default(),
            jobs: Jobs::default(),
            is_middle: AtomicBool::new(false),
            phase: watch::Sender::new(Phase::Unruly),
            marks: OnceLock::new(),
        }
    }

    /// Returns whether it is the middle third of the time, in which hostile peers attack.
    pub(crate) fn is_middle(&self) -> bool {
        self.is_middle.load(Ordering::Relaxed)
    }

    pub(crate) fn set_middle(&self, is_middle: bool) {
        self.is_middle.store(is_middle, Ordering::Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn behave(&self) {
        self.phase.send_replace(Phase::Orderly);
    }

    /// Records the last event of each topic, after the last publish.
    pub(crate) fn end(&self, marks: HashMap<String, Mark>) {
        // This can fail only if it was recorded before.
        let _ = self.marks.set(Arc::new(marks));
        self.phase.send_replace(Phase::Over);
    }

    /// Returns the last event of each topic.
    pub(crate) fn marks(&self) -> Arc<HashMap<String, Mark>> {
        self.marks.get().cloned().unwrap_or_default()
    }

    /// Waits until this phase is over.
    pub(crate) async fn after(&self, phase: Phase) {
        let mut changes = self.phase.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = changes.wait_for(|now| *now > phase).await;
    }
}
