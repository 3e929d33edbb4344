//! Services of others below a path: which one gets a request, which guards run first, and how responses end.
#![allow(clippy::unwrap_used)]

mod mounts {
    mod drain;
    mod guards;
    mod prefixes;
    mod service;
}
