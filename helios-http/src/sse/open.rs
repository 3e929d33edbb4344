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
use crate::sse::call::{Opening, Outcome, SseCall};
use crate::sse::control;
use crate::sse::hub::Hub;
use crate::sse::options::Overload;
use crate::sse::stream::route::StreamRoute;
use crate::sse::stream::running::{HeadTimer, OpenOutcome, RunningStream};

/// Opens a stream: runs its source until the head may leave.
pub(crate) async fn open(
    route: &Arc<StreamRoute>,
    mut call: Call,
    peer: Option<Arc<Peer>>,
    kept: Option<Arc<RequestContext>>,
    source: impl FnOnce(SseCall) -> BoxFuture<'static, Outcome>,
) -> Result<Answer, HttpError> {
    let (streams, hub) = (&route.streams, route.hub());
    let last_event_id = call.request.last_event_id();
    if !route.restart && last_event_id.is_some_and(|id| is_end_mark(&id)) {
        return Ok(StatusCode::NO_CONTENT.into_response().into());
    }
    let version = call.request.version();
    let keep_alive = version == Version::HTTP_11 && !asks_to_close(call.request.headers());
    if call.request.method() == Method::HEAD {
        let head = event_stream(keep_alive, &ResponseHead::default(), Body::empty());
        return Ok(head.into());
    }
    let limits = &hub.options().connections;
    let Some(permit) = streams.limiter.admit(limits, &call.request, hub.now()) else {
        return Ok(overloaded(hub, &call.request, keep_alive).into());
    };
    let opening = Opening::new(Arc::clone(route), call.response_head(), peer, kept);
    let call = SseCall::new(Box::new(call), Arc::clone(&opening));
    let mut running = RunningStream::new(opening, source(call), permit);
    let mut timer = HeadTimer::default();
    match poll_fn(|cx| running.poll_open(&mut timer, cx)).await {
        OpenOutcome::Stream(head) => {
            let stream = event_stream(keep_alive, &head, running);
            Ok(Answer::Stream(Box::new(stream)))
        }
        OpenOutcome::Refused(response) => Ok(response.into()),
        OpenOutcome::Failed(error) => Err(error),
    }
}

/// The answer to a client for whom there is no room.
fn overloaded(hub: &Hub, request: &RequestContext, keep_alive: bool) -> Response {
    let options = hub.options();
    match options.connections.answer {
        Overload::Event => {
            let events = control::overloaded(options, request.last_event_id());
            event_stream(keep_alive, &ResponseHead::default(), Body::from(events))
        }
        Overload::Status(status) => {
            let retry = control::jittered(options.connections.retry);
            let seconds = retry.as_secs_f64().ceil() as u64;
            (status, [(RETRY_AFTER, seconds.to_string())]).into_response()
        }
    }
}

/// The head of every stream. The handler's headers are set first, so they cannot override the framework's.
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
