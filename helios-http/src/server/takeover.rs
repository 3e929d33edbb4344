//! How an event stream over HTTP/1 is taken over from hyper.

pub(super) mod capture;
pub(super) mod handover;
pub(super) mod stream;
