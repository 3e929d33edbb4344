//! Turns a request into a stream, or into an ordinary response instead.

use std::future::poll_fn;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use helios_core::call::Call;
use helios_core::error::{HttpError, find_cause};
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::route::{Template, Verb};
use helios_core::sse::{CloseReason, SseError, is_end_mark};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use thiserror::Error;

use crate::failure::log_failure;
use crate::future::BoxFuture;
use crate::head::asks_to_close;
use crate::peer::Peer;
use crate::remote_addr::RemoteAddr;
use crate::sse::answer::Answer;
use crate::sse::call::{Opening, Outcome, SseCall};
use crate::sse::control;
use crate::sse::disconnects::Since;
use crate::sse::options::Overload;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::route::StreamRoute;
use crate::sse::stream::running::{HeadTimer, OpenOutcome, RunningStream};
use crate::sse::streams::Streams;

/// Opens a stream and runs its source until the head may leave.
pub(crate) async fn open(
    route: &Arc<StreamRoute>,
    call: Call,
    since: Since,
    peer: Option<Arc<Peer>>,
    kept: Option<Arc<RequestContext>>,
    source: impl FnOnce(SseCall) -> BoxFuture<'static, Outcome>,
) -> Result<Answer, HttpError> {
    let last_event_id = call.request.last_event_id();
    let has_seen_end = last_event_id.as_deref().is_some_and(is_end_mark);
    if !route.options.restart && has_seen_end {
        return Ok(StatusCode::NO_CONTENT.into_response().into());
    }
    let version = call.request.version();
    let keep_alive = version == Version::HTTP_11 && !asks_to_close(call.request.headers());
    if call.request.method() == Method::HEAD {
        let head = event_stream(keep_alive, &ResponseHead::default(), Body::empty());
        return Ok(head.into());
    }
    let overloaded = || overloaded(route, last_event_id.clone(), keep_alive);
    // A method that may return a response is called first.
    let permit = match route.may_reply {
        true => None,
        false => match route.admit(&call.request) {
            None => return overloaded(),
            permit => permit,
        },
    };
    let opening = Opening::new(Arc::clone(route), call.response_head(), since, peer, kept);
    let call = SseCall::new(Box::new(call), Arc::clone(&opening));
    let mut running = RunningStream::new(opening, source(call), permit);
    let mut timer = HeadTimer::default();
    match poll_fn(|cx| running.poll_open(&mut timer, cx)).await {
        OpenOutcome::Stream(head, position) => {
            let mut stream = event_stream(keep_alive, &head, running);
            let position = position.and_then(|id| HeaderValue::try_from(id.to_string()).ok());
            stream
                .headers_mut()
                .extend(position.map(|id| (POSITION, id)));
            Ok(Answer::Stream(Box::new(stream)))
        }
        OpenOutcome::Refused(response) => Ok(response.into()),
        OpenOutcome::Overloaded => overloaded(),
        OpenOutcome::Failed(error) if is_for_now(&error) => {
            log_failure!(warn, "a stream was refused for now", &error);
            overloaded()
        }
        OpenOutcome::Failed(error) => Err(error),
    }
}

/// The header with the position from which a plain stream begins.
const POSITION: HeaderName = HeaderName::from_static("helios-position");

/// Whether a stream was refused for a temporary reason. Any status but 200 would stop an `EventSource` for good.
fn is_for_now(error: &HttpError) -> bool {
    matches!(
        find_cause(error),
        Some(SseError::TooManyTopics { .. } | SseError::Backplane(_))
    )
}

/// Answers a request outside of the stream routes with the stream of this handle.
pub(crate) async fn respond(streams: &Arc<Streams>, head: Parts, stream: SseStream) -> Response {
    let peer = head.extensions.get::<Arc<Peer>>().cloned();
    let addr = RemoteAddr::addr_of(&head.extensions, peer.as_deref());
    let verb = Verb::of(&head.method).unwrap_or(Verb::Any);
    let route = StreamRoute::bare(Arc::clone(streams), verb);
    let template = Arc::new(Template::join([head.uri.path()]));
    let request = RequestContext::new(head, template, Vec::new(), addr);
    let head = ResponseHead::default();
    let call = Call::new(request, head, Body::empty(), 0, Arc::default());
    let state = Arc::clone(&stream.state);
    let source = |call: SseCall| Box::pin(call.attach(stream)) as _;
    let since = streams.disconnects.now();
    let answered = open(&route, call, since, peer, None, source).await;
    if state.request().is_none() {
        state.finish(CloseReason::Rejected);
    }
    match answered {
        Ok(answer) => answer.into(),
        Err(error) => {
            if !is_overload(&error) {
                log_failure!(warn, "a stream was not opened", &error);
            }
            error.into_response()
        }
    }
}

/// The cause of the error of a client for whom there is no room.
#[derive(Debug, Error)]
#[error("there is no room for another stream")]
struct Overloaded;

/// Whether the error is that of a client for whom there is no room. It is not logged, because there may be thousands a
/// second.
pub(crate) fn is_overload(error: &HttpError) -> bool {
    find_cause::<Overloaded>(error).is_some()
}

/// Returns the response or the error for a client for whom there is no room.
fn overloaded(
    route: &StreamRoute,
    last_event_id: Option<String>,
    keep_alive: bool,
) -> Result<Answer, HttpError> {
    let options = route.hub().options();
    match route.options.overload {
        Overload::Event => {
            let events = control::overloaded(options, last_event_id);
            let head = ResponseHead::default();
            Ok(event_stream(keep_alive, &head, Body::from(events)).into())
        }
        Overload::Status(status) => {
            let retry = control::jittered(options.connections.retry);
            let seconds = retry.as_secs_f64().ceil() as u64;
            let error = HttpError::new(status, Overloaded.to_string()).with_source(Overloaded);
            Err(error.with_header(RETRY_AFTER, seconds.into()))
        }
    }
}

/// Builds the head of a stream. The handler's headers are set first, so they cannot override the framework's.
fn event_stream<B>(keep_alive: bool, own: &ResponseHead, body: B) -> http::Response<B> {
    let mut response = http::Response::new(body);
    own.apply_to(&mut response);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
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
