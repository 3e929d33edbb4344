//! What is measured: the apps that the micro-benches and the side-by-side program share, and who reads their events.

pub mod hello;
pub mod reader;
pub mod routes;
pub mod sse;

/// Whatever went wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
