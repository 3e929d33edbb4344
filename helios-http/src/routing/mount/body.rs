//! The body of a mounted service's response, which ends or breaks off when the server shuts down.
//!
//! An event stream that answers a GET ends between two events, so its `EventSource` reconnects to another server. Any
//! other body may finish. It breaks off when the time for that is over, so that no client takes it for complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body as _, Frame, SizeHint};
use thiserror::Error;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::drain::MountedAnswer;
use crate::head::says_event_stream;

/// Wraps the body of a response that has begun.
pub(super) fn drained(response: Response, method: &Method, answer: MountedAnswer) -> Response {
    if response.body().is_end_stream() {
        return response;
    }
    let events = (*method == Method::GET && is_endless(&response)).then(|| Events::of(&response));
    response.map(|body| Body::new(DrainedBody::new(body, events, answer)))
}

/// Whether the response is an event stream of unknown length.
fn is_endless(response: &Response) -> bool {
    says_event_stream(response.headers())
        && !response.headers().contains_key(CONTENT_LENGTH)
        && response.body().size_hint().exact().is_none()
}

struct DrainedBody {
    body: Body,
    /// The events of a stream that ends when the server shuts down.
    events: Option<Events>,
    draining: Signal,
    over: Signal,
    running: Option<MountedAnswer>,
}

/// The error of a response that breaks off.
#[derive(Debug, Error)]
#[error("the server shut down before the response was complete")]
struct BrokenOff;

impl DrainedBody {
    fn new(body: Body, events: Option<Events>, mut answer: MountedAnswer) -> Self {
        if events.is_some() {
            answer.ends_when_asked();
        }
        Self {
            body,
            draining: Signal::new(&answer.draining),
            over: Signal::new(&answer.over),
            running: Some(answer),
            events,
        }
    }

    /// Returns how an event stream ends at its current position, or `None` within an event.
    fn end_of_events(&self) -> Option<Result<(), BrokenOff>> {
        match self.events.as_ref()? {
            Events::Plain(position) => position.is_between_events().then_some(Ok(())),
            Events::Encoded => Some(Err(BrokenOff)),
        }
    }

    fn end(
        &mut self,
        how: Result<(), BrokenOff>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        self.body = Body::empty();
        self.running = None;
        Poll::Ready(how.err().map(|error| Err(axum_core::Error::new(error))))
    }
}

impl http_body::Body for DrainedBody {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        let this = &mut *self;
        // A body that always has data would never be pending, so a plain stream ends here. An encoded one ends only
        // when it is silent.
        if this.draining.is_given()
            && let Some(Ok(())) = this.end_of_events()
        {
            return this.end(Ok(()));
        }
        if this.over.is_given() {
            return this.end(Err(BrokenOff));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            match &frame {
                Some(Ok(frame)) => this.note(frame),
                _ => this.running = None,
            }
            return Poll::Ready(frame);
        }
        if this.events.is_some()
            && this.draining.poll(cx).is_ready()
            && let Some(end) = this.end_of_events()
        {
            return this.end(end);
        }
        ready!(this.over.poll(cx));
        this.end(Err(BrokenOff))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl DrainedBody {
    fn note(&mut self, frame: &Frame<Bytes>) {
        if let (Some(Events::Plain(position)), Some(data)) = (&mut self.events, frame.data_ref()) {
            position.pass(data);
        }
    }
}

/// A signal that is given once. Waiting for it allocates only when something waits.
struct Signal {
    token: CancellationToken,
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Signal {
    fn new(token: &CancellationToken) -> Self {
        Self {
            token: token.clone(),
            waiting: None,
        }
    }

    fn is_given(&self) -> bool {
        self.token.is_cancelled()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = || Box::pin(self.token.clone().cancelled_owned());
        self.waiting.get_or_insert_with(wait).as_mut().poll(cx)
    }
}

/// The visible part of a body's events.
enum Events {
    Plain(Position),
    /// Compressed. The end of an event is not visible, and the end of the encoding would be missing.
    Encoded,
}

impl Events {
    fn of(response: &Response) -> Self {
        match response.headers().contains_key(CONTENT_ENCODING) {
            true => Self::Encoded,
            false => Self::Plain(Position::default()),
        }
    }
}

/// The position in an event stream: within an event, or between two (WHATWG HTML, section 9.2.6).
#[derive(Default)]
struct Position {
    line: Line,
    /// Whether an earlier line belongs to an event that no blank line has ended yet.
    is_in_event: bool,
    /// Whether the last byte was a CR. An LF after it belongs to the same line end.
    is_behind_cr: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Line {
    #[default]
    Empty,
    /// A comment or a `retry`, which do not belong to an event.
    Aside,
    Field,
}

impl Position {
    fn is_between_events(&self) -> bool {
        self.line == Line::Empty && !self.is_in_event
    }

    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let is_behind_cr = std::mem::replace(&mut self.is_behind_cr, *byte == b'\r');
            match (byte, self.line) {
                (b'\n', _) if is_behind_cr => {}
                (b'\r' | b'\n', line) => {
                    self.is_in_event = match line {
                        Line::Empty => false,
                        Line::Aside => self.is_in_event,
                        Line::Field => true,
                    };
                    self.line = Line::Empty;
                }
                (b':' | b'r', Line::Empty) => self.line = Line::Aside,
                (_, Line::Empty) => self.line = Line::Field,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_between(chunks: &[&str]) -> bool {
        let mut position = Position::default();
        chunks
            .iter()
            .for_each(|chunk| position.pass(chunk.as_bytes()));
        position.is_between_events()
    }

    #[test]
    fn a_stream_is_between_events_after_blank_lines_and_comments() {
        let between: [&[&str]; 9] = [
            &[],
            &["data: a\n\n"],
            &["data: a\n", "\n"],
            &["data: a\r\n\r", "\n"],
            &["data: a\r\r"],
            &["data: a\r", "\n\n"],
            &[": here\n"],
            &[":\nretry: 3000\n"],
            &["data: a\n\n: here\n", "id: 1\ndata: b\n\n"],
        ];
        for chunks in between {
            assert!(is_between(chunks), "{chunks:?}");
        }
        let within: [&[&str]; 8] = [
            &["data: a"],
            &["data: a\n"],
            &["data: a\r\n"],
            &["data: a\r", "\n"],
            &["id: 1\n: here\n"],
            &["data: a\n\nd"],
            &["data: a\n\n: he"],
            &["data\n", "retry: 1\n"],
        ];
        for chunks in within {
            assert!(!is_between(chunks), "{chunks:?}");
        }
    }
}
