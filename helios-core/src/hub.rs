//! The rules of the hub: the history of a topic, and which events a subscriber reads in which order.
//!
//! A topic is a bounded [`Ring`] of encoded events. A [`Subscriber`] has a cursor into the ring of each of its topics.
//! This one mechanism covers four cases:
//!
//! * Live delivery reads from the cursor to the head.
//! * Resuming sets the cursor behind the client's last id.
//! * History is the content of the ring.
//! * A slow client is one whose cursor the ring has overtaken.
//!
//! Events that are sent to one client alone wait in its [`Outbox`].
//!
//! This module has no clock, task, socket or lock. The runtime adds them. Each proof is written beside the code that
//! relies on it:
//!
//! * `ring` explains why a cursor is never ahead, how history is trimmed under readers, what can be resumed, and what
//!   an epoch is.
//! * `subscriber` explains why topics are merged by number up to the head, which ids are written, and how a client
//!   resumes.
//! * [`TopicRing`] explains why no wake-up is lost.

mod batch;
mod entry;
mod frame;
mod id;
mod limiter;
mod limits;
mod liveness;
mod numbered;
mod outbox;
mod replay;
mod ring;
mod subscriber;
mod subscription;

pub use entry::{Backlog, Cursor, RingEntry};
pub use frame::{FRAME_BYTES, Frame};
pub use id::{EventId, EventIdError};
pub use limiter::{KeyedLimiter, TokenBucket};
pub use limits::{BacklogLimits, HistoryLimits};
pub use liveness::{Liveness, LivenessLimits, Verdict};
pub use numbered::{NumberedEvent, UnnumberedEvent};
pub use outbox::{Outbox, QueuedKind};
pub use replay::Replay;
pub use ring::{Overtaken, Ring};
pub use subscriber::{Start, Subscriber};
pub use subscription::{Subscription, TopicRing, Unread};
