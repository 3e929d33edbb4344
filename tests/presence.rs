//! Presence: who is in a topic, on one server and on several, and which events the topic gets about it.
#![allow(clippy::unwrap_used)]

mod presence {
    mod app;
    mod bounds;
    mod graces;
    mod nodes;
    mod outages;
}
