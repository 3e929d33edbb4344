//! The events that a backplane hands to a hub, and the sink that receives them.

use std::fmt;
use std::sync::Arc;

use helios_core::hub::EventId;

use super::questions::{PastEvent, Status};

/// A message from a backplane to a hub.
///
/// ```
/// use helios::backplane::BackplaneEvent;
/// use helios::sse::EventId;
///
/// // The link broke, and is up again.
/// let torn = BackplaneEvent::torn(EventId::new(1, 7));
/// # assert!(matches!(torn, BackplaneEvent::Torn { newest, .. } if newest.seq() == 7));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackplaneEvent<'a> {
    /// An event was published.
    #[non_exhaustive]
    Event {
        /// The topic.
        topic: &'a str,
        /// The event.
        event: PastEvent,
        /// The id of the topic's previous event. `None` if there was none, or if it is not known. In that case the hub
        /// cannot notice the loss of the previous event.
        prev: Option<EventId>,
    },
    /// Events of this topic may be missing here.
    #[non_exhaustive]
    Gap {
        /// The topic.
        topic: &'a str,
        /// As in [`Self::Torn`].
        newest: EventId,
    },
    /// Events of any watched topic may be missing here, because the link broke. This is not the same as a [`Self::Gap`]
    /// for each topic in turn. A reader of two topics must not continue in one while the loss in the other is still
    /// unknown.
    #[non_exhaustive]
    Torn {
        /// The newest id that was assigned at this place among the events. Every later event of a watched topic will be
        /// handed over, and no event up to this id will be any more.
        newest: EventId,
    },
    /// The status of the backplane has changed. If a link may have lost events before it came up again, it also hands
    /// over [`Self::Torn`].
    Link(Status),
}

impl<'a> BackplaneEvent<'a> {
    /// Creates the message for an event that was published to a topic after its event `prev`.
    #[must_use]
    pub const fn event(topic: &'a str, event: PastEvent, prev: Option<EventId>) -> Self {
        Self::Event { topic, event, prev }
    }

    /// Creates the message that events of a topic may be missing up to this id.
    #[must_use]
    pub const fn gap(topic: &'a str, newest: EventId) -> Self {
        Self::Gap { topic, newest }
    }

    /// Creates the message that events of all topics may be missing up to this id.
    #[must_use]
    pub const fn torn(newest: EventId) -> Self {
        Self::Torn { newest }
    }
}

/// The sink to which a backplane hands events for a hub. It is cheap to clone, and accepts events in order.
///
/// ```
/// use helios::backplane::{BackplaneEvent, BackplaneSink, PastEvent};
///
/// async fn deliver(mut link: tokio::sync::mpsc::Receiver<(String, PastEvent)>, sink: BackplaneSink) {
///     while let Some((topic, event)) = link.recv().await {
///         if !sink.accept(BackplaneEvent::event(&topic, event, None)) {
///             return; // the hub was dropped
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct BackplaneSink {
    accept: Arc<dyn Fn(BackplaneEvent<'_>) -> bool + Send + Sync>,
}

impl BackplaneSink {
    /// Creates a sink of your own, for tests of a backplane or to stand between a backplane and its hub. `accept`
    /// returns whether it still accepts events.
    #[must_use]
    pub fn new(accept: impl Fn(BackplaneEvent<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self {
            accept: Arc::new(accept),
        }
    }

    /// Hands an event to the hub. Never waits, and calls nothing of the backplane before it returns. Returns false if
    /// the hub was dropped, so that the link may end.
    pub fn accept(&self, event: BackplaneEvent<'_>) -> bool {
        (self.accept)(event)
    }
}

impl fmt::Debug for BackplaneSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackplaneSink")
    }
}
