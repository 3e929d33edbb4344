//! Rooms over a real socket: topics, resume, resets, slow clients, limits and connection age.
#![allow(clippy::unwrap_used)]

mod rooms {
    mod app;
    mod before_the_head;
    mod disconnected;
    mod finish;
    mod joining;
    mod limits;
    mod max_age;
    mod position;
    mod replay;
    mod reset;
    mod reset_hooks;
    mod resume;
    mod slow;
    mod snapshot;
}
