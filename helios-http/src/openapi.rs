//! The OpenAPI document: the routes of an app with their requests and responses, and the events of their streams.
//!
//! A route's table calls `describe` with what its types say, which `shapes` determines. `schema` generates the schemas
//! of types, `components` names them, `events` generates those of streams, `ids` names the operations, `writer` generates them,
//! and `document` the whole.

mod components;
pub(crate) mod describe;
pub(crate) mod document;
mod events;
mod ids;
pub(crate) mod operation;
mod page;
mod request;
mod responses;
mod schema;
pub(crate) mod serve;
mod settings;
pub mod shapes;
mod unknown;
mod writer;

pub use describe::{
    About, Describe, DescribeHooks, Description, Docs, ErrorStatuses, Errors, EventList, Events,
    EventsWithSchemas, JsonSchema, TypeSchema, has_schema, never, open_schema,
};
pub use document::OpenApiDocument;
pub use settings::OpenApi;
pub use unknown::Unknown;
pub(crate) use unknown::listed;

/// Keeps items.
#[macro_export]
#[doc(hidden)]
macro_rules! __described {
    ($($kept:tt)*) => {
        $($kept)*
    };
}

/// Keeps a value.
#[macro_export]
#[doc(hidden)]
macro_rules! __describe {
    ($($kept:tt)*) => {
        $($kept)*
    };
}

/// Returns the name and version of the package in which it is expanded.
#[macro_export]
#[doc(hidden)]
macro_rules! __about {
    () => {
        $crate::rt::About {
            title: ::core::env!("CARGO_PKG_NAME"),
            version: ::core::env!("CARGO_PKG_VERSION"),
        }
    };
}
