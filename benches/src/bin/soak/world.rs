//! What all clients share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::jobs::Jobs;
use crate::post::Mark;
use crate::tally::Tally;

/// How clients are to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Unruly,
    /// All come, stay, and read.
    Orderly,
    /// All check what they have, and go.
    Over,
}

pub(crate) struct World {
    pub(crate) server: SocketAddr,
    pub(crate) started: Instant,
    pub(crate) tally: Tally,
    /// As the server told them a moment ago.
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

    /// Whether it is the middle third of the time, in which hostile peers attack.
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

    /// Nothing was published after these.
    pub(crate) fn end(&self, marks: HashMap<String, Mark>) {
        // It ends once.
        let _ = self.marks.set(Arc::new(marks));
        self.phase.send_replace(Phase::Over);
    }

    /// What all topics have come to in the end.
    pub(crate) fn marks(&self) -> Arc<HashMap<String, Mark>> {
        self.marks.get().cloned().unwrap_or_default()
    }

    /// Waits until this phase is over.
    pub(crate) async fn after(&self, phase: Phase) {
        let mut changes = self.phase.subscribe();
        // The sender lives as long as this.
        let _ = changes.wait_for(|now| *now > phase).await;
    }
}
