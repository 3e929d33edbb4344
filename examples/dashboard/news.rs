//! What pages are told: each event by its name and its data. The types of the page's own code are made of this, too.

use helios::prelude::*;
use serde::Serialize;
use uuid::Uuid;

use super::board::{Board, Job};

/// Those of a topic are called as it is.
#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
pub(crate) enum News {
    /// What the server is doing.
    Metrics(Sample),
    /// A job that is new or has changed.
    Jobs(Job),
    /// All jobs there are.
    #[sse(rename = "jobs:all")]
    AllJobs(Board),
    /// Somebody says something.
    Chat(Message),
    Notifications(Notice),
    /// A page that resumes has been told all that it missed.
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
    /// Events written to connections, a second.
    pub(crate) events: f64,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Message {
    /// Made by the page. One that does not know whether its message has arrived sends it again under the same key.
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
