//! Types that have no schema, and one that has no events.
#![allow(unused)]

use helios::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Note {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Page {
    notes: Vec<Note>,
}

#[derive(SseEvents)]
enum Feed {
    Added(Note),
    Removed(u64),
}

#[derive(Serialize)]
enum Kind {
    Small,
}

#[derive(Injectable)]
struct Notes;

#[controller(prefix = "notes")]
impl Notes {
    #[post]
    #[accepts(Note)]
    #[answers(201, Note)]
    #[answers(409, "application/json", Vec<Note>)]
    fn add(&self) {}

    #[sse(events = Feed)]
    fn feed(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("kinds", events = Kind)]
    fn kinds(&self) -> SseStream {
        SseStream::new()
    }
}

fn main() {}
