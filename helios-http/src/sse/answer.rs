//! The response to a request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame};

use crate::panics::{CaughtBody, length_of};
use crate::sse::stream::running::RunningStream;
use crate::sse::stream::state::BrokenOff;

/// A response, or a stream that is not wrapped yet, which a server may write without boxing it as a [`Body`].
pub(crate) enum Answer {
    Response(Response),
    Stream(Box<http::Response<RunningStream>>),
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Response(response) => response.status(),
            Self::Stream(stream) => stream.status(),
        }
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        match self {
            Self::Response(response) => response.headers_mut(),
            Self::Stream(stream) => stream.headers_mut(),
        }
    }

    pub(crate) fn extensions_mut(&mut self) -> &mut Extensions {
        match self {
            Self::Response(response) => response.extensions_mut(),
            Self::Stream(stream) => stream.extensions_mut(),
        }
    }

    /// Converts the answer to a response for a server. If its body panics, the response breaks off. A stream of the app
    /// does not panic.
    pub(crate) fn guarded(self) -> Response {
        match self {
            Self::Response(response) => response.map(|body| Body::new(CaughtBody::new(body))),
            stream => stream.into(),
        }
    }

    /// Returns the number of bytes that follow the head, if it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Response(response) => length_of(response.body()),
            Self::Stream(_) => None,
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Response(response) => response,
            Answer::Stream(stream) => stream.map(|running| Body::new(SseBody(running))),
        }
    }
}

/// A stream as an HTTP body.
struct SseBody(RunningStream);

impl HttpBody for SseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let chunk = ready!(self.0.poll_chunk(cx));
        if let Some(Ok(chunk)) = &chunk {
            self.0.wrote(chunk.bytes.len());
        }
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk?.bytes))))
    }
}
