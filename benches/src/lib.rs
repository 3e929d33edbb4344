//! Code that the programs here share: the apps to measure, readers of their events, and the cores for both.

pub mod announced;
pub mod cores;
pub mod hello;
pub mod publish;
pub mod reader;
pub mod routes;
pub mod sse;

/// Any error of these programs.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
