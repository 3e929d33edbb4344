//! Streams over a real socket: the four ways to write one, and a connection from its head to its end.
#![allow(clippy::unwrap_used)]

mod sse {
    mod app;
    mod before_the_head;
    mod bounds;
    mod close_reasons;
    mod filters;
    mod finished;
    mod four_ways;
    mod handles;
    mod head_after;
    mod hooks;
    mod hostile_clients;
    mod options;
    mod plain;
    mod reply;
    mod service;
    mod snapshots;
    mod wire;
}
