//! Rooms over a real socket: topics, resume, resets, slow clients, limits and the end of a connection's time.
#![allow(clippy::unwrap_used)]

mod rooms {
    mod app;
    mod holes;
    mod joining;
    mod limits;
    mod max_age;
    mod position;
    mod reset;
    mod resume;
    mod slow;
}
