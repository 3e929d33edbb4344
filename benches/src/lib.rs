//! What is measured: the apps that the micro-benches and the side-by-side program share.

pub mod hello;
pub mod routes;
