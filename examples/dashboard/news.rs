//! The events of the stream, by name and data. The document shows them, and the types of the page are made from it.

use helios::prelude::*;
use serde::Serialize;
use uuid::Uuid;

use super::board::{Board, Job};

/// Events of a topic have its name.
#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
pub(crate) enum News {
    /// Figures of the server.
    Metrics(Sample),
    /// A job that is new or has changed.
    Jobs(Job),
    /// All jobs.
    #[sse(rename = "jobs:all")]
    AllJobs(Board),
    /// A new message.
    Chat(Message),
    Notifications(Notice),
    /// A page that resumes has received everything that it missed.
    CaughtUp,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Sample {
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    /// Percent of one core.
    pub(crate) cpu: f32,
    /// Resident bytes.
    pub(crate) memory: u64,
    pub(crate) connections: usize,
    /// Events written to connections per second.
    pub(crate) events: f64,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Message {
    /// The page makes the key. If it cannot know whether its message has arrived, it sends it again with the same key.
    pub(crate) key: Uuid,
    pub(crate) name: String,
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Notice {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Info,
    Done,
    Cancelled,
}
