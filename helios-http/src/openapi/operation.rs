//! Input of the document: the routes as start-up has assembled them, and the settings of the app.

use std::any::TypeId;
use std::sync::Arc;

use helios_core::route::{RouteMeta, Template};
use helios_core::security::Security;

use crate::error::Place;
use crate::openapi::describe::{About, Describe, Description, Docs};
use crate::sse::SseOptions;
use crate::sse::options::StreamOptions;

/// A route, as start-up has assembled it.
pub(crate) struct Operation {
    pub(crate) place: Place,
    pub(crate) mounted: Arc<Mounted>,
    pub(crate) meta: RouteMeta,
    pub(crate) template: Arc<Template>,
    pub(crate) describe: Describe,
    /// Describe the connection hooks of a stream.
    pub(crate) hooks: Vec<Describe>,
    pub(crate) security: Vec<Security>,
    pub(crate) is_guarded: bool,
    /// Whether closures change its JSON.
    pub(crate) is_mapped: bool,
    /// The interceptors that may change its response.
    pub(crate) changed_by: Vec<&'static str>,
    /// The options of its streams.
    pub(crate) stream: Option<StreamOptions>,
}

impl Operation {
    /// Whether it is a stream to which a client may come back with its position. A plain stream has one if it may join topics.
    pub(super) fn resumes(&self, told: &Description) -> bool {
        let stream = self.stream.as_ref();
        stream.is_some_and(|options| !options.plain || told.may_join)
    }
}

/// The controller of an operation, at one of the places where it is mounted.
pub(crate) struct Mounted {
    pub(crate) controller: TypeId,
    /// The path of the type, with those of its arguments.
    pub(crate) type_name: &'static str,
    pub(crate) docs: Docs,
    /// The prefixes of the scopes around it, without that of the server, which never tells two places apart.
    pub(crate) within: String,
}

/// The parts of the app that the document needs.
pub(crate) struct Whole<'a> {
    pub(crate) about: About,
    pub(crate) sse: &'a SseOptions,
    /// Whether errors have a format of the app's own.
    pub(crate) has_error_format: bool,
}
