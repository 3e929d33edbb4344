//! The hub's rules: what is kept of a topic, what a subscriber has yet to see, in which order it sees it.
//!
//! A topic is a bounded [`Ring`] of encoded events, a [`Subscriber`] a cursor into each of its topics. One mechanism is thus live
//! delivery, from the cursor to the head; resume, where the cursor begins behind the client's last id; history, the ring;
//! and the slow client, whose cursor the ring overtakes. What is sent to one client alone waits in its [`Outbox`].
//!
//! There is no clock, task or socket here, and no lock: the runtime adds them. The proofs stand where they are relied on:
//!
//! * `ring`: why a cursor is never ahead, how history is trimmed under readers, what can be resumed, what an epoch is;
//! * `subscriber`: why topics are merged by number up to the head, what is written as an id, how a client resumes;
//! * [`TopicRing`]: why no wake-up is lost.

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
