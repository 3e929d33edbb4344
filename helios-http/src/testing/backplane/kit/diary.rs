//! The events that one client has seen, over all its connections.

use std::fmt;
use std::sync::Arc;

use helios_core::decode::DecodedEvent;
use helios_core::hub::EventId;
use helios_core::sse::END_MARK;

use super::ledger::Mark;
use super::report::said;

/// A step in what a client has seen. Ids are those that an event itself carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The previous connection has ended, and a connection to this node begins. The id is the node's head after the
    /// topics were joined.
    Connected(usize, EventId),
    Ready(Option<EventId>),
    Reset {
        id: Option<EventId>,
        reason: String,
        topics: Vec<String>,
    },
    Event(Option<EventId>, Mark),
    /// Its topics have ended.
    End,
    /// An event that is not the kit's.
    Unknown(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(node, _) => write!(f, "connected to node {node}"),
            Self::Ready(id) => write!(f, "ready at {}", said(*id)),
            Self::Reset { id, reason, topics } => {
                let topics = topics.join(" and ");
                write!(f, "reset ({reason}) of {topics} at {}", said(*id))
            }
            Self::Event(id, mark) => write!(f, "{} at {}", mark.text(), said(*id)),
            Self::End => f.write_str("end"),
            Self::Unknown(what) => f.write_str(what),
        }
    }
}

/// The events that one client has seen.
#[derive(Debug)]
pub(super) struct Diary {
    pub(super) topics: Vec<Arc<str>>,
    pub(super) steps: Vec<Step>,
    /// The id that it sends when it comes back.
    pub(super) last: Option<EventId>,
    pub(super) is_over: bool,
}

impl Diary {
    pub(super) fn new(topics: Vec<Arc<str>>) -> Self {
        Self {
            topics,
            steps: Vec::new(),
            last: None,
            is_over: false,
        }
    }

    pub(super) fn take(&mut self, event: &DecodedEvent) {
        let own = event.has_own_id && !event.id.is_empty() && event.id != END_MARK;
        let id = match own.then(|| event.id.parse()) {
            Some(Ok(id)) => Some(id),
            Some(Err(_)) => return self.steps.push(Step::Unknown(format!("{event:?}"))),
            None => None,
        };
        self.last = id.or(self.last);
        let step = match &*event.event {
            "helios:ready" => Step::Ready(id),
            "helios:reset" => reset(id, &event.data),
            "helios:end" => {
                self.is_over = true;
                Step::End
            }
            "helios:reconnect" | "helios:overloaded" | "helios:stale" => return,
            "message" => match Mark::parse(&event.data) {
                Some(mark) => Step::Event(id, mark),
                None => Step::Unknown(format!("{event:?}")),
            },
            _ => Step::Unknown(format!("{event:?}")),
        };
        self.steps.push(step);
    }

    pub(super) fn resets(&self) -> usize {
        let is_reset = |step: &&Step| matches!(step, Step::Reset { .. });
        self.steps.iter().filter(is_reset).count()
    }
}

fn reset(id: Option<EventId>, data: &str) -> Step {
    #[derive(serde::Deserialize)]
    struct Reset {
        reason: String,
        topics: Vec<String>,
    }
    match serde_json::from_str::<Reset>(data) {
        Ok(Reset { reason, topics }) => Step::Reset { id, reason, topics },
        Err(error) => Step::Unknown(format!("{data}: {error}")),
    }
}
