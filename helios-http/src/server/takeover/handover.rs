//! Steps 1 and 2 of the [takeover](super): the service that hyper calls, and the place where a stream's body waits.
//! Other state that the parts of a connection share while hyper serves it is here, too.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use helios_core::text;
use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::future::BoxFuture;
use crate::head::{asks_to_close, says_event_stream};
use crate::panics::CaughtBody;
use crate::routing::service::Stack;
use crate::server::host;
use crate::server::takeover::stream::TakenBody;
use crate::server::upgrade::Upgrade;
use crate::sse::answer::Answer;

/// Shared by the parts of one connection while hyper serves it.
#[derive(Default)]
pub(crate) struct Handover {
    request: RequestInHand,
    /// hyper has written data that the socket may not have accepted.
    owes: AtomicBool,
    /// Whether the request is HTTP/1.0, where the end of the connection is the end of the response.
    ends_with_connection: AtomicBool,
    begun: AtomicBool,
    state: Mutex<HandoverState>,
    pub(crate) upgrade: Arc<Upgrade>,
}

/// The number of the current request, and the state of its body. A handler's task may still hold the body of an earlier
/// request, which must not affect a later one.
#[derive(Default)]
struct RequestInHand(AtomicUsize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum RequestBodyState {
    /// There is no request. hyper waits for the next head.
    NoRequest,
    /// The handler may still read it.
    Unread,
    /// Nobody will read the rest of it.
    Dropped,
    /// It has been read to its end, or there is none.
    Read,
}

impl RequestBodyState {
    const ALL: [Self; 4] = [Self::NoRequest, Self::Unread, Self::Dropped, Self::Read];
}

impl RequestInHand {
    /// Records the next request, and returns its number.
    fn begin(&self, body: RequestBodyState) -> usize {
        let number = self.number().wrapping_add(1);
        self.set(number, body);
        number
    }

    /// Records that hyper waits for a head.
    fn end(&self) {
        self.set(self.number(), RequestBodyState::NoRequest);
    }

    /// Records what happened to an unread body.
    fn became(&self, number: usize, body: RequestBodyState) {
        let unread = Self::packed(number, RequestBodyState::Unread);
        let became = Self::packed(number, body);
        let ordering = Ordering::Relaxed;
        // Fails if that is known already, or if the request is no longer the current one.
        let _ = self.0.compare_exchange(unread, became, ordering, ordering);
    }

    fn body(&self) -> RequestBodyState {
        RequestBodyState::ALL[self.0.load(Ordering::Relaxed) % 4]
    }

    fn number(&self) -> usize {
        self.0.load(Ordering::Relaxed) / 4
    }

    fn set(&self, number: usize, body: RequestBodyState) {
        self.0.store(Self::packed(number, body), Ordering::Relaxed);
    }

    fn packed(number: usize, body: RequestBodyState) -> usize {
        number.wrapping_mul(4) | body as usize
    }
}

#[derive(Default)]
struct HandoverState {
    stream: Option<TakenOver>,
    flushed: bool,
}

/// A response whose body hyper does not write.
pub(crate) struct TakenOver {
    /// The bytes that hyper has written: the head, preceded by data that the socket had not accepted yet.
    pub(crate) written: Vec<u8>,
    pub(crate) body: TakenBody,
    pub(crate) framing: Framing,
}

/// How the request allows a stream to be written.
#[derive(Clone, Copy)]
pub(crate) struct Framing {
    /// In chunks. Otherwise unframed, until the connection ends.
    pub(crate) chunked: bool,
    /// Whether the connection ends after this response.
    pub(crate) last: bool,
}

impl Handover {
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Records that hyper waits for the next request's head. It has encoded the response, and the request's body was
    /// read to its end.
    pub(crate) fn awaits_head(&self) {
        self.request.end();
    }

    /// Records that hyper has written, or tries to.
    pub(crate) fn wrote(&self) {
        self.owes.store(true, Ordering::Relaxed);
    }

    /// Records that the socket has accepted everything that hyper had written.
    pub(crate) fn took_all(&self) {
        self.owes.store(false, Ordering::Relaxed);
    }

    /// Whether there is no request and no response in progress. Part of a head is not a request.
    pub(crate) fn is_idle(&self) -> bool {
        self.request.body() == RequestBodyState::NoRequest && !self.owes.load(Ordering::Relaxed)
    }

    /// Whether the client may still be sending a body that nobody has read.
    pub(crate) fn is_request_unread(&self) -> bool {
        use RequestBodyState::{Dropped, Unread};
        matches!(self.request.body(), Unread | Dropped)
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

    /// Returns the stream that is taken over, once hyper has flushed its head.
    pub(crate) fn take(&self) -> Option<TakenOver> {
        if !self.has_begun() {
            return None;
        }
        let mut state = self.state();
        state.flushed.then(|| state.stream.take()).flatten()
    }

    /// Stores the body, and returns the response for hyper.
    fn begin(&self, mut head: Parts, body: TakenBody, mut framing: Framing) -> CaughtResponse {
        if asks_to_close(&head.headers) {
            framing.last = true;
        } else if framing.last && framing.chunked {
            let close = HeaderValue::from_static("close");
            head.headers.insert(CONNECTION, close);
        }
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

/// A response whose body breaks off if it panics.
type CaughtResponse = http::Response<CaughtBody>;

/// The response to one request for hyper. For an event stream, that is only the head.
pub(crate) struct Answered {
    answer: BoxFuture<'static, Answer>,
    handover: Arc<Handover>,
    /// `None` if hyper would have to write a stream.
    framing: Option<Framing>,
    is_http_10: bool,
    is_connect: bool,
}

impl Answered {
    pub(crate) fn new(stack: Stack, request: Request<Incoming>, handover: &Arc<Handover>) -> Self {
        let framing = framing(&request);
        let is_connect = request.method() == Method::CONNECT;
        let is_http_10 = request.version() == Version::HTTP_10;
        handover
            .ends_with_connection
            .store(is_http_10, Ordering::Relaxed);
        Self {
            answer: host::answer(stack, request.map(|body| noted(body, handover))),
            handover: Arc::clone(handover),
            framing,
            is_http_10,
            is_connect,
        }
    }

    /// Returns how to write a stream that is taken over now. Unread bytes of a request's body must not be taken for the
    /// next request. If nobody will read them, the stream is the last of its connection. If somebody may, hyper keeps
    /// the stream.
    fn framing(&self) -> Option<Framing> {
        let framing = self.framing?;
        let last = match self.handover.request.body() {
            RequestBodyState::Read => framing.last,
            RequestBodyState::Dropped => true,
            RequestBodyState::Unread | RequestBodyState::NoRequest => return None,
        };
        Some(Framing { last, ..framing })
    }
}

/// Wraps a request's body, to report to the handover what happens to it.
fn noted(body: Incoming, handover: &Arc<Handover>) -> Body {
    if body.is_end_stream() {
        handover.request.begin(RequestBodyState::Read);
        return Body::empty();
    }
    Body::new(RequestBody {
        number: handover.request.begin(RequestBodyState::Unread),
        body,
        handover: Arc::clone(handover),
    })
}

impl Future for Answered {
    type Output = Result<CaughtResponse, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.answer.as_mut().poll(cx));
        let framing = self.framing();
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
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let is_websocket = text::elements(response.headers(), UPGRADE, b',')
                .flatten()
                .any(|protocol| protocol.eq_ignore_ascii_case("websocket"));
            self.handover.upgrade.grant(is_websocket);
        } else if self.is_connect && response.status().is_success() {
            self.handover.upgrade.grant(false);
        }
        if self.is_http_10 && !says_length(&response) {
            // Only the end of the connection marks its end. hyper does not promise keep-alive in a response of this
            // version.
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
    if [Method::HEAD, Method::CONNECT].contains(request.method()) {
        return None;
    }
    let headers = request.headers();
    let chunked = request.version() == Version::HTTP_11;
    // hyper ends a connection whose request has both a length and an encoding, which is not visible here.
    let may_be_smuggled = headers.contains_key(TRANSFER_ENCODING);
    let last = !chunked || may_be_smuggled || asks_to_close(headers);
    Some(Framing { chunked, last })
}

/// Whether the response is an event stream of unknown length.
fn may_be_taken(response: &CaughtResponse) -> bool {
    let body = response.body();
    // Most bodies have a length, so nothing else has to be checked.
    response.status() == StatusCode::OK
        && body.size_hint().exact().is_none()
        && says_event_stream(response.headers())
        && is_unframed(response)
        && !body.is_end_stream()
}

/// Whether hyper would write the body as it is, framed only by the version of HTTP.
fn is_unframed<B>(response: &http::Response<B>) -> bool {
    let framed = [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER];
    let says = |name| response.headers().contains_key(name);
    response.version() == Version::HTTP_11 && !framed.iter().any(says)
}

/// A request's body that records whether it has been read to its end.
struct RequestBody {
    body: Incoming,
    number: usize,
    handover: Arc<Handover>,
}

impl RequestBody {
    fn became(&self, state: RequestBodyState) {
        self.handover.request.became(self.number, state);
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.became(RequestBodyState::Dropped);
    }
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
            self.became(RequestBodyState::Read);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_request_s_body_does_not_affect_the_current() {
        let request = RequestInHand::default();
        assert_eq!(request.body(), RequestBodyState::NoRequest);
        let first = request.begin(RequestBodyState::Unread);
        request.end();
        request.became(first, RequestBodyState::Read);
        assert_eq!(request.body(), RequestBodyState::NoRequest);
        let second = request.begin(RequestBodyState::Unread);
        request.became(first, RequestBodyState::Read);
        assert_eq!(request.body(), RequestBodyState::Unread);
        request.became(second, RequestBodyState::Dropped);
        assert_eq!(request.body(), RequestBodyState::Dropped);
        request.became(second, RequestBodyState::Read);
        assert_eq!(request.body(), RequestBodyState::Dropped);
    }
}
