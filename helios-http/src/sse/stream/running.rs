//! A stream from its first poll to its end. It turns the source and the queues of the stream's state into chunks. It
//! knows nothing of hyper. `server/takeover/stream.rs` writes its chunks, or an HTTP body passes them on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios_core::error::{HttpError, find_cause};
use helios_core::hub::{EventId, Frame};
use helios_core::request::ResponseHead;
use helios_core::sse::{CloseReason, SseError};
use http::StatusCode;
use tokio::time::{Sleep, sleep};

use crate::failure::log_failure;
use crate::future::BoxFuture;
use crate::panics::{caught, caught_of};
use crate::reply::with_head;
use crate::sse::call::{Ended, Opening, Outcome, Refusal};
use crate::sse::control;
use crate::sse::limiter::Permit;
use crate::sse::stream::failure;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::hook_tasks;
use crate::sse::stream::lifecycle::{EndEvent, Ending};
use crate::sse::stream::route::StreamRoute;
use crate::sse::stream::state::{Beginning, BrokenOff, Chunk};
use crate::trace::StreamTrace;

/// A running stream. Dropping it at any moment ends the stream. The reason is `SlowClient` if the server cuts it
/// because the client does not read, and otherwise `ClientDisconnected`, unless an end was decided before.
pub(crate) struct RunningStream {
    /// Given back when the stream has ended, before the app's values of the stream are dropped.
    permit: Option<Permit>,
    /// Kept here because each event needs it.
    route: Arc<StreamRoute>,
    /// Kept until the head leaves.
    opening: Option<Arc<Opening>>,
    /// The handle, once one is attached.
    stream: Option<SseStream>,
    source: Option<BoxFuture<'static, Outcome>>,
    preamble: Option<Bytes>,
    /// Whether the source now runs the error hooks.
    failing: bool,
    /// The reason that the hooks receive, once the stream has ended.
    closed: Option<CloseReason>,
    trace: StreamTrace,
}

/// How the attempt to open a stream ended.
pub(crate) enum OpenOutcome {
    /// The head may leave, with the position that it contains.
    Stream(ResponseHead, Option<EventId>),
    /// An ordinary response instead.
    Refused(Response),
    /// There is no room for it.
    Overloaded,
    /// An ordinary error instead.
    Failed(HttpError),
}

/// Measures how long the response head has waited. It is dropped when the head leaves.
#[derive(Default)]
pub(crate) struct HeadTimer(Option<Pin<Box<Sleep>>>);

impl HeadTimer {
    /// Starts at the first call.
    fn has_passed(&mut self, wait: Duration, cx: &mut Context<'_>) -> bool {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep(wait)));
        timer.as_mut().poll(cx).is_ready()
    }
}

impl RunningStream {
    pub(crate) fn new(
        opening: Arc<Opening>,
        source: BoxFuture<'static, Outcome>,
        permit: Option<Permit>,
    ) -> Self {
        Self {
            permit,
            route: Arc::clone(&opening.route),
            opening: Some(opening),
            stream: None,
            source: Some(source),
            preamble: None,
            failing: false,
            closed: None,
            trace: StreamTrace::start(),
        }
    }

    /// Runs the source until the head may leave, or until it is clear that it will not.
    pub(crate) fn poll_open(
        &mut self,
        timer: &mut HeadTimer,
        cx: &mut Context<'_>,
    ) -> Poll<OpenOutcome> {
        match self.poll_source(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(ending)) => self.source_ended(ending),
            Poll::Ready(Err(refusal)) => {
                let is_told =
                    |stream: &SseStream| stream.state.is_live() && stream.state.has_sent();
                if !self.stream.as_ref().is_some_and(is_told) {
                    return Poll::Ready(self.refuse(refusal));
                }
                self.fail(refusal);
            }
        }
        if !self.head_may_leave(timer, cx) {
            return Poll::Pending;
        }
        Poll::Ready(self.begin())
    }

    /// Lets the head leave. The state that only the start of a stream needs is dropped first, because it holds a
    /// handle, too.
    fn begin(&mut self) -> OpenOutcome {
        let opening = self.opening.take();
        let head = opening.map(|opening| opening.head.clone());
        let mut position = None;
        if let Some(stream) = &self.stream {
            match stream.state.begin() {
                Beginning::Open(at) => position = at,
                refused => return self.refuse_at(&refused),
            }
            self.trace.opened(stream.id());
            let options = self.route.hub().options();
            let preamble = control::preamble(options, &self.route.options, stream.id());
            self.preamble = Some(preamble);
        }
        OpenOutcome::Stream(head.unwrap_or_default(), position)
    }

    /// Whether the head may leave. The first event, the error and the end let it leave, and so does the end of its
    /// longest wait.
    fn head_may_leave(&self, timer: &mut HeadTimer, cx: &mut Context<'_>) -> bool {
        let Some(stream) = &self.stream else {
            return self.source.is_none();
        };
        if stream.state.poll_head(cx) {
            return true;
        }
        // A source that may not fail waits only if the route sets a time.
        stream.state.is_live() && timer.has_passed(self.route.head_wait(true), cx)
    }

    /// Refuses a plain stream. Its client knows no control events, so it gets a status, as long as the head has not
    /// left.
    fn refuse_at(&mut self, beginning: &Beginning) -> OpenOutcome {
        self.finish(CloseReason::Rejected);
        match beginning {
            Beginning::Over => OpenOutcome::Refused(StatusCode::NO_CONTENT.into_response()),
            Beginning::Gone => OpenOutcome::Failed(gone()),
            Beginning::Open(_) | Beginning::SentAway => OpenOutcome::Overloaded,
        }
    }

    /// Returns the next chunk of the stream, or `None` at its end.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        while self.source_goes_on() {
            match self.poll_source(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(ending)) => self.source_ended(ending),
                Poll::Ready(Err(refusal)) => self.fail(refusal),
            }
        }
        let Some(stream) = self.stream.as_ref().filter(|_| self.closed.is_none()) else {
            return Poll::Ready(None);
        };
        let preamble = self.preamble.take();
        let frame = preamble.map_or_else(Frame::default, Frame::opening);
        let mut polled = stream.state.poll_chunk(self.route.hub(), frame, cx);
        match &mut polled {
            Poll::Ready(Some(Ok(chunk))) => {
                self.trace.took_frame();
                // Until it is polled again, a source may be waiting for room.
                chunk.waits &= self.source.is_none();
            }
            Poll::Ready(None | Some(Err(BrokenOff))) => self.finish(CloseReason::Completed),
            Poll::Pending => {}
        }
        polled
    }

    /// Records that so many bytes have left, or were accepted by the writer.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.trace.wrote(bytes);
    }

    fn source_goes_on(&self) -> bool {
        let is_closed = || self.stream.as_ref().is_none_or(SseStream::is_closed);
        self.source.is_some() && (self.failing || !is_closed())
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(source) = &mut self.source else {
            return Poll::Pending;
        };
        let poll = || source.as_mut().poll(cx);
        let polled = caught_of(&self.trace.span, "an SSE stream", poll)
            .unwrap_or(Poll::Ready(Err(Refusal::Error(SseError::Panicked))));
        if let (None, Some(opening)) = (&self.stream, &self.opening) {
            self.stream = opening.attached().cloned();
            self.permit = self.permit.take().or_else(|| opening.take_permit());
        }
        if polled.is_ready() {
            self.drop_source();
        }
        polled
    }

    fn source_ended(&self, ending: Ended) {
        let Some(stream) = &self.stream else { return };
        match ending {
            Ended::Completed => stream.state.end(&Ending::COMPLETED),
            Ended::Handle => stream.state.leave_to_handles(),
        }
    }

    /// Returns an ordinary response, because nothing has left yet.
    fn refuse(&mut self, refusal: Refusal) -> OpenOutcome {
        self.finish(match refusal {
            // The producer has completed its work.
            Refusal::Reply(_) => CloseReason::Completed,
            _ => CloseReason::Error,
        });
        match refusal {
            Refusal::Response(response) | Refusal::Reply(response) => {
                OpenOutcome::Refused(match &self.opening {
                    Some(opening) => with_head(*response, &opening.head),
                    None => *response,
                })
            }
            Refusal::Error(error) => OpenOutcome::Failed(error.into()),
            Refusal::Overloaded => OpenOutcome::Overloaded,
        }
    }

    /// Handles a failure after the head has left. The error hooks run, the client gets the error, and the stream ends
    /// without an end mark.
    fn fail(&mut self, refusal: Refusal) {
        let Some(stream) = self.stream.clone() else {
            return;
        };
        let error = match refusal {
            // The end of this stream is no failure of its source. The end of another stream is.
            Refusal::Error(error) if is_of_closed(&error) && stream.is_closed() => return,
            Refusal::Error(error) => error,
            Refusal::Response(response) => {
                HttpError::from(response.into_response().status()).into()
            }
            Refusal::Reply(_) => {
                HttpError::internal("a response came when the stream had begun").into()
            }
            // An overload is known before the head leaves.
            Refusal::Overloaded => return,
        };
        if !matches!(error, SseError::Panicked) {
            self.trace.span.in_scope(|| {
                log_failure!(warn, "an SSE stream failed", &error, client = stream.id());
            });
        }
        stream.state.fail();
        self.failing = true;
        self.source = Some(Box::pin(async move {
            let event = match stream.state.request() {
                Some(request) => {
                    hook_tasks::run_error(&stream, request, &error).await;
                    failure::end_event(&stream, request, error).await
                }
                None => EndEvent::Error(error),
            };
            stream.state.end(&Ending {
                reason: CloseReason::Error,
                event,
            });
            Ok(Ended::Handle)
        }));
    }

    /// User code may also panic while it is dropped.
    fn drop_source(&mut self) {
        if let Some(source) = self.source.take() {
            caught("the end of an SSE stream", || drop(source));
        }
    }

    /// Ends the stream. Later polls return nothing.
    fn finish(&mut self, reason: CloseReason) {
        self.drop_source();
        let (Some(stream), None) = (&self.stream, self.closed) else {
            return;
        };
        match stream.state.is_cut_as_stuck() {
            true => stream.state.end_as_stuck(),
            false => stream.state.finish(reason),
        }
        // The heartbeat may have ended it before.
        self.closed = Some(stream.state.finished().unwrap_or(reason));
    }
}

/// Returns the response to a client that cannot resume where it left off, and that knows no reset event.
fn gone() -> HttpError {
    let detail = "history does not reach back to where this stream would begin; reload, then reconnect without an id";
    HttpError::new(StatusCode::GONE, detail)
}

/// Whether the error is that of a closed stream. A producer that returns the error of its last `send` has not failed.
fn is_of_closed(error: &SseError) -> bool {
    let cause = match error {
        SseError::Failed(error) => find_cause(&**error),
        other => Some(other),
    };
    matches!(cause, Some(SseError::Closed(_)))
}

impl Drop for RunningStream {
    /// Logs the end here and not where it is decided, because the last bytes leave in between.
    fn drop(&mut self) {
        self.finish(CloseReason::ClientDisconnected);
        if let (Some(stream), Some(reason)) = (&self.stream, self.closed) {
            self.trace.closed(stream.id(), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_closed_stream_is_found_inside_others() {
        let closed = SseError::Closed(CloseReason::ServerClosed);
        assert!(is_of_closed(&closed));
        assert!(is_of_closed(&HttpError::from(closed).into()));
        assert!(!is_of_closed(&HttpError::from(SseError::Full).into()));
        assert!(!is_of_closed(&SseError::Panicked));
    }
}
