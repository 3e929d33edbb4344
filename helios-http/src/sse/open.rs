//! How a request becomes a stream, or an ordinary answer instead.

use std::future::poll_fn;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use helios_core::call::Call;
use helios_core::error::HttpError;
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::sse::is_end_mark;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use http::{Method, StatusCode, Version};

use crate::future::BoxFuture;
use crate::head::asks_to_close;
use crate::peer::Peer;
use crate::sse::answer::Answer;
use crate::sse::call::{Around, Opening, Outcome, SseCall};
use crate::sse::hub::Hub;
use crate::sse::limiter::Overloaded;
use crate::sse::stream::running::{Connection, Opened};

/// Opens a stream: runs its source until the head may leave.
pub(crate) async fn open(
    hub: &Arc<Hub>,
    mut call: Call,
    around: Around,
    peer: Option<Arc<Peer>>,
    source: impl FnOnce(SseCall) -> BoxFuture<'static, Outcome>,
) -> Result<Answer, HttpError> {
    let last_event_id = call.request.last_event_id();
    if !around.restart && last_event_id.is_some_and(|id| is_end_mark(&id)) {
        return Ok(StatusCode::NO_CONTENT.into_response().into());
    }
    let version = call.request.version();
    let keep_alive = version == Version::HTTP_11 && !asks_to_close(call.request.headers());
    if call.request.method() == Method::HEAD {
        let head = event_stream(keep_alive, &ResponseHead::default(), Body::empty());
        return Ok(head.into());
    }
    let Some(seat) = hub.seat(&call.request) else {
        return Ok(overloaded(hub, &call.request, keep_alive).into());
    };
    let head = call.response_head();
    let opening = Opening::new(Arc::clone(hub), around, peer, head, seat);
    let call = SseCall::new(Box::new(call), Arc::clone(&opening));
    let mut connection = Connection::new(opening, source(call));
    match poll_fn(|cx| connection.poll_open(cx)).await {
        Opened::Stream(head) => {
            let stream = event_stream(keep_alive, &head, connection);
            Ok(Answer::Stream(Box::new(stream)))
        }
        Opened::Refused(response) => Ok(response.into()),
        Opened::Failed(error) => Err(error),
    }
}

/// The answer to who is one too many.
fn overloaded(hub: &Hub, request: &RequestContext, keep_alive: bool) -> Response {
    match hub.overload(request) {
        Overloaded::Events(events) => {
            event_stream(keep_alive, &ResponseHead::default(), Body::from(events))
        }
        Overloaded::Status(status, seconds) => {
            (status, [(RETRY_AFTER, seconds.to_string())]).into_response()
        }
    }
}

/// The head of every stream. What a handler sets comes before the framework's own, which cannot be overridden.
fn event_stream<B>(keep_alive: bool, own: &ResponseHead, body: B) -> http::Response<B> {
    let mut response = http::Response::new(body);
    let mut ignored = StatusCode::OK;
    let headers: &mut HeaderMap = response.headers_mut();
    own.apply_to(&mut ignored, headers);
    let value = HeaderValue::from_static;
    headers.insert(CONTENT_TYPE, value("text/event-stream"));
    headers.insert(CACHE_CONTROL, value("no-cache, no-transform"));
    headers.insert("x-accel-buffering", value("no"));
    headers.remove(CONTENT_LENGTH);
    if keep_alive {
        headers.insert(CONNECTION, value("keep-alive"));
    }
    response
}
