//! Events for `tracing`: a span for each request, and an event at the end of its response or its stream.
//!
//! Routes are recorded by their template. Request targets are not recorded, since a query may hold a ticket. The end of
//! a stream is logged only here, whatever its cause.

use std::time::Duration;

use helios_core::bounded;
use helios_core::sse::{ClientId, CloseReason};
use http::{Method, StatusCode};
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// The longest name of a method, in bytes.
const LONGEST_METHOD: usize = 32;

/// Times one request from its routing to its response head, if a subscriber listens.
pub(crate) struct RequestTrace {
    span: Span,
    started: Option<Instant>,
}

impl RequestTrace {
    pub(crate) fn start(method: &Method, route: &str) -> Self {
        Self {
            span: tracing::info_span!(
                "request",
                method = %bounded::cut(method.as_str(), LONGEST_METHOD),
                route,
                status = tracing::field::Empty
            ),
            started: tracing::enabled!(tracing::Level::INFO).then(Instant::now),
        }
    }

    /// Runs the future that answers the request inside its span, if a subscriber listens.
    pub(crate) async fn around<F: Future + Unpin>(&self, answering: F) -> F::Output {
        match self.span.is_disabled() {
            true => answering.await,
            false => answering.instrument(self.span.clone()).await,
        }
    }

    /// Records the response's status, and its length if that is known.
    pub(crate) fn answered(&self, status: StatusCode, bytes: impl FnOnce() -> Option<u64>) {
        let Some(started) = self.started else { return };
        let (status, bytes) = (status.as_u16(), bytes());
        self.span.record("status", status);
        let duration_ms = millis(started.elapsed());
        self.span
            .in_scope(|| tracing::info!(status, duration_ms, bytes, "answered"));
    }
}

/// Counts the output of one stream.
pub(crate) struct StreamTrace {
    /// The span of the request.
    pub(crate) span: Span,
    started: Instant,
    bytes: u64,
    frames: u64,
}

impl StreamTrace {
    /// Starts the trace of a stream that belongs to the current request.
    pub(crate) fn start() -> Self {
        Self {
            span: Span::current(),
            started: Instant::now(),
            bytes: 0,
            frames: 0,
        }
    }

    pub(crate) fn opened(&self, client: ClientId) {
        self.span
            .in_scope(|| tracing::debug!(%client, "stream opened"));
    }

    /// Records that one frame of events was taken.
    pub(crate) fn took_frame(&mut self) {
        self.frames += 1;
    }

    /// Records that bytes were written.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(crate) fn closed(&self, client: ClientId, reason: CloseReason) {
        let Self { bytes, frames, .. } = *self;
        let duration_ms = millis(self.started.elapsed());
        self.span.in_scope(|| {
            tracing::info!(%client, %reason, duration_ms, bytes, frames, "stream closed");
        });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
