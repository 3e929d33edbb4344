//! How a request becomes a stream, or an ordinary answer instead.

use std::future::poll_fn;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use helios_core::call::Call;
use helios_core::error::{HttpError, find_cause};
use helios_core::request::ResponseHead;
use helios_core::sse::{SseError, is_end_mark};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RETRY_AFTER,
};
use http::{Method, StatusCode, Version};

use crate::future::BoxFuture;
use crate::head::asks_to_close;
use crate::peer::Peer;
use crate::sse::answer::Answer;
use crate::sse::call::{Opening, Outcome, SseCall};
use crate::sse::control;
use crate::sse::options::Overload;
use crate::sse::stream::route::StreamRoute;
use crate::sse::stream::running::{OpenOutcome, RunningStream};

/// Opens a stream: runs its source until the head may leave.
pub(crate) async fn open(
    route: &Arc<StreamRoute>,
    mut call: Call,
    peer: Option<Arc<Peer>>,
    source: impl FnOnce(SseCall) -> BoxFuture<'static, Outcome>,
) -> Result<Answer, HttpError> {
    let (streams, hub) = (&route.streams, route.hub());
    let last_event_id = call.request.last_event_id();
    if !route.options.restart && last_event_id.as_deref().is_some_and(is_end_mark) {
        return Ok(StatusCode::NO_CONTENT.into_response().into());
    }
    let version = call.request.version();
    let keep_alive = version == Version::HTTP_11 && !asks_to_close(call.request.headers());
    if call.request.method() == Method::HEAD {
        let head = event_stream(keep_alive, &ResponseHead::default(), Body::empty());
        return Ok(head.into());
    }
    let limits = &hub.options().connections;
    let overloaded = || overloaded(route, last_event_id.clone(), keep_alive);
    let refused = route.options.plain && streams.is_closing();
    let admit = || streams.limiter.admit(limits, &call.request, hub.now());
    let Some(permit) = (!refused).then(admit).flatten() else {
        return Ok(overloaded().into());
    };
    let opening = Opening::new(Arc::clone(route), call.response_head(), peer);
    let call = SseCall::new(Box::new(call), Arc::clone(&opening));
    let mut running = RunningStream::new(opening, source(call), permit);
    match poll_fn(|cx| running.poll_open(cx)).await {
        OpenOutcome::Stream(head, position) => {
            let mut stream = event_stream(keep_alive, &head, running);
            let position = position.and_then(|id| HeaderValue::try_from(id.to_string()).ok());
            stream
                .headers_mut()
                .extend(position.map(|id| (POSITION, id)));
            Ok(Answer::Stream(Box::new(stream)))
        }
        OpenOutcome::Refused(response) => Ok(response.into()),
        OpenOutcome::Failed(error) if is_for_now(&error) => {
            let source = std::error::Error::source(&error);
            tracing::warn!(%error, source, "a stream was refused for now");
            Ok(overloaded().into())
        }
        OpenOutcome::Failed(error) => Err(error),
    }
}

/// The position from which a plain stream begins.
const POSITION: HeaderName = HeaderName::from_static("helios-position");

/// Whether a stream was refused for a reason that passes: any status but 200 would stop an `EventSource` for good.
fn is_for_now(error: &HttpError) -> bool {
    matches!(
        find_cause(error),
        Some(SseError::TooManyTopics { .. } | SseError::Backplane(_))
    )
}

/// The answer to a client for whom there is no room.
fn overloaded(route: &StreamRoute, last_event_id: Option<String>, keep_alive: bool) -> Response {
    let options = route.hub().options();
    match route.options.overload {
        Overload::Event => {
            let events = control::overloaded(options, last_event_id);
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
