//! The hooks that run around streams. A new hook is a new row of [`HOOKS`]. Parsing, checks, expansion and messages
//! read the rows, and do not know any hook by name.
//!
//! # To add one
//!
//! 1. Add a row to [`HOOKS`], its name to `helios-macros/src/lib.rs`, and its page to `helios-macros/src/docs`.
//! 2. Add its field to `Hooks`, and its arguments, in `helios-http/src/sse/hooks.rs`. Export its event in `src/rt.rs`.
//! 3. Run it in `helios-http/src/sse/stream/hook_tasks.rs`, and call that where the event happens.

/// One kind of hook.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HookKind {
    pub(crate) attribute: &'static str,
    /// The field of the runtime's `Hooks` for its generated function.
    pub(crate) field: &'static str,
    pub(crate) given: Given,
    /// The attribute of another hook whose work this hook includes. A controller can have only one of the two.
    pub(crate) includes: Option<&'static str>,
}

/// The source of a hook's arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// The request that opens the stream. The arguments are those of a route.
    Request {
        /// The runtime's type for the place of its arguments.
        place: &'static str,
    },
    /// The stream and this event, because the request is over.
    Event {
        /// The event's type in the runtime.
        ty: &'static str,
        by_value: bool,
    },
}

pub(crate) static HOOKS: [HookKind; 5] = [
    HookKind {
        attribute: "on_sse_connection",
        field: "connection",
        given: Given::Request {
            place: "OnConnection",
        },
        includes: None,
    },
    HookKind {
        attribute: "on_sse_error",
        field: "error",
        given: Given::Event {
            ty: "SseError",
            by_value: false,
        },
        includes: None,
    },
    HookKind {
        attribute: "on_sse_reset",
        field: "reset",
        given: Given::Event {
            ty: "SseReset",
            by_value: false,
        },
        includes: None,
    },
    HookKind {
        attribute: "on_sse_snapshot",
        field: "snapshot",
        given: Given::Event {
            ty: "SseSnapshot",
            by_value: false,
        },
        includes: Some("on_sse_reset"),
    },
    HookKind {
        attribute: "on_sse_close",
        field: "close",
        given: Given::Event {
            ty: "CloseReason",
            by_value: true,
        },
        includes: None,
    },
];
