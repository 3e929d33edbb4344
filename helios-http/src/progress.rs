//! Timeouts while the server waits for the peer. Every byte that moves restarts them, so a slow peer is not cut off but
//! one that has stopped is. They apply at the edge of the app, outside of layers and mounts. The one for a request's
//! body is here, those for responses are in [`server::progress`](crate::server).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_core::body::Body;
use bytes::Bytes;
use helios_core::bind::BodyTimeout;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// A timeout that has a timer only while something waits, which is rare.
pub(crate) struct Deadline {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(crate) fn new(after: Duration) -> Self {
        Self { after, timer: None }
    }

    pub(crate) fn after(&self) -> Duration {
        self.after
    }

    /// Call when data has moved, or nothing waits any more. Returns whether something had waited.
    pub(crate) fn clear(&mut self) -> bool {
        self.timer.take().is_some()
    }

    /// Call while something waits. Ready once it has waited for the whole time.
    pub(crate) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let after = self.after;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(after)));
        timer.as_mut().poll(cx)
    }
}

/// A request's body that fails if no data arrives for a while.
pub(crate) struct TimedBody {
    body: Body,
    deadline: Deadline,
}

impl TimedBody {
    pub(crate) fn around(body: Body, timeout: Duration) -> Body {
        if http_body::Body::is_end_stream(&body) {
            return body;
        }
        Body::new(Self {
            body,
            deadline: Deadline::new(timeout),
        })
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.deadline.clear();
            return Poll::Ready(frame);
        }
        let passed = this.deadline.poll_passed(cx);
        passed.map(|()| Some(Err(axum_core::Error::new(BodyTimeout))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use std::convert::Infallible;
    use tokio::time::Instant;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// A body that sends a byte after each pause, and then stalls.
    struct Slow(Vec<Duration>, Option<Pin<Box<Sleep>>>);

    impl http_body::Body for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(&pause) = self.0.last() else {
                return Poll::Pending;
            };
            let timer = self.1.get_or_insert_with(|| Box::pin(sleep(pause)));
            std::task::ready!(timer.as_mut().poll(cx));
            (self.1, _) = (None, self.0.pop());
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_byte_of_a_body_begins_its_deadline_anew() {
        let second = Duration::from_secs(1);
        let slow = Slow(vec![TIMEOUT - second; 5], None);
        let mut body = TimedBody::around(Body::new(slow), TIMEOUT);
        let begin = Instant::now();
        for _ in 0..5 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(body.frame().await.unwrap().is_err());
        let waited = begin.elapsed().as_secs();
        assert_eq!(waited, (6 * TIMEOUT - 5 * second).as_secs());
    }
}
