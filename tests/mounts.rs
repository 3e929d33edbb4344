//! Services of others below a path: which of them a request reaches, past which guards, and how they end.
#![allow(clippy::unwrap_used)]

mod mounts {
    mod drain;
    mod guards;
    mod prefixes;
    mod service;
}
