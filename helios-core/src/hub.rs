//! The hub's rules: what is kept of a topic, what a subscriber has yet to see, in which order it sees it.
//!
//! A topic is a bounded [`Ring`] of encoded events, a [`Subscriber`] a cursor into each of its topics. What is sent to
//! one client alone waits in its [`Outbox`]. There is no clock, task or socket here, and no lock: the runtime adds them.

mod entry;
mod frame;
mod id;
mod limits;
mod liveness;
mod numbered;
mod outbox;
mod ring;
mod runs;
mod subscriber;

pub use entry::{Cursor, Entry, Lag};
pub use frame::{FRAME_BYTES, Frame};
pub use id::{EventId, EventIdError};
pub use limits::{Bucket, Tally};
pub use liveness::{Liveness, Patience, Verdict};
pub use numbered::{NumberedEvent, UnnumberedEvent};
pub use outbox::{BacklogLimits, Kind, Outbox};
pub use ring::{HistoryLimits, Overtaken, Ring};
pub use subscriber::{Left, Log, Start, Subscriber, Subscription};
