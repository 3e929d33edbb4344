//! The OpenAPI document: what the types of routes say, and what is left open.
#![allow(clippy::unwrap_used)]

#[path = "openapi/examples.rs"]
mod examples;
#[path = "openapi/kinds.rs"]
mod kinds;
#[path = "openapi/programs.rs"]
mod programs;
#[path = "openapi/served.rs"]
mod served;
#[path = "openapi/size.rs"]
mod size;
#[path = "openapi/streams.rs"]
mod streams;
