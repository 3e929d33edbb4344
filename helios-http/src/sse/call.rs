//! An `#[sse]` call: from the bound arguments to a live connection.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_core::response::Response;
use futures_core::Stream;
use helios_core::call::Call;
use helios_core::error::HttpError;
use helios_core::event::SseEvent;
use helios_core::interceptor::MapData;
use helios_core::reply::Reply;
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::sse::SseError;
use pin_project_lite::pin_project;

use crate::future::BoxFuture;
use crate::peer::Peer;
use crate::sse::hooks::SseHooks;
use crate::sse::hub::Hub;
use crate::sse::limiter::Seat;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::state::{Attachment, EventMapper};

/// How long a producer may run before its response head leaves without an event.
const HEAD_GRACE: Duration = Duration::from_millis(250);

/// What became of a stream's source.
pub type Outcome = Result<Ended, Refusal>;

/// A source that gave no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The generator or producer ran to its end.
    Completed,
    /// The stream lives on by its handle.
    Handle,
}

/// A source that failed.
#[derive(Debug)]
pub enum Refusal {
    /// Before the head it is a status, after it an `error` event.
    Error(SseError),
    /// A finished response of a handler's own error type.
    Response(Box<Response>),
}

impl<E: Into<SseError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// What a generator yields, its type forgotten: one way of running it is compiled, not one for each.
pub(crate) type EventStream<'a> =
    Pin<Box<dyn Stream<Item = Result<SseEvent, SseError>> + Send + 'a>>;

pin_project! {
    /// A stream of anything that can be sent, as events.
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

/// Given to an async method that was a producer and has run to its end.
#[derive(Debug)]
pub struct Finished(pub(crate) Outcome);

/// What a route puts around its streams.
#[derive(Default)]
pub(crate) struct Around {
    pub(crate) hooks: Arc<[Arc<dyn SseHooks>]>,
    pub(crate) mappers: Arc<[&'static dyn MapData]>,
    pub(crate) restart: bool,
}

/// What the call of a route and the connection that it opens have in common.
pub(crate) struct Opening {
    pub(crate) hub: Arc<Hub>,
    around: Around,
    peer: Option<Arc<Peer>>,
    /// Given up when the connection is over.
    _seat: Seat,
    /// The handle that was attached.
    pub(crate) client: OnceLock<SseStream>,
    pub(crate) head: ResponseHead,
    /// The source has been polled, or need not be: the head may leave.
    pub(crate) ready: AtomicBool,
}

impl Opening {
    pub(crate) fn new(
        hub: Arc<Hub>,
        around: Around,
        peer: Option<Arc<Peer>>,
        head: ResponseHead,
        seat: Seat,
    ) -> Arc<Self> {
        Arc::new(Self {
            hub,
            around,
            peer,
            _seat: seat,
            client: OnceLock::new(),
            head,
            ready: AtomicBool::new(false),
        })
    }

    fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// A call's own handle, made when it is asked for: a method that gives another has no need of it.
pub(crate) struct OwnHandle {
    hub: Arc<Hub>,
    handle: OnceLock<SseStream>,
}

impl OwnHandle {
    pub(crate) fn get(&self) -> SseStream {
        let make = || SseStream::known_to(&self.hub);
        self.handle.get_or_init(make).clone()
    }
}

/// The call of an `#[sse]` method. It binds like any [`Call`]; what the method gives is then run by it.
pub struct SseCall {
    call: Box<Call>,
    opening: Arc<Opening>,
    own: Arc<OwnHandle>,
}

impl Deref for SseCall {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

impl DerefMut for SseCall {
    fn deref_mut(&mut self) -> &mut Call {
        &mut self.call
    }
}

impl SseCall {
    pub(crate) fn new(mut call: Box<Call>, opening: Arc<Opening>) -> Self {
        let own = Arc::new(OwnHandle {
            hub: Arc::clone(&opening.hub),
            handle: OnceLock::new(),
        });
        call.client = Some(Arc::clone(&own) as _);
        Self { call, opening, own }
    }

    /// The outcome of a call whose arguments could not be bound.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn refused(&mut self) -> Outcome {
        Err(self.call.refusal().into())
    }

    /// The request, for a method that looks at it as long as its stream runs.
    #[must_use]
    pub fn shared_request(&self) -> Arc<RequestContext> {
        Arc::new(self.call.request.clone())
    }

    /// The outcome of a method whose `Result` or `Option` held no stream.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn replied(reply: Reply) -> Outcome {
        match reply {
            Ok(response) => Err(Refusal::Response(Box::new(response))),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs a stream: opens the connection, polls the stream once, and sends what it yields.
    pub(crate) async fn forward(self, mut stream: EventStream<'_>) -> Outcome {
        let (client, opening) = self.open(None).await?;
        let mut held: Option<SseEvent> = None;
        poll_fn(|cx| {
            opening.set_ready();
            if client.is_closed() {
                return Poll::Pending;
            }
            loop {
                if let Some(event) = &held {
                    // The connection polls its source again after each frame, so waiting for room needs no waker.
                    if !client.client.write(event)? {
                        return Poll::Pending;
                    }
                    held = None;
                }
                match ready!(stream.as_mut().poll_next(cx)) {
                    None => return Poll::Ready(Ok(Ended::Completed)),
                    Some(item) => held = Some(client.client.map(item?)),
                }
            }
        })
        .await
    }

    /// Runs a producer: opens the connection, then the method's own future.
    pub(crate) async fn produce(
        self,
        mut producer: BoxFuture<'_, Result<(), HttpError>>,
    ) -> Outcome {
        let (_client, opening) = self.open(None).await?;
        let mut grace = Some(Box::pin(tokio::time::sleep(HEAD_GRACE)));
        poll_fn(|cx| {
            let over =
                |sleep: &mut Pin<Box<tokio::time::Sleep>>| sleep.as_mut().poll(cx).is_ready();
            if grace.as_mut().is_some_and(over) || opening.is_ready() {
                grace = None;
                opening.set_ready();
            }
            producer.as_mut().poll(cx)
        })
        .await
        .map(|()| Ended::Completed)
        .map_err(Refusal::from)
    }

    /// Attaches the handle that the method returned.
    pub(crate) async fn attach(self, handle: SseStream) -> Outcome {
        let (_, opening) = self.open(Some(handle)).await?;
        opening.set_ready();
        Ok(Ended::Handle)
    }

    /// Attaches `handle`, or the call's own, to this request and asks the connection hooks, outer controller first.
    async fn open(self, handle: Option<SseStream>) -> Result<(SseStream, Arc<Opening>), Refusal> {
        let Self {
            mut call,
            opening,
            own,
        } = self;
        let client = handle.unwrap_or_else(|| own.get());
        drop(own);
        let mapper = (!opening.around.mappers.is_empty()).then(|| EventMapper {
            mappers: Arc::clone(&opening.around.mappers),
            request: call.request.clone(),
            head: opening.head.snapshot(),
        });
        client.client.attach(Attachment {
            hub: Arc::clone(&opening.hub),
            hooks: Arc::clone(&opening.around.hooks),
            accepted: AtomicUsize::new(0),
            mapper,
            last_event_id: call.request.last_event_id(),
            restart: opening.around.restart,
            peer: opening.peer.clone(),
        })?;
        // Set once: `open` takes the call.
        let _ = opening.client.set(client.clone());
        client.client.join_wanted().await?;
        accept(&mut call, &client).await?;
        drop(call);
        if let Some(attachment) = client.client.attachment.get() {
            client.client.reach_back(attachment).await;
            client.client.go_live(attachment);
        }
        Ok((client, opening))
    }
}

/// Runs the connection hooks. An error rejects; the controllers asked before are owed their close hooks.
async fn accept(call: &mut Call, client: &SseStream) -> Result<(), HttpError> {
    let Some(attachment) = client.client.attachment.get() else {
        return Ok(());
    };
    for hooks in attachment.hooks.iter() {
        let mut hook_call = call.for_hook(Arc::clone(&client.client) as _);
        if let Some(hook) = hooks.connection(&mut hook_call) {
            hook.await.inspect_err(|_| client.client.reject())?;
        }
        attachment.accepted.fetch_add(1, Ordering::AcqRel);
    }
    Ok(())
}
