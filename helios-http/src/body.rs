//! A [`Connection`] as an HTTP body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::sse::Connection;

pub(crate) struct SseBody(pub(crate) Connection);

impl Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_piece(cx)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece.bytes))))
    }
}
