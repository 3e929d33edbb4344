//! What the programs here share: the apps that are measured, who reads their events, and the cores on which that is done.

pub mod announced;
pub mod cores;
pub mod hello;
pub mod publish;
pub mod reader;
pub mod routes;
pub mod sse;

/// Whatever went wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
