//! What joins the hubs of several servers.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use helios_core::hub::EventId;

use super::hub::Hub;
use crate::controller::BoxFuture;

/// What a backplane gives when it fails.
pub type BackplaneError = Box<dyn Error + Send + Sync>;

/// Stands before the hubs of several servers, so that what is published on one reaches the clients of all.
///
/// Each hub keeps rings of its own and serves its clients from them; the backplane numbers the events and carries them.
/// It gives out [`EventId`]s in one sequence for all topics, and hands events to each hub's [`BackplaneSink`] in the order
/// of their ids. **Unstable**: its methods may change in any release.
///
/// What is told to a sink must not overtake a loss: a link that was torn says [`BackplaneEvent::Gap`] for each watched
/// topic before it goes on. The `prev` of an event shows what a link did not notice itself.
pub trait Backplane: Send + Sync + 'static {
    /// Connects. Called once, before anything else; `sink` takes what arrives from then on. Gives the newest id that was
    /// given out.
    fn start(&self, sink: BackplaneSink) -> BoxFuture<'_, Result<EventId, BackplaneError>>;

    /// Publishes to all hubs that watch the topic, this one included, and gives the event's id.
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<EventId, BackplaneError>>;

    /// What was published to the topic after this id.
    fn history<'a>(
        &'a self,
        topic: &'a str,
        after: EventId,
    ) -> BoxFuture<'a, Result<History, BackplaneError>>;

    /// From now on the topic's events are to be handed to the sink. Gives the id of the newest event that will not be,
    /// if there is one.
    fn watch<'a>(
        &'a self,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Option<EventId>, BackplaneError>>;

    /// Nobody reads the topic here any more.
    fn unwatch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BackplaneError>>;
}

/// What a backplane remembers of a topic.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum History {
    /// Everything that was asked for, the oldest first.
    Events(Vec<PastEvent>),
    /// It does not reach back that far.
    Gone,
}

/// An event of a [`History`].
#[derive(Clone, Debug)]
pub struct PastEvent {
    /// Its id.
    pub id: EventId,
    /// What was published.
    pub bytes: Bytes,
}

/// What a backplane hands to a hub.
#[derive(Clone, Debug)]
pub enum BackplaneEvent {
    /// Something was published.
    Event {
        /// Where.
        topic: String,
        /// Its id.
        id: EventId,
        /// The id of the topic's event before it, if there was one.
        prev: Option<EventId>,
        /// What was published.
        bytes: Bytes,
    },
    /// Events of this topic may be missing from here on.
    Gap {
        /// Which.
        topic: String,
    },
}

/// Where a backplane hands events to a hub. It is cheap to clone; what is handed to it is taken in order.
#[derive(Clone)]
pub struct BackplaneSink {
    hub: Weak<Hub>,
}

impl BackplaneSink {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        Self {
            hub: Arc::downgrade(hub),
        }
    }

    /// Takes an event in. It never waits. False when the hub is gone, and the link may end.
    pub fn accept(&self, event: BackplaneEvent) -> bool {
        let Some(hub) = self.hub.upgrade() else {
            return false;
        };
        if let Some(relay) = hub.relay() {
            relay.accept(&hub, event);
        }
        true
    }
}

impl fmt::Debug for BackplaneSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackplaneSink")
    }
}
