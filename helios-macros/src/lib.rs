//! The macros of the Helios framework. Use them through the crate `helios`, which re-exports them.
//!
//! They generate tables and calls, not logic. The runtime walks the generated tables.

mod args;
mod attribute;
mod controller;
mod diagnostics;
mod duration;
mod http_error;
mod injectable;
mod json_schema;
mod lints;
mod listed;
mod misplaced;
mod names;
mod path;
mod pipeline;
mod runtime;
mod server;
mod sse_events;
#[cfg(test)]
mod tests;
mod types;

use proc_macro::TokenStream;

#[doc = include_str!("docs/controller.md")]
#[proc_macro_attribute]
pub fn controller(args: TokenStream, item: TokenStream) -> TokenStream {
    controller::controller(args.into(), item.into()).into()
}

#[doc = include_str!("docs/server.md")]
#[proc_macro_attribute]
pub fn server(args: TokenStream, item: TokenStream) -> TokenStream {
    server::server(args.into(), item.into()).into()
}

#[doc = include_str!("docs/injectable.md")]
#[proc_macro_derive(Injectable, attributes(inject))]
pub fn injectable(item: TokenStream) -> TokenStream {
    injectable::injectable(item.into()).into()
}

#[doc = include_str!("docs/sse_events.md")]
#[proc_macro_derive(SseEvents, attributes(sse))]
pub fn sse_events(item: TokenStream) -> TokenStream {
    sse_events::sse_events(item.into()).into()
}

#[doc = include_str!("docs/http_error.md")]
#[proc_macro_derive(HttpError, attributes(http))]
pub fn http_error(item: TokenStream) -> TokenStream {
    http_error::http_error(item.into()).into()
}

#[doc = include_str!("docs/json_schema.md")]
#[proc_macro_derive(JsonSchema, attributes(schema, schemars, serde, garde))]
pub fn json_schema(item: TokenStream) -> TokenStream {
    json_schema::json_schema(item.into()).into()
}

/// Internal. [`lints`] explains its purpose.
#[doc(hidden)]
#[proc_macro_derive(__Unlinted, attributes(tokens))]
pub fn unlinted(item: TokenStream) -> TokenStream {
    lints::expand(item.into()).into()
}

/// Attributes that `#[controller]` removes from a method. As macros of their own they report that it is missing.
macro_rules! method_attributes {
    ($($name:ident)*) => {
        $(
            #[doc = include_str!(concat!("docs/", stringify!($name), ".md"))]
            ///
            /// Works on a method inside an `impl` marked [`macro@controller`].
            #[proc_macro_attribute]
            pub fn $name(args: TokenStream, item: TokenStream) -> TokenStream {
                misplaced::misplaced(stringify!($name), &args.into(), &item.into()).into()
            }
        )*

        /// The names of these macros.
        #[cfg(test)]
        const METHOD_ATTRIBUTES: &[&str] = &[$(stringify!($name)),*];
    };
}

method_attributes! {
    get
    post
    put
    patch
    delete
    head
    options
    any
    sse
    on_sse_connection
    on_sse_error
    on_sse_reset
    on_sse_snapshot
    on_sse_close
    accepts
    answers
    http_code
    use_guards
    use_interceptors
    use_filters
}
