//! From a request to an endpoint's answer: the router, and the pipeline around a handler.

pub(crate) mod context;
pub(crate) mod endpoint;
pub(crate) mod mount;
pub(crate) mod pipeline;
pub(crate) mod resolve;
pub(crate) mod router;
pub(crate) mod service;
