//! A connection from its first poll to its end: the source and the client's queues, turned into frames. It knows
//! nothing of hyper: `server/stream.rs` writes its pieces, or [`crate::sse::body`] hands them on.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios_core::error::{HttpError, find_cause};
use helios_core::hub::Frame;
use helios_core::request::ResponseHead;
use helios_core::sse::{CloseReason, SseError};

use crate::future::BoxFuture;
use crate::panics::caught;
use crate::sse::call::{Ended, Opening, Outcome, Refusal};
use crate::sse::hub::Hub;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::state::{Ending, Farewell, Piece};
use crate::sse::{control, hooks};
use crate::trace::StreamTrace;

/// Dropping it, at any moment, ends the connection: with `SlowClient` if the server cuts it because the client does not read,
/// and else with `ClientDisconnected`, unless an end was decided before.
pub(crate) struct Connection {
    opening: Arc<Opening>,
    /// The opening's, at hand for each event.
    hub: Arc<Hub>,
    /// The opening's, once it has one.
    client: Option<SseStream>,
    source: Option<BoxFuture<'static, Outcome>>,
    preamble: Option<Bytes>,
    /// The source is the error hooks' now.
    failing: bool,
    trace: StreamTrace,
}

/// How the attempt to open a stream ended.
pub(crate) enum Opened {
    /// The head may leave.
    Stream(ResponseHead),
    /// An ordinary response instead.
    Refused(Response),
    /// An ordinary error instead.
    Failed(HttpError),
}

impl Connection {
    pub(crate) fn new(opening: Arc<Opening>, source: BoxFuture<'static, Outcome>) -> Self {
        Self {
            hub: Arc::clone(&opening.hub),
            opening,
            client: None,
            source: Some(source),
            preamble: None,
            failing: false,
            trace: StreamTrace::start(),
        }
    }

    fn client(&self) -> Option<&SseStream> {
        self.client.as_ref()
    }

    /// Runs the source until the head may leave, or until it is clear that it will not.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        match self.poll_source(cx) {
            Poll::Pending => {
                let wanted = self
                    .client()
                    .is_some_and(|client| client.client.poll_head(cx));
                if !wanted && !self.opening.is_ready() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(Ok(ending)) => self.source_ended(ending),
            Poll::Ready(Err(refusal)) => {
                let live = self.client().filter(|client| client.client.is_live());
                if live.is_none_or(|client| !client.client.has_sent()) {
                    return Poll::Ready(self.refuse(refusal));
                }
                self.fail(refusal);
            }
        }
        if let Some(client) = self.client() {
            self.trace.opened(client.id());
            let options = self.hub.options();
            self.preamble = Some(control::preamble(options, client.id()));
        }
        Poll::Ready(Opened::Stream(self.opening.head.clone()))
    }

    /// The next piece of the stream; `None` is its end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        while self.source_goes_on() {
            match self.poll_source(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(ending)) => self.source_ended(ending),
                Poll::Ready(Err(refusal)) => self.fail(refusal),
            }
        }
        let Some(client) = &self.client else {
            return Poll::Ready(None);
        };
        let frame = self
            .preamble
            .take()
            .map_or_else(Frame::default, Frame::opening);
        let mut polled = client.client.poll_piece(&self.hub, frame, cx);
        match &mut polled {
            Poll::Ready(Some(piece)) => {
                self.trace.wrote(piece.bytes.len());
                // A source waits for room, if it does, until it is polled again.
                piece.waits &= self.source.is_none();
            }
            Poll::Ready(None) => self.end(CloseReason::Completed),
            Poll::Pending => {}
        }
        polled
    }

    fn source_goes_on(&self) -> bool {
        let is_closed = || self.client().is_none_or(SseStream::is_closed);
        self.source.is_some() && (self.failing || !is_closed())
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(source) = &mut self.source else {
            return Poll::Pending;
        };
        let polled = caught("an SSE stream", || source.as_mut().poll(cx))
            .unwrap_or(Poll::Ready(Err(Refusal::Error(SseError::Panicked))));
        if self.client.is_none() {
            self.client = self.opening.client.get().cloned();
        }
        if polled.is_ready() {
            self.drop_source();
        }
        polled
    }

    fn source_ended(&self, ending: Ended) {
        if let (Ended::Completed, Some(client)) = (ending, self.client()) {
            client.client.end(Ending {
                reason: CloseReason::Completed,
                farewell: Farewell::End,
            });
        }
    }

    /// Nothing has left yet: the client gets an ordinary answer.
    fn refuse(&mut self, refusal: Refusal) -> Opened {
        self.end(CloseReason::Error);
        match refusal {
            Refusal::Response(response) => Opened::Refused(*response),
            Refusal::Error(error) => Opened::Failed(error.into()),
        }
    }

    /// The head has left: the error hooks run, the client is told, and the stream ends without an end mark.
    fn fail(&mut self, refusal: Refusal) {
        let Some(client) = self.client().cloned() else {
            return;
        };
        let error = match refusal {
            Refusal::Error(error) if is_of_closed(&error) => return,
            Refusal::Error(error) => error,
            Refusal::Response(response) => {
                HttpError::from(response.into_response().status()).into()
            }
        };
        let source = Error::source(&error);
        tracing::warn!(client = %client.id(), %error, source, "an SSE stream failed");
        client.client.fail();
        self.failing = true;
        self.source = Some(Box::pin(async move {
            if let Some(attachment) = client.client.attachment.get() {
                hooks::run_error(&client, attachment, &error).await;
            }
            client.client.end(Ending {
                reason: CloseReason::Error,
                farewell: Farewell::Error(error),
            });
            Ok(Ended::Handle)
        }));
    }

    /// User code may panic while it is dropped, too.
    fn drop_source(&mut self) {
        if let Some(source) = self.source.take() {
            caught("the end of an SSE stream", || drop(source));
        }
    }

    fn end(&mut self, reason: CloseReason) {
        self.drop_source();
        let Some(client) = self.client() else { return };
        let finished = match client.client.is_cut_as_stuck() {
            true => client.client.end_as_stuck(),
            false => client.client.finish(reason),
        };
        if let Some(reason) = finished {
            self.trace.closed(client.id(), reason);
        }
    }
}

/// A producer that gives the error of its last `send` has not failed.
fn is_of_closed(error: &SseError) -> bool {
    let cause = match error {
        SseError::Failed(error) => find_cause(&**error),
        other => Some(other),
    };
    matches!(cause, Some(SseError::Closed(_)))
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end(CloseReason::ClientDisconnected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_closed_connection_is_known_through_a_handler_s_own_error() {
        let closed = SseError::Closed(CloseReason::ServerClosed);
        assert!(is_of_closed(&closed));
        assert!(is_of_closed(&HttpError::from(closed).into()));
        assert!(!is_of_closed(&HttpError::from(SseError::Full).into()));
        assert!(!is_of_closed(&SseError::Panicked));
    }
}
