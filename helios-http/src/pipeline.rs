//! One request through one endpoint: guards, interceptors, binding, handler, filters, head.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use helios_core::call::Call;
use helios_core::error::HttpError;
use helios_core::interceptor::{InnerHandler, Next, ReplyFuture, map_through};
use helios_core::reply::Reply;
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::route::RouteKind;
use helios_core::sse::is_end_mark;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use http::{Method, StatusCode, Version};
use http_body_util::BodyExt;

use crate::answer::Answer;
use crate::controller::BoxFuture;
use crate::endpoint::{CallHttp, Endpoint, Target};
use crate::panics::caught_in;
use crate::peer::Peer;
use crate::service::Shared;
use crate::sse::{Around, Connection, Hub, Opened, Opening, Outcome, Overloaded, SseCall};

/// Answers a request, whatever happens.
pub(crate) async fn run(
    endpoint: &Endpoint,
    request: RequestContext,
    body: Body,
    app: &Shared,
    peer: Option<Arc<Peer>>,
) -> Answer {
    // Pinned where it stands: to move a future is to copy all that it may ever hold.
    let reply = pin!(reply(endpoint, request, body, app, peer));
    let panicked = || Err(HttpError::internal("the handler panicked"));
    let reply = caught_in("a handler", reply).await;
    let reply = reply.unwrap_or_else(panicked);
    reply.unwrap_or_else(|error| refuse(endpoint, app, &error).into())
}

/// Guards, interceptors around binding and handler, filters for what fails.
async fn reply(
    endpoint: &Endpoint,
    mut request: RequestContext,
    body: Body,
    app: &Shared,
    peer: Option<Arc<Peer>>,
) -> Result<Answer, HttpError> {
    if let Err(error) = admit(endpoint, &mut request).await {
        return filtered(endpoint, error, &request).await;
    }
    // The handler takes the request, so filters get a copy.
    let kept = (!endpoint.pipeline.filters.is_empty()).then(|| request.clone());
    let mut handler = Innermost {
        endpoint,
        body,
        app,
        peer,
    };
    let reply = match endpoint.pipeline.interceptors.as_slice() {
        [] => handler.call(request).await.0,
        interceptors => {
            let next = Next::new(interceptors, &mut handler);
            next.run(&mut request).await.map(Into::into)
        }
    };
    match (reply, kept) {
        (Err(error), Some(request)) => filtered(endpoint, error, &request).await,
        (reply, _) => reply,
    }
}

async fn admit(endpoint: &Endpoint, request: &mut RequestContext) -> Result<(), HttpError> {
    for guard in &endpoint.pipeline.guards {
        guard.check(request).await?;
    }
    Ok(())
}

/// The answer of the first filter that knows the error, inner ones first; else the error.
async fn filtered(
    endpoint: &Endpoint,
    error: HttpError,
    request: &RequestContext,
) -> Result<Answer, HttpError> {
    let mut filters = endpoint.pipeline.filters.iter().rev();
    if let Some(reply) = filters.find_map(|filter| filter.catch(&error, request)) {
        return reply.await.map(Into::into);
    }
    Err(error)
}

/// Binding and the handler: what interceptors wrap.
struct Innermost<'a> {
    endpoint: &'a Endpoint,
    body: Body,
    app: &'a Shared,
    peer: Option<Arc<Peer>>,
}

impl Innermost<'_> {
    /// The reply, and the request if the handler is done with it.
    async fn call(
        &mut self,
        request: RequestContext,
    ) -> (Result<Answer, HttpError>, Option<RequestContext>) {
        let body = std::mem::take(&mut self.body);
        let container = Arc::clone(&self.endpoint.container);
        let mut call = Call::new(request, body, self.app.body_limit, container);
        match &self.endpoint.target {
            Target::Http(handler) => {
                let reply = reply_of(self.endpoint, handler.as_ref(), &mut call).await;
                (reply.map(Into::into), Some(call.request))
            }
            Target::Sse(handler) => {
                let around = Around {
                    hooks: Arc::clone(&self.endpoint.hooks),
                    mappers: Arc::clone(&self.endpoint.pipeline.mappers),
                    restart: matches!(self.endpoint.meta.kind, RouteKind::Sse { restart: true }),
                };
                let peer = self.peer.take();
                let reply = open(&self.app.hub, call, around, peer, |call| handler.call(call));
                (Box::pin(reply).await, None)
            }
        }
    }
}

impl InnerHandler for Innermost<'_> {
    fn handle<'a>(&'a mut self, request: &'a mut RequestContext) -> ReplyFuture<'a> {
        Box::pin(async move {
            let taken = match self.endpoint.target {
                Target::Http(_) => request.take(),
                Target::Sse(_) => request.clone(),
            };
            let (reply, back) = self.call(taken).await;
            if let Some(back) = back {
                *request = back;
            }
            reply.map(Into::into)
        })
    }
}

/// What a plain handler answers, with what is put over it.
async fn reply_of(endpoint: &Endpoint, handler: &dyn CallHttp, call: &mut Call) -> Reply {
    let mut response = handler.call(call).await?;
    if let (Some(status), StatusCode::OK) = (endpoint.status, response.status()) {
        *response.status_mut() = status;
    }
    if !endpoint.pipeline.mappers.is_empty() && is_json(&response) {
        response = Box::pin(map_json(endpoint, call, response)).await?;
    }
    if let Some(head) = call.take_response_head() {
        let (mut parts, body) = response.into_parts();
        head.apply_to(&mut parts.status, &mut parts.headers);
        response = Response::from_parts(parts, body);
    }
    Ok(response)
}

/// Only what succeeded is mapped; a handler's own error response passes by.
fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    response.status().is_success()
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

async fn map_json(endpoint: &Endpoint, call: &mut Call, response: Response) -> Reply {
    let failed = |what: &'static str| HttpError::internal(what);
    let (mut parts, body) = response.into_parts();
    let json = body
        .collect()
        .await
        .map_err(|error| failed("the response broke off").with_source(error))?;
    let data = serde_json::from_slice(&json.to_bytes())
        .map_err(|error| failed("the response is not JSON").with_source(error))?;
    let mut head = call.response_head();
    let mapped = map_through(&endpoint.pipeline.mappers, data, &call.request, &mut head);
    let json = serde_json::to_vec(&mapped)
        .map_err(|error| failed("the mapped data does not serialise").with_source(error))?;
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::from(json)))
}

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

/// Whether the sender of this head wants the connection to end with the response (RFC 9112, section 9.6).
pub(crate) fn asks_to_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value
            .split(',')
            .any(|option| option.trim().eq_ignore_ascii_case("close"))
    })
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

fn refuse(endpoint: &Endpoint, app: &Shared, error: &HttpError) -> Response {
    if error.status().is_server_error() {
        let source = std::error::Error::source(error);
        tracing::error!(
            route = endpoint.template.as_str(),
            handler = endpoint.meta.handler,
            %error,
            source,
            "a request failed"
        );
    }
    app.render(error)
}

/// Drops the body of a response to HEAD, and keeps what its headers say of it.
pub(crate) fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let length = http_body::Body::size_hint(&body)
        .exact()
        .filter(|length| *length > 0);
    if let (Some(length), false) = (length, parts.headers.contains_key(CONTENT_LENGTH)) {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}
