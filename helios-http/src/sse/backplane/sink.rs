//! What a backplane hands to a hub, and where.

use std::fmt;
use std::sync::Arc;

use helios_core::hub::EventId;

use super::questions::{PastEvent, Status};

/// What a backplane hands to a hub.
///
/// ```
/// use helios::backplane::BackplaneEvent;
/// use helios::sse::EventId;
///
/// // The link was torn, and is up again.
/// let torn = BackplaneEvent::torn(EventId::new(1, 7));
/// # assert!(matches!(torn, BackplaneEvent::Torn { newest, .. } if newest.seq() == 7));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BackplaneEvent<'a> {
    /// Something was published.
    #[non_exhaustive]
    Event {
        /// Where.
        topic: &'a str,
        /// What.
        event: PastEvent,
        /// The id of the topic's event before it. `None` if there was none, or if it is not known: then nothing shows
        /// that an event before this one was lost.
        prev: Option<EventId>,
    },
    /// Events of this topic may be missing here.
    #[non_exhaustive]
    Gap {
        /// Which.
        topic: &'a str,
        /// As in [`Self::Torn`].
        newest: EventId,
    },
    /// Events of any watched topic may be missing here: the link was torn. This is not the same as a [`Self::Gap`] for each
    /// topic in turn: a reader of two topics must not go on in the one while the loss in the other is not known yet.
    #[non_exhaustive]
    Torn {
        /// The newest id given out at this place in what the link carries: every greater one of a watched topic will be
        /// handed over, and what is up to it will not any more.
        newest: EventId,
    },
    /// The backplane is reached in another way than before. A link that comes up again after it may have lost something says
    /// [`Self::Torn`], too.
    Link(Status),
}

impl<'a> BackplaneEvent<'a> {
    /// Something was published to a topic, behind its event `prev`.
    #[must_use]
    pub const fn event(topic: &'a str, event: PastEvent, prev: Option<EventId>) -> Self {
        Self::Event { topic, event, prev }
    }

    /// Events of a topic may be missing up to this id.
    #[must_use]
    pub const fn gap(topic: &'a str, newest: EventId) -> Self {
        Self::Gap { topic, newest }
    }

    /// Events of all topics may be missing up to this id.
    #[must_use]
    pub const fn torn(newest: EventId) -> Self {
        Self::Torn { newest }
    }
}

/// Where a backplane hands events to a hub. It is cheap to clone; what is handed to it is taken in order.
///
/// ```
/// use helios::backplane::{BackplaneEvent, BackplaneSink, PastEvent};
///
/// async fn deliver(mut link: tokio::sync::mpsc::Receiver<(String, PastEvent)>, sink: BackplaneSink) {
///     while let Some((topic, event)) = link.recv().await {
///         if !sink.accept(BackplaneEvent::event(&topic, event, None)) {
///             return; // the hub is gone
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct BackplaneSink {
    accept: Arc<dyn Fn(BackplaneEvent<'_>) -> bool + Send + Sync>,
}

impl BackplaneSink {
    /// A sink of one's own, for tests of a backplane or to stand between one and its hub. It says whether it still takes events.
    #[must_use]
    pub fn new(accept: impl Fn(BackplaneEvent<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self {
            accept: Arc::new(accept),
        }
    }

    /// Takes an event in. It never waits, and calls nothing of the backplane before it returns. False when the hub is gone, and the
    /// link may end.
    pub fn accept(&self, event: BackplaneEvent<'_>) -> bool {
        (self.accept)(event)
    }
}

impl fmt::Debug for BackplaneSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackplaneSink")
    }
}
