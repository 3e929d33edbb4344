//! Contracts and pure code of the Helios framework.
//!
//! Nothing here opens a socket, reads a clock or spawns a task. Time comes in as an argument, so every rule can be
//! tested without sleeping. Applications depend on the `helios` crate, which re-exports what they need.

pub mod backplane;
pub mod bind;
pub mod bounded;
pub mod call;
pub mod container;
pub mod cookie;
pub mod decode;
pub mod encode;
pub mod error;
pub mod event;
pub mod fields;
pub mod filter;
pub mod guard;
pub mod html;
pub mod hub;
pub mod interceptor;
pub mod item;
pub mod lifecycle;
#[cfg(feature = "multipart")]
pub mod multipart;
pub mod panic;
pub mod path;
pub mod presence;
mod query_string;
pub mod reply;
pub mod request;
pub mod route;
pub mod same_origin;
#[cfg(feature = "openapi")]
mod schema;
pub mod security;
pub mod sse;
pub mod text;
#[doc(hidden)]
pub mod type_name;
#[cfg(feature = "validate")]
pub mod validate;
#[cfg(not(feature = "validate"))]
#[path = "validate/off.rs"]
pub mod validate;
