//! Presence: who is in a topic, on one server and on several, and what the topic is told of it.
#![allow(clippy::unwrap_used)]

mod presence {
    mod app;
    mod bounds;
    mod graces;
    mod nodes;
    mod outages;
}
