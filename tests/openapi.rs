//! The OpenAPI document: what the types of routes say, and what is left open.

#[path = "openapi/kinds.rs"]
mod kinds;
#[path = "openapi/served.rs"]
mod served;
#[path = "openapi/streams.rs"]
mod streams;
