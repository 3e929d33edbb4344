//! Steps 1 and 2 of the [takeover](super): the service that hyper asks, and the place where a stream's body waits for it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use helios_core::text;
use http::header::{CONTENT_LENGTH, HeaderMap, TRAILER, TRANSFER_ENCODING};
use http::response::Parts;
use http::{Method, Request, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::future::BoxFuture;
use crate::head::asks_to_close;
use crate::panics::CaughtBody;
use crate::routing::service::Stack;
use crate::server::host;
use crate::server::takeover::stream::TakenBody;
use crate::sse::answer::Answer;

/// Shared by the parts of one connection while hyper serves it.
#[derive(Default)]
pub(crate) struct Handover {
    /// The body of the request in hand has been read to its end, or it has none.
    request_read: AtomicBool,
    /// The request is of HTTP/1.0, which tells the end of an answer by that of the connection.
    ends_with_connection: AtomicBool,
    begun: AtomicBool,
    state: Mutex<HandoverState>,
}

#[derive(Default)]
struct HandoverState {
    stream: Option<TakenOver>,
    flushed: bool,
}

/// A response whose body hyper does not write.
pub(crate) struct TakenOver {
    /// What hyper has written: the head, and before it what the socket had not taken yet.
    pub(crate) written: Vec<u8>,
    pub(crate) body: TakenBody,
    pub(crate) framing: Framing,
}

/// What the request says of how a stream is written.
#[derive(Clone, Copy)]
pub(crate) struct Framing {
    /// In chunks; otherwise as it is, until the connection ends.
    pub(crate) chunked: bool,
    /// The connection ends with this response.
    pub(crate) last: bool,
}

impl Handover {
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn ends_with_connection(&self) -> bool {
        self.ends_with_connection.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, bytes: &[u8]) {
        if let Some(stream) = &mut self.state().stream {
            stream.written.extend_from_slice(bytes);
        }
    }

    pub(crate) fn flush(&self) {
        self.state().flushed = true;
    }

    /// What was taken over, when hyper is done with it.
    pub(crate) fn take(&self) -> Option<TakenOver> {
        if !self.has_begun() {
            return None;
        }
        let mut state = self.state();
        state.flushed.then(|| state.stream.take()).flatten()
    }

    /// Keeps the body aside.
    fn begin(&self, head: Parts, body: TakenBody, mut framing: Framing) -> CaughtResponse {
        framing.last |= asks_to_close(&head.headers);
        self.state().stream = Some(TakenOver {
            written: Vec::new(),
            body,
            framing,
        });
        self.begun.store(true, Ordering::Relaxed);
        Response::from_parts(head, CaughtBody::new(Body::new(Held)))
    }

    fn state(&self) -> MutexGuard<'_, HandoverState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response whose body breaks off where it panics.
type CaughtResponse = http::Response<CaughtBody>;

/// The response to one request, as hyper sees it: of an event stream the head alone.
pub(crate) struct Answered {
    answer: BoxFuture<'static, Answer>,
    handover: Arc<Handover>,
    /// None if a stream would be hyper's to write.
    framing: Option<Framing>,
    is_http_10: bool,
}

impl Answered {
    pub(crate) fn new(stack: Stack, request: Request<Incoming>, handover: &Arc<Handover>) -> Self {
        let (framing, read) = (framing(&request), request.body().is_end_stream());
        handover.request_read.store(read, Ordering::Relaxed);
        let is_http_10 = request.version() == Version::HTTP_10;
        handover
            .ends_with_connection
            .store(is_http_10, Ordering::Relaxed);
        let request = request.map(|body| match read {
            true => Body::empty(),
            false => Body::new(RequestBody {
                body,
                handover: Arc::clone(handover),
            }),
        });
        Self {
            answer: host::answer(stack, request),
            handover: Arc::clone(handover),
            framing,
            is_http_10,
        }
    }
}

impl Future for Answered {
    type Output = Result<CaughtResponse, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.answer.as_mut().poll(cx));
        // What is unread of a request's body must not be taken for the next request.
        let read = self.handover.request_read.load(Ordering::Relaxed);
        let framing = self.framing.filter(|_| read);
        let mut response = match (answer, framing) {
            (Answer::Stream(stream), Some(framing)) if is_unframed(&stream) => {
                let (head, running) = stream.into_parts();
                let body = TakenBody::Own(running);
                self.handover.begin(head, body, framing)
            }
            (answer, _) => {
                let response = Response::from(answer).map(CaughtBody::new);
                match framing.filter(|_| may_be_taken(&response)) {
                    Some(framing) => {
                        let (head, body) = response.into_parts();
                        self.handover.begin(head, TakenBody::Other(body), framing)
                    }
                    None => response,
                }
            }
        };
        if self.is_http_10 && !says_length(&response) {
            // Only the end of the connection tells its end: to a response of this version hyper does not promise to keep it.
            *response.version_mut() = Version::HTTP_10;
        }
        Poll::Ready(Ok(response))
    }
}

fn says_length(response: &CaughtResponse) -> bool {
    let exact = response.body().size_hint().exact();
    exact.is_some() || response.headers().contains_key(CONTENT_LENGTH)
}

fn framing(request: &Request<Incoming>) -> Option<Framing> {
    let (headers, bodiless) = (request.headers(), [Method::HEAD, Method::CONNECT]);
    // hyper ends a connection whose request has both a length and an encoding, which cannot be seen here.
    if bodiless.contains(request.method()) || headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let chunked = request.version() == Version::HTTP_11;
    let last = !chunked || asks_to_close(headers);
    Some(Framing { chunked, last })
}

/// Whether it is an event stream, of a length that nobody knows.
fn may_be_taken(response: &CaughtResponse) -> bool {
    let body = response.body();
    response.status() == StatusCode::OK
        && says_event_stream(response.headers())
        && is_unframed(response)
        && !body.is_end_stream()
        && body.size_hint().exact().is_none()
}

/// Whether hyper would write the body as it comes, framed by the version of HTTP alone.
fn is_unframed<B>(response: &http::Response<B>) -> bool {
    let framed = [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER];
    let says = |name| response.headers().contains_key(name);
    response.version() == Version::HTTP_11 && !framed.iter().any(says)
}

fn says_event_stream(headers: &HeaderMap) -> bool {
    let kind = text::media_type(headers);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
}

/// Notes when a request's body has been read to its end.
struct RequestBody {
    body: Incoming,
    handover: Arc<Handover>,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.handover.request_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body that hyper sees of a stream that is taken over.
struct Held;

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}
