//! The OpenAPI document: what the types of routes say, and what is left open.

#[path = "openapi/served.rs"]
mod served;
