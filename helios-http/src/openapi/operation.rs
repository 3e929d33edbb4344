//! What the document is made of: the routes, as start-up has put them together, and what the app says as a whole.

use std::sync::Arc;

use helios_core::route::{RouteMeta, Template};
use helios_core::security::Security;

use crate::error::Place;
use crate::openapi::describe::{About, Describe, Docs};
use crate::sse::SseOptions;
use crate::sse::options::StreamOptions;

/// A route, as start-up has put it together.
pub(crate) struct Operation {
    pub(crate) place: Place,
    pub(crate) docs: Docs,
    pub(crate) meta: RouteMeta,
    pub(crate) template: Arc<Template>,
    pub(crate) describe: Describe,
    pub(crate) security: Vec<Security>,
    pub(crate) is_guarded: bool,
    /// Closures make something else of its JSON.
    pub(crate) is_mapped: bool,
    /// The interceptors that may make something else of its answer.
    pub(crate) changed_by: Vec<&'static str>,
    /// The options of its streams, and whether they may be in topics.
    pub(crate) stream: Option<(StreamOptions, bool)>,
}

/// What the document takes from the app as a whole.
pub(crate) struct Whole<'a> {
    pub(crate) about: About,
    pub(crate) sse: &'a SseOptions,
    /// Errors have a format of the app's own.
    pub(crate) has_error_format: bool,
}
