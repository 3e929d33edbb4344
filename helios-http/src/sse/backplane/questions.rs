//! The arguments and results of a backplane's calls.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use helios_core::hub::{EventId, HistoryLimits};
use helios_core::sse::NodeId;

use super::sink::BackplaneSink;

/// The arguments of [`Backplane::start`](super::Backplane::start).
#[derive(Clone)]
#[non_exhaustive]
pub struct Startup {
    /// The node that the backplane serves.
    pub node: NodeId,
    /// Receives the events that arrive.
    pub sink: BackplaneSink,
    /// The largest payload that is published, in bytes.
    pub largest_payload: usize,
    /// How long keys are remembered.
    pub keep_keys: Duration,
    limits: Arc<dyn Fn(&str) -> HistoryLimits + Send + Sync>,
}

impl Startup {
    /// Creates the arguments for a node with this sink. Everything else has its default.
    ///
    /// ```
    /// use helios::backplane::{BackplaneSink, NodeId, Startup};
    ///
    /// let node = NodeId::new(7).unwrap();
    /// let startup = Startup::new(node, BackplaneSink::new(|_| true));
    /// assert_eq!(startup.history_of("news").events, 4_096);
    /// ```
    #[must_use]
    pub fn new(node: NodeId, sink: BackplaneSink) -> Self {
        Self {
            node,
            sink,
            largest_payload: 256 * 1024 + 64,
            keep_keys: Duration::from_secs(120),
            limits: Arc::new(|_| HistoryLimits::default()),
        }
    }

    /// Sets how much of each topic is kept.
    #[must_use]
    pub fn with_limits(
        mut self,
        limits: impl Fn(&str) -> HistoryLimits + Send + Sync + 'static,
    ) -> Self {
        self.limits = Arc::new(limits);
        self
    }

    /// Returns how much of a topic is to be kept.
    #[must_use]
    pub fn history_of(&self, topic: &str) -> HistoryLimits {
        (self.limits)(topic)
    }
}

impl fmt::Debug for Startup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Startup")
            .field("node", &self.node)
            .field("largest_payload", &self.largest_payload)
            .field("keep_keys", &self.keep_keys)
            .finish_non_exhaustive()
    }
}

/// The result of [`Backplane::start`](super::Backplane::start).
///
/// ```
/// use helios::backplane::Started;
/// use helios::sse::EventId;
///
/// let of_a_new_sequence = Started::at(EventId::new(0xe, 0));
/// assert_eq!(of_a_new_sequence.newest.seq(), 0);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Started {
    /// The newest id that was assigned.
    pub newest: EventId,
}

impl Started {
    /// Creates a result that continues after this id.
    #[must_use]
    pub const fn at(newest: EventId) -> Self {
        Self { newest }
    }
}

/// An event to be published.
///
/// ```
/// use helios::backplane::Publish;
/// use helios::sse::HistoryLimits;
///
/// let publish = Publish::new("orders", "paid".into(), HistoryLimits::default()).with_key(Some("order-7-paid"));
/// assert_eq!(publish.topic, "orders");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Publish<'a> {
    /// The topic to publish to.
    pub topic: &'a str,
    /// The payload. It is opaque to the backplane.
    pub bytes: Bytes,
    /// How much of the topic is kept.
    pub limits: HistoryLimits,
    /// Whether it is the end of the topic.
    pub finishes: bool,
    /// The key of the event. Events with the same key in the same topic are published once within
    /// [`Startup::keep_keys`]. The first result counts for all of them, also after a restart of this node, on all
    /// nodes, and for an end with a key. Another epoch may begin without the keys.
    pub key: Option<&'a str>,
}

impl<'a> Publish<'a> {
    /// Creates an event for a topic.
    #[must_use]
    pub const fn new(topic: &'a str, bytes: Bytes, limits: HistoryLimits) -> Self {
        Self {
            topic,
            bytes,
            limits,
            finishes: false,
            key: None,
        }
    }

    /// Sets whether it is the end of the topic.
    #[must_use]
    pub const fn finishing(mut self, finishes: bool) -> Self {
        self.finishes = finishes;
        self
    }

    /// Sets the key.
    #[must_use]
    pub const fn with_key(mut self, key: Option<&'a str>) -> Self {
        self.key = key;
        self
    }
}

/// A request for a topic's history.
///
/// ```
/// use helios::backplane::{Ask, History, PastEvent};
/// use helios::sse::EventId;
///
/// let event = |seq| PastEvent::new(EventId::new(1, seq), std::time::SystemTime::now(), "text".into());
/// let log = [event(3), event(4), event(9)];
/// let of = |history| match history {
///     History::Events { events, more, .. } => (events.iter().map(|event| event.id.seq()).collect(), more),
///     _ => (vec![], false),
/// };
/// let after = Ask::after("news", EventId::new(1, 3)).at_most(1, 1 << 20);
/// assert_eq!(of(after.answer(&log[1..])), (vec![4], true));
/// let newest = Ask::newest("news").at_most(2, 1 << 20);
/// assert_eq!(of(newest.answer(&log)), (vec![4, 9], true));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Requests the events published after this id, the oldest first. `None` requests the newest events.
    pub after: Option<EventId>,
    /// The most events to return.
    pub events: usize,
    /// The most bytes to return, but at least one event.
    pub bytes: usize,
}

impl<'a> Ask<'a> {
    /// Requests all events after an id.
    #[must_use]
    pub const fn after(topic: &'a str, after: EventId) -> Self {
        Self {
            topic,
            after: Some(after),
            events: usize::MAX,
            bytes: usize::MAX,
        }
    }

    /// Requests the newest events.
    #[must_use]
    pub const fn newest(topic: &'a str) -> Self {
        Self {
            topic,
            after: None,
            events: usize::MAX,
            bytes: usize::MAX,
        }
    }

    /// Limits the request.
    #[must_use]
    pub const fn at_most(mut self, events: usize, bytes: usize) -> Self {
        self.events = events;
        self.bytes = bytes;
        self
    }

    /// Returns as much as is requested of `all`, which is everything remembered of the topic after [`Ask::after`], the
    /// oldest first.
    #[must_use]
    pub fn answer<'e, I>(&self, all: I) -> History
    where
        I: IntoIterator<Item = &'e PastEvent, IntoIter: DoubleEndedIterator>,
    {
        let mut all = all.into_iter();
        let (mut events, mut bytes) = (Vec::new(), 0_usize);
        let is_newest = self.after.is_none();
        let mut next = || match is_newest {
            true => all.next_back(),
            false => all.next(),
        };
        let mut more = false;
        while let Some(event) = next() {
            bytes = bytes.saturating_add(event.bytes.len());
            if events.len() >= self.events || (bytes > self.bytes && !events.is_empty()) {
                more = true;
                break;
            }
            events.push(event.clone());
        }
        if is_newest {
            events.reverse();
        }
        History::Events { events, more }
    }
}

/// The remembered events of a topic.
///
/// ```
/// use helios::backplane::History;
///
/// let nothing = History::events(Vec::new(), false);
/// assert!(matches!(nothing, History::Events { more: false, .. }));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum History {
    /// The requested events, the oldest first, without a gap. Empty if there are none.
    #[non_exhaustive]
    Events {
        /// The events.
        events: Vec<PastEvent>,
        /// Whether there are more than were requested, later ones, or earlier ones if the newest were requested.
        more: bool,
    },
    /// Some of the requested events may be forgotten.
    Gone,
}

impl History {
    /// Creates a history of these events, with whether there are more.
    #[must_use]
    pub const fn events(events: Vec<PastEvent>, more: bool) -> Self {
        Self::Events { events, more }
    }
}

/// An event as the backplane remembers it.
///
/// ```
/// use helios::backplane::PastEvent;
/// use helios::sse::EventId;
///
/// let event = PastEvent::new(EventId::new(1, 7), std::time::SystemTime::now(), "as it was published".into());
/// assert_eq!(event.id.seq(), 7);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PastEvent {
    /// Its id.
    pub id: EventId,
    /// When it was published.
    pub at: SystemTime,
    /// The payload that was published.
    pub bytes: Bytes,
}

impl PastEvent {
    /// Creates an event that was published at this time.
    #[must_use]
    pub const fn new(id: EventId, at: SystemTime, bytes: Bytes) -> Self {
        Self { id, at, bytes }
    }
}

/// The result of [`Backplane::watch`](super::Backplane::watch).
///
/// ```
/// use helios::backplane::{Watched, WatchedTopic};
/// use helios::sse::EventId;
///
/// let id = |seq| EventId::new(1, seq);
/// let watched = Watched::new(id(9), vec![WatchedTopic::new(Some(id(7)), None), WatchedTopic::default()]);
/// # assert_eq!(watched.topics.len(), 2);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Watched {
    /// The newest id of any topic that was assigned at this place among the events.
    pub newest: EventId,
    /// The state of each topic, in the order of the call.
    pub topics: Vec<WatchedTopic>,
}

impl Watched {
    /// Creates the result for these topics.
    #[must_use]
    pub const fn new(newest: EventId, topics: Vec<WatchedTopic>) -> Self {
        Self { newest, topics }
    }
}

/// The state of a topic, up to the id of the result that it belongs to.
///
/// ```
/// use helios::backplane::{PastEvent, WatchedTopic};
/// use helios::sse::EventId;
///
/// let end = PastEvent::new(EventId::new(0xe, 7), std::time::SystemTime::now(), "the last word".into());
/// let finished = WatchedTopic::new(Some(end.id), Some(end));
/// assert_eq!(finished.last.map(EventId::seq), Some(7));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WatchedTopic {
    /// The id of its newest event. `None` if there is none, or if it is too old to be known. A hub that watches the topic again
    /// takes `None` to mean that nothing was published since its last watch.
    pub last: Option<EventId>,
    /// The event that finished the topic, as it was published.
    pub finish: Option<PastEvent>,
}

impl WatchedTopic {
    /// Creates the state of a topic.
    #[must_use]
    pub const fn new(last: Option<EventId>, finish: Option<PastEvent>) -> Self {
        Self { last, finish }
    }
}

/// Whether a backplane can be reached.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Health {
///     sse: SseService,
/// }
///
/// #[controller(prefix = "health")]
/// impl Health {
///     /// 503 while the backplane is down, so that the load balancer sends new clients elsewhere.
///     #[get("ready")]
///     fn ready(&self) -> Result<&str, SseError> {
///         self.sse.check_ready()?;
///         Ok("ready")
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It answers.
    Up,
    /// It has not answered for a while, and may be down.
    Suspect,
    /// It cannot be reached.
    Down,
}
