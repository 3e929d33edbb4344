//! The names that generated code uses. They are not for users, and change without notice.

pub use std::boxed::Box;
pub use std::convert::{From, TryFrom};
pub use std::default::Default;
pub use std::option::Option::{self, None, Some};
pub use std::result::Result::{self, Err, Ok};
pub use std::sync::Arc;
pub use std::vec;

pub use helios_core::__lifecycle_hook as lifecycle_hook;
pub use helios_core::__mistake as mistake;
pub use helios_core::__reply as reply;
pub use helios_core::__validated as validated;
pub use helios_core::bind::check::ArgumentCheck;
pub use helios_core::bind::{
    Http, OnConnection, Sse, argument, body, cookie, header, inject, last_argument, param, query,
    read_form, read_json, read_json_or_form,
};
pub use helios_core::call::Call;
pub use helios_core::container::{Dependency, Injectable, Resolver, Shared};
pub use helios_core::decode::{DecodedEvent, DecodedFields, TryFromEventError};
pub use helios_core::error::{HttpError, problem, transparent};
pub use helios_core::event::{IntoSseEvent, SseEvent};
pub use helios_core::fields::{DeserializeOwned, Payload, fields, to_value};
pub use helios_core::interceptor::data_mapper;
pub use helios_core::lifecycle::Lifecycle;
pub use helios_core::reply::Reply;
pub use helios_core::route::{PathParam, RouteKind, RouteMeta, Verb};
pub use helios_core::sse::{CloseReason, SseError, SseReset, SseSnapshot};
pub use helios_core::validate::{validated_body, validated_whole};
pub use helios_http::rt::{
    BoxFuture, Controller, ControllerEntry, ControllerTable, Drain, Entry, Handler, HookNeeds,
    Hooks, InjectEntry, OnError, Outcome, PipelineTable, Route, Server, ServerTable, SseCall,
    SseTable, StreamTable, field_sse, filter, guard, hook_argument, inject_sse, interceptor,
    set_header,
};
#[cfg(feature = "openapi")]
pub use helios_http::rt::{
    Description, ErrorStatuses, Errors, EventList, Events, EventsWithSchemas, JsonSchema,
    has_schema, never, open_schema, schemars,
};
pub use helios_http::sse::{SseService, SseStream};
pub use helios_http::{__about as about, __describe as describe, __described as described};
#[cfg(feature = "openapi")]
pub use helios_http::{
    __default_value as default_value, __described_argument as described_argument,
    __described_hook as described_hook, __described_reply as described_reply,
    __described_stream as described_stream, __error_statuses as error_statuses, __schema as schema,
};
pub use helios_http::{
    __hook_result as hook_result, __stream as stream, __stream_async as stream_async,
};
pub use helios_macros::__Unlinted as Unlinted;

pub use crate::__log as log;

use helios_http::rt::Named;
use helios_http::sse::backplane::Backplane;

/// Returns the openers for the backplanes that need no code: Redis, and the log in the folder that the attribute or the environment names.
pub fn open_named(folder: Option<&'static str>) -> Named {
    Named {
        redis: redis(),
        log: open_log(folder),
    }
}

#[cfg(feature = "redis")]
fn redis() -> Option<Option<Arc<dyn Backplane>>> {
    Some(helios_redis::connect_named())
}

#[cfg(not(feature = "redis"))]
fn redis() -> Option<Option<Arc<dyn Backplane>>> {
    None
}

#[cfg(feature = "log")]
fn open_log(folder: Option<&'static str>) -> Option<Option<Arc<dyn Backplane>>> {
    Some(helios_log::open_named(folder))
}

#[cfg(not(feature = "log"))]
fn open_log(_: Option<&'static str>) -> Option<Option<Arc<dyn Backplane>>> {
    None
}

/// Expands to the function that opens the backplane of the attribute or the environment.
#[cfg(feature = "log")]
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    () => {
        $crate::__rt::Option::Some(|| $crate::__rt::open_named($crate::__rt::Option::None))
    };
    ($folder:literal) => {
        $crate::__rt::Option::Some(|| $crate::__rt::open_named($crate::__rt::Option::Some($folder)))
    };
}

/// Rejects the attribute `log`, because the feature is off.
#[cfg(not(feature = "log"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    () => {
        $crate::__rt::Option::Some(|| $crate::__rt::open_named($crate::__rt::Option::None))
    };
    ($folder:literal) => {
        ::std::compile_error!(
            "`log` needs the feature `log` of helios-rs: `cargo add helios-rs --features log`"
        )
    };
}
