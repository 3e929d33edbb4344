//! The hub's rules: what is kept of a topic, what a subscriber has yet to see, in which order it sees it.
//!
//! A topic is a bounded [`Ring`] of encoded events, a [`Subscriber`] a cursor into each of its topics. What is sent to
//! one client alone waits in its [`Outbox`]. There is no clock, task or socket here, and no lock: the runtime adds them.

mod batch;
mod entry;
mod frame;
mod id;
mod limiter;
mod limits;
mod liveness;
mod numbered;
mod outbox;
mod ring;
mod subscriber;

pub use entry::{Backlog, Cursor, Entry};
pub use frame::{FRAME_BYTES, Frame};
pub use id::{EventId, EventIdError};
pub use limiter::{KeyedLimiter, TokenBucket};
pub use limits::{BacklogLimits, HistoryLimits};
pub use liveness::{Liveness, LivenessLimits, Verdict};
pub use numbered::{NumberedEvent, UnnumberedEvent};
pub use outbox::{Outbox, QueuedKind};
pub use ring::{Overtaken, Ring};
pub use subscriber::{Start, Subscriber, Subscription, TopicRing, Unread};
