//! The framework's own events. They have names and data, because several clients drop a block without data, together
//! with its `id` and `retry`.

use std::time::Duration;

use bytes::Bytes;
use helios_core::encode::encode;
use helios_core::error::HttpError;
use helios_core::event::SseEvent;
use helios_core::sse::{ClientId, CloseReason, END_MARK, SseError, SseReset};
use serde::Serialize;

use crate::sse::options::{SseOptions, StreamOptions};

/// `<prefix>end`: the stream is finished. A client that comes back with its id gets 204.
pub(crate) fn end(options: &SseOptions) -> Bytes {
    encoded(&SseEvent::text("").event(name(options, "end")).id(END_MARK))
}

/// `<prefix>reconnect`: come back after `retry`.
pub(crate) fn reconnect(options: &SseOptions, retry: Duration, reason: CloseReason) -> Bytes {
    let data = serde_json::json!({ "reason": reason.as_str() });
    encoded(
        &SseEvent::json(data)
            .event(name(options, "reconnect"))
            .retry(retry),
    )
}

/// `<prefix>ready`: the position from which this connection reads on. A client that drops before its first event comes
/// back to it. If the client has to be reset first, this is the id that it has sent.
pub(crate) fn ready(
    options: &SseOptions,
    client: ClientId,
    id: Option<String>,
    resumed: bool,
) -> Bytes {
    #[derive(Serialize)]
    struct Ready {
        client: ClientId,
        resumed: bool,
    }
    let event = SseEvent::json(Ready { client, resumed }).event(name(options, "ready"));
    encoded(&with_id(event, id))
}

/// `<prefix>reset`: events of these topics are missing. The id is the client's own. A client without one gets its first
/// id with the last reset.
pub(crate) fn reset(options: &SseOptions, id: Option<String>, reset: &SseReset) -> Bytes {
    let data = serde_json::json!({ "reason": reset.reason.as_str(), "topics": reset.topics });
    let event = SseEvent::json(data).event(name(options, "reset"));
    encoded(&with_id(event, id))
}

/// `<prefix>stale`: whether the client's content may be out of date.
pub(crate) fn stale(options: &SseOptions, is_stale: bool) -> Bytes {
    let data = serde_json::json!({ "stale": is_stale });
    encoded(&SseEvent::json(data).event(name(options, "stale")))
}

/// Adds an id. Several clients forget their id if the first event of a connection has none, so each of these events
/// repeats it.
fn with_id(event: SseEvent, id: Option<String>) -> SseEvent {
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

/// `<prefix>overloaded`: there is no room for this connection. The client comes back after the `retry`.
pub(crate) fn overloaded(options: &SseOptions, last_event_id: Option<String>) -> Bytes {
    let retry = jittered(options.connections.retry);
    let event = SseEvent::json(serde_json::json!({ "retry": retry.as_millis() as u64 }))
        .event(name(options, "overloaded"))
        .retry(retry);
    let event = with_id(event, last_event_id);
    [b":\n", &encoded(&event)[..]].concat().into()
}

/// `error`: the stream failed. A 5xx reveals only its status.
pub(crate) fn error(error: &SseError) -> Bytes {
    let problem = HttpError::from(error.clone()).to_problem_json();
    encoded(&SseEvent::text(problem).event("error"))
}

/// Returns the bytes that follow the head. The comment makes Firefox open the stream. No blank line follows `retry`, so
/// that it belongs to the block of the first event, because clients ignore it in a block without data. A plain stream
/// begins with the comment alone.
pub(crate) fn preamble(options: &SseOptions, of_route: &StreamOptions, client: ClientId) -> Bytes {
    if of_route.plain {
        return Bytes::from_static(b":\n");
    }
    let mut bytes = format!(":\nretry: {}\n", of_route.retry.as_millis()).into_bytes();
    if options.welcome {
        let data = serde_json::json!({ "uuid": client });
        bytes.extend_from_slice(&encoded(&SseEvent::json(data).event("welcome")));
    }
    bytes.into()
}

/// Adds up to half of the retry time at random, so that clients sent away together do not return together.
pub(crate) fn jittered(retry: Duration) -> Duration {
    retry.mul_f64(1.0 + fastrand::f64() / 2.0)
}

fn name(options: &SseOptions, event: &str) -> String {
    format!("{}{event}", options.control_prefix)
}

/// Encodes a control event. This cannot fail, because names and data are checked when the options are set, and ids when
/// they are read.
fn encoded(event: &SseEvent) -> Bytes {
    encode(event).unwrap_or_default()
}
