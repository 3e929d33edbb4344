//! The names that generated code uses through the facade's `__rt`, and the types in their signatures.

pub use crate::app::table::{
    Controller, ControllerEntry, ControllerTable, Route, Server, ServerTable,
};
pub use crate::future::BoxFuture;
#[cfg(feature = "openapi")]
pub use crate::openapi::shapes::ladder as ladder_of_shapes;
pub use crate::openapi::{About, Describe, Docs};
#[cfg(feature = "openapi")]
pub use crate::openapi::{
    Description, ErrorStatuses, Errors, EventList, Events, EventsWithSchemas, JsonSchema,
    has_schema, never, open_schema,
};
pub use crate::routing::endpoint::{Handler, HttpHandler, SseHandler};
pub use crate::routing::resolve::{field_sse, filter, guard, inject_sse, interceptor, set_header};
pub use crate::sse::call::{Finished, Outcome, Refusal, SseCall};
pub use crate::sse::hooks::{
    CloseHook, ConnectionHook, ErrorHook, HookArgument, HookOutput, Hooks, ResetHook, SnapshotHook,
    hook_argument, hook_ladder, hook_result,
};
pub use crate::sse::options::{Drain, Named, OnError, SseTable, StreamTable};
pub use crate::sse::output::{SseOutput, ladder};
#[cfg(feature = "openapi")]
pub use helios_core::validate::judged;
#[cfg(feature = "openapi")]
pub use schemars;

pub use crate::table::{Entry, HookNeeds, InjectEntry, PipelineTable};
