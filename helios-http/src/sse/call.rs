//! An `#[sse]` call, from the bound arguments to a live stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};

use axum_core::extract::FromRequestParts;
use axum_core::response::Response;
use futures_core::Stream;
use helios_core::bind::{Cx, OnConnection, Sse};
use helios_core::call::Call;
use helios_core::error::HttpError;
use helios_core::event::SseEvent;
use helios_core::reply::{Reply, from_response};
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::sse::{CloseReason, SseError};
use http::request::Parts;
use pin_project_lite::pin_project;

use crate::future::BoxFuture;
use crate::peer::Peer;
use crate::reply::mapped;
use crate::sse::disconnects::Since;
use crate::sse::limiter::Permit;
use crate::sse::reply::SseReply;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::route::{Shown, StreamRequest, StreamRoute};
use crate::sync::lock;

/// The outcome of a stream's source.
pub type Outcome = Result<Ended, Refusal>;

/// A source that ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The generator or producer ran to its end.
    Completed,
    /// The stream continues through its handle.
    Handle,
}

/// A source that failed.
#[derive(Debug)]
pub enum Refusal {
    /// An error. It becomes a status before the head, and an `error` event after it.
    Error(SseError),
    /// A finished response of a handler's own error type.
    Response(Box<Response>),
    /// The response that a method returns instead of a stream.
    Reply(Box<Response>),
    /// There is no room for another stream.
    Overloaded,
}

impl<E: Into<SseError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// The items of a generator with their type erased, so that the code that runs them is compiled once and not for each
/// type.
pub(crate) type EventStream<'a> =
    Pin<Box<dyn Stream<Item = Result<SseEvent, SseError>> + Send + 'a>>;

pin_project! {
    /// A stream of any items that can be sent, as events.
    pub(crate) struct Items<S: Stream> {
        #[pin]
        pub(crate) stream: S,
        pub(crate) event: fn(S::Item) -> Result<SseEvent, SseError>,
    }
}

impl<S: Stream> Stream for Items<S> {
    type Item = Result<SseEvent, SseError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        this.stream.poll_next(cx).map(|item| item.map(*this.event))
    }
}

/// The outcome of an async method that was a producer.
#[derive(Debug)]
pub struct Finished(pub(crate) Outcome);

/// State shared by a route's call and its running stream while the stream opens. It is dropped when the head leaves.
pub(crate) struct Opening {
    pub(crate) route: Arc<StreamRoute>,
    pub(crate) head: ResponseHead,
    /// When the request began.
    since: Since,
    peer: Option<Arc<Peer>>,
    kept: Option<Arc<RequestContext>>,
    /// The permit of a stream that was admitted when it was attached.
    permit: Mutex<Option<Permit>>,
    /// The call's own handle, created on first use. A method that returns another handle does not need it.
    own: Mutex<Option<SseStream>>,
    /// The handle that was attached, the call's own or another.
    attached: OnceLock<SseStream>,
}

impl Opening {
    pub(crate) fn new(
        route: Arc<StreamRoute>,
        head: ResponseHead,
        since: Since,
        peer: Option<Arc<Peer>>,
        kept: Option<Arc<RequestContext>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            route,
            head,
            since,
            peer,
            kept,
            permit: Mutex::default(),
            own: Mutex::default(),
            attached: OnceLock::new(),
        })
    }

    pub(crate) fn attached(&self) -> Option<&SseStream> {
        self.attached.get()
    }

    pub(crate) fn take_permit(&self) -> Option<Permit> {
        lock(&self.permit).take()
    }

    /// Checks whether there is room for the stream, if the route did not check that before.
    fn admit(&self, request: &RequestContext) -> bool {
        if !self.route.may_reply {
            return true;
        }
        let permit = self.route.admit(request);
        let is_admitted = permit.is_some();
        *lock(&self.permit) = permit;
        is_admitted
    }

    /// Whether the user of the stream may have been disconnected since the request began.
    fn is_outdated(&self, handle: &SseStream) -> bool {
        let user = handle.state.request().and_then(|it| it.user.as_deref());
        let disconnects = &self.route.streams.disconnects;
        user.is_some_and(|user| disconnects.may_include(user, self.since))
    }

    /// Returns the handle of this request's stream.
    fn handle(&self) -> SseStream {
        if let Some(attached) = self.attached() {
            return attached.clone();
        }
        let mut own = lock(&self.own);
        let own = own.get_or_insert_with(|| SseStream::known_to(&self.route.streams));
        own.clone()
    }

    fn request(&self, request: &RequestContext) -> StreamRequest {
        let shown = (!self.route.mappers.is_empty()).then(|| Shown {
            request: request.clone(),
            head: self.head.snapshot(),
        });
        let key = self.route.hub().options().connections.user.as_ref();
        StreamRequest {
            user: key.and_then(|key| key(request)).map(Into::into),
            route: Arc::clone(&self.route),
            accepted: AtomicUsize::new(0),
            shown,
            last_event_id: request.last_event_id(),
            peer: self.peer.clone(),
            kept: self.kept.clone(),
        }
    }
}

impl FromRequestParts<Cx<Sse>> for SseStream {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, cx: &Cx<Sse>) -> Result<Self, HttpError> {
        handle_of(cx)
    }
}

impl FromRequestParts<Cx<OnConnection>> for SseStream {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, cx: &Cx<OnConnection>) -> Result<Self, HttpError> {
        handle_of(cx)
    }
}

fn handle_of<P>(cx: &Cx<P>) -> Result<SseStream, HttpError> {
    let opening = cx.stream::<Opening>();
    let opening = opening.ok_or_else(|| HttpError::internal("there is no SSE stream here"))?;
    Ok(opening.handle())
}

/// The call of an `#[sse]` method. It runs the value that the method returns.
pub struct SseCall {
    /// The call from which its arguments are bound.
    pub call: Box<Call>,
    opening: Arc<Opening>,
}

/// The call, until something takes it.
pub(crate) type Slot = Option<SseCall>;

impl SseCall {
    pub(crate) fn new(mut call: Box<Call>, opening: Arc<Opening>) -> Self {
        call.stream = Some(Arc::clone(&opening) as _);
        Self { call, opening }
    }

    /// Returns the outcome of a call whose arguments could not be bound.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn refused(&mut self) -> Outcome {
        Err(self.call.refusal().into())
    }

    /// Returns the request, for a method that uses it as long as its stream runs.
    #[must_use]
    pub fn shared_request(&self) -> Arc<RequestContext> {
        Arc::new(self.call.request.clone())
    }

    /// Returns the outcome of a method that returned an error or a response, not a stream.
    pub fn replied(call: Slot, reply: Reply) -> BoxFuture<'static, Outcome> {
        Box::pin(async {
            let response = reply?;
            let Some(Self { call, opening }) = call else {
                return Err(Refusal::Response(Box::new(response)));
            };
            let mut head = opening.head.clone();
            let mappers = &opening.route.mappers;
            let response = mapped(response, mappers, &call.request, &mut head).await?;
            Err(Refusal::Response(Box::new(response)))
        })
    }

    /// Opens a stream and sends its items.
    pub(super) async fn forward(self, mut stream: EventStream<'_>, may_fail: bool) -> Outcome {
        let handle = self.open(None, may_fail).await?;
        let state = &handle.state;
        let mut held: Option<SseEvent> = None;
        poll_fn(|cx| {
            if state.is_closed() {
                // The running stream drops this future at its next poll.
                return Poll::Pending;
            }
            loop {
                if let Some(event) = &held {
                    // The running stream polls its source again after each frame, so waiting for room needs no waker.
                    if !state.write(event)? {
                        return Poll::Pending;
                    }
                    held = None;
                }
                match ready!(stream.as_mut().poll_next(cx)) {
                    None => return Poll::Ready(Ok(Ended::Completed)),
                    Some(item) => held = Some(state.map(item?)),
                }
            }
        })
        .await
    }

    /// Opens the stream and then polls the producer, which is the method's own future.
    pub(super) async fn produce(
        self,
        producer: BoxFuture<'_, Result<SseReply<()>, HttpError>>,
    ) -> Outcome {
        let maps = !self.opening.route.mappers.is_empty();
        let head = maps.then(|| self.opening.head.clone());
        let handle = self.open(None, true).await?;
        let response = match producer.await? {
            SseReply::Stream(()) => return Ok(Ended::Completed),
            SseReply::Response(response) => from_response(response)?,
        };
        let shown = handle.state.request().and_then(StreamRequest::shown);
        let response = match (head, shown) {
            (Some(mut head), Some((mappers, request))) => {
                mapped(response, mappers, request, &mut head).await?
            }
            _ => response,
        };
        Err(Refusal::Reply(Box::new(response)))
    }

    /// Attaches the handle that the method returned.
    pub(super) async fn attach(self, handle: SseStream) -> Outcome {
        self.open(Some(handle), false).await?;
        Ok(Ended::Handle)
    }

    /// Attaches `handle`, or the call's own, to this request, and runs the connection hooks, those of outer controllers
    /// first. The head of a stream that may fail waits for the first event, error or end.
    async fn open(self, handle: Option<SseStream>, may_fail: bool) -> Result<SseStream, Refusal> {
        let Self { mut call, opening } = self;
        let handle = handle.unwrap_or_else(|| opening.handle());
        if !opening.admit(&call.request) {
            // A handle of a stream that is open elsewhere is not this request's to close.
            if handle.state.request().is_none() {
                handle.state.finish(CloseReason::Rejected);
            }
            return Err(Refusal::Overloaded);
        }
        handle.state.attach(opening.request(&call.request))?;
        // Its user has to pass the guards again.
        if opening.is_outdated(&handle) {
            handle.state.finish(CloseReason::Rejected);
            return Err(Refusal::Overloaded);
        }
        // Set once, because `open` takes the call.
        let _ = opening.attached.set(handle.clone());
        // If another handle was attached, this one is not used. It is dropped after it is unlocked.
        let own = lock(&opening.own).take();
        drop(own);
        handle.state.join_wanted().await?;
        accept(&mut call, &handle).await?;
        drop((call, opening));
        if let Some(request) = handle.state.request() {
            let reached = handle.state.reach_back(request).await;
            reached.inspect_err(|_| handle.state.reject())?;
            handle.state.go_live(request);
            if request.route.head_wait(may_fail).is_zero() {
                handle.state.let_head_leave();
            }
        }
        Ok(handle)
    }
}

/// Runs the connection hooks. An error rejects the stream. The close hooks of controllers that have already accepted it
/// still run.
async fn accept(call: &mut Call, handle: &SseStream) -> Result<(), HttpError> {
    let Some(request) = handle.state.request() else {
        return Ok(());
    };
    for hooks in &request.route.hooks {
        let mut hook_call = call.for_hook();
        if let Some(hook) = hooks.connection(&mut hook_call) {
            hook.await.inspect_err(|_| handle.state.reject())?;
        }
        request.accepted.fetch_add(1, Ordering::AcqRel);
    }
    Ok(())
}
