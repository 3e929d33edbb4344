//! One request through one endpoint: guards, interceptors, binding, handler, filters, head.

use std::pin::pin;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::Response;
use helios_core::call::Call;
use helios_core::error::{HttpError, find_cause};
use helios_core::filter::first_answer;
use helios_core::interceptor::{InnerHandler, Next, ReplyFuture};
use helios_core::reply::Reply;
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::sse::SseError;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use crate::failure::log_failure;
use crate::panics::{caught, caught_in, length_of};
use crate::peer::Peer;
use crate::reply::{mapped, with_head};
use crate::routing::context::AppContext;
use crate::routing::endpoint::{CallHttp, Endpoint, Pipeline, Target};
use crate::sse::answer::Answer;
use crate::sse::disconnects::Since;
use crate::sse::open::{is_overload, open};

/// Answers a request in any case. Panics in user code are caught where it is called.
pub(crate) async fn answer(
    endpoint: &Endpoint,
    request: RequestContext,
    body: Body,
    app: &AppContext,
    peer: Option<Arc<Peer>>,
) -> Answer {
    // Kept for the app's own format of errors.
    let asked = app.error_format.is_some().then(|| request.clone());
    let head = ResponseHead::default();
    // Pinned in place, because moving a future copies all the memory that it may ever need.
    let reply = pin!(reply(endpoint, request, &head, body, app, peer));
    let reply = caught_in("a handler", reply).await;
    let reply = reply.unwrap_or_else(|| Err(panicked("the handler panicked")));
    let is_error = reply.is_err();
    let mut answer =
        reply.unwrap_or_else(|error| refuse(of(endpoint), app, error, asked.as_ref()).into());
    // This also covers an error that an interceptor answered, and a stream that was refused.
    if is_error || !head.is_applied() {
        head.apply_to_error(answer.headers_mut());
    }
    answer
}

/// Runs guards, then interceptors around binding and handler, and filters on errors.
async fn reply(
    endpoint: &Endpoint,
    mut request: RequestContext,
    head: &ResponseHead,
    body: Body,
    app: &AppContext,
    peer: Option<Arc<Peer>>,
) -> Result<Answer, HttpError> {
    let since = match &endpoint.target {
        Target::Sse(_, route) => route.streams.disconnects.now(),
        Target::Http(_) => Since::default(),
    };
    if let Err(error) = admit(&endpoint.pipeline, &mut request).await {
        return filtered(&endpoint.pipeline, error, &request, head).await;
    }
    // The handler consumes the request, so filters get a copy, which a stream keeps.
    let kept = (!endpoint.pipeline.filters.is_empty()).then(|| Arc::new(request.clone()));
    let mut handler = Innermost {
        endpoint,
        head,
        body,
        app,
        since,
        peer,
        kept: kept.clone(),
    };
    let reply = match endpoint.pipeline.interceptors.as_slice() {
        [] => handler.call(request).await.0,
        interceptors => {
            let next = Next::new(interceptors, &mut handler);
            next.run(&mut request).await.map(Into::into)
        }
    };
    match (reply, kept) {
        (Err(error), Some(request)) => filtered(&endpoint.pipeline, error, &request, head).await,
        (reply, _) => reply,
    }
}

/// Returns the error of a panic, which has been logged already.
fn panicked(what: &'static str) -> HttpError {
    HttpError::internal(what).with_source(SseError::Panicked)
}

/// Runs the guards before a mounted service. Returns the answer if they refuse.
pub(crate) async fn guarded(
    pipeline: &Pipeline,
    request: &mut RequestContext,
    app: &AppContext,
    asked: Option<&RequestContext>,
) -> Result<(), Response> {
    let admitted = caught_in("a guard", async {
        match admit(pipeline, request).await {
            Err(error) => filtered(pipeline, error, request, &ResponseHead::default())
                .await
                .map(Some),
            Ok(()) => Ok(None),
        }
    });
    let admitted = admitted.await;
    match admitted.unwrap_or_else(|| Err(panicked("a guard panicked"))) {
        Ok(None) => Ok(()),
        Ok(Some(answer)) => Err(answer.into()),
        Err(error) => Err(refuse((request.route(), "mount"), app, error, asked)),
    }
}

async fn admit(pipeline: &Pipeline, request: &mut RequestContext) -> Result<(), HttpError> {
    for guard in &pipeline.guards {
        guard.check(request).await?;
    }
    Ok(())
}

/// Returns the answer of the first filter that knows the error, inner ones first, or else the error.
async fn filtered(
    pipeline: &Pipeline,
    error: HttpError,
    request: &RequestContext,
    head: &ResponseHead,
) -> Result<Answer, HttpError> {
    let filters = &pipeline.filters;
    if let Some(reply) = first_answer(filters, |filter| filter.catch(&error, request)) {
        let mut response = reply.await?;
        head.apply_to_error(response.headers_mut());
        return Ok(response.into());
    }
    Err(error)
}

/// Binding and the handler, which interceptors wrap.
struct Innermost<'a> {
    endpoint: &'a Endpoint,
    head: &'a ResponseHead,
    body: Body,
    app: &'a AppContext,
    /// When the guards of a stream began.
    since: Since,
    peer: Option<Arc<Peer>>,
    /// The request for the filters, if there are any.
    kept: Option<Arc<RequestContext>>,
}

impl Innermost<'_> {
    /// Returns the reply, and the request if the handler no longer needs it.
    async fn call(
        &mut self,
        request: RequestContext,
    ) -> (Result<Answer, HttpError>, Option<RequestContext>) {
        let body = std::mem::take(&mut self.body);
        let container = Arc::clone(&self.endpoint.container);
        let head = self.head.clone();
        let mut call = Call::new(request, head, body, self.app.body_limit, container);
        match &self.endpoint.target {
            Target::Http(handler) => {
                let reply = reply_of(self.endpoint, handler.as_ref(), &mut call, self.head).await;
                (reply.map(Into::into), Some(call.request))
            }
            Target::Sse(handler, route) => {
                let (peer, kept) = (self.peer.take(), self.kept.take());
                let reply = open(route, call, self.since, peer, kept, |call| {
                    handler.call(call)
                });
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
                Target::Sse(..) => request.clone(),
            };
            let (reply, back) = self.call(taken).await;
            if let Some(back) = back {
                *request = back;
            }
            reply.map(Into::into)
        })
    }
}

/// Returns the response of a plain handler with the status, mappers and head applied.
async fn reply_of(
    endpoint: &Endpoint,
    handler: &dyn CallHttp,
    call: &mut Call,
    head: &ResponseHead,
) -> Reply {
    let mut response = handler.call(call).await?;
    if let (Some(status), StatusCode::OK) = (endpoint.status, response.status()) {
        *response.status_mut() = status;
    }
    let mappers = &endpoint.pipeline.mappers;
    if !mappers.is_empty() {
        // Boxed because most routes map nothing, and the future would be a third of the one that answers a request.
        let mut head = head.clone();
        response = Box::pin(mapped(response, mappers, &call.request, &mut head)).await?;
    }
    Ok(with_head(response, head))
}

/// Returns route and handler, for the log.
fn of(endpoint: &Endpoint) -> (&str, &'static str) {
    (endpoint.template.as_str(), endpoint.meta.handler)
}

fn refuse(
    (route, handler): (&str, &str),
    app: &AppContext,
    error: HttpError,
    asked: Option<&RequestContext>,
) -> Response {
    let log = || {
        // A panic has been logged already.
        let is_panic = matches!(find_cause(&error), Some(SseError::Panicked));
        if error.status().is_server_error() && !is_panic && !is_overload(&error) {
            log_failure!(
                error,
                "a request failed",
                &error,
                route = route,
                handler = handler
            );
        }
    };
    caught("an error's text", log);
    app.render(error, asked)
}

/// Drops the body of a response to HEAD, and keeps its headers. A 204 has no body that a length could describe (RFC
/// 9110, section 8.6).
pub(crate) fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if parts.status == StatusCode::NO_CONTENT {
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    let length = length_of(&body).filter(|length| *length > 0);
    if let (Some(length), false) = (length, parts.headers.contains_key(CONTENT_LENGTH)) {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, Body::empty())
}
