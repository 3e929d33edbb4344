//! One HTTP/1 connection. hyper serves it until an event stream or an upgrade takes over the socket.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::BoxError;

use crate::failure::with_causes;
use crate::peer::Peer;
use crate::server::lent::{Back, lend};
use crate::server::state::{BUFFER_BYTES, ServerState};
use crate::server::takeover::capture::CapturedIo;
use crate::server::takeover::handover::{Answered, Handover};
use crate::server::takeover::stream::StreamWriter;
use crate::server::timer::HeadTimer;
use crate::server::upgrade::{UpgradableIo, Upgrade};

/// The remainder of a connection after hyper has finished with it.
#[expect(
    clippy::large_enum_variant,
    reason = "it is moved once, to where the stream stays"
)]
pub(super) enum Ended<I> {
    /// An event stream that has to be written.
    Stream(StreamWriter<I>),
    /// The socket belongs to the code that requested the upgrade, until that code drops it.
    Upgraded(Arc<Upgrade>, Back<CapturedIo<I>>),
    /// The socket of a client that may still be sending data that nobody reads.
    Unread(I),
    /// Nothing remains.
    Closed,
}

pub(super) fn builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .writev(false);
    builder
}

/// Serves requests until the connection ends, or an event stream or an upgrade begins.
pub(super) async fn serve<I>(
    server: &ServerState,
    io: CapturedIo<I>,
    peer: &Arc<Peer>,
) -> Result<Ended<I>, BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handover = Arc::new(Handover::default());
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(peer));
        Answered::new(server.service.stack(), request, &handover)
    });
    let (io, socket) = lend(io.with(Arc::clone(&handover)));
    let io = UpgradableIo::new(io, Arc::clone(&handover.upgrade));
    let mut builder = server.http1.clone();
    builder.timer(HeadTimer::new(Arc::clone(&handover)));
    let mut connection = builder
        .serve_connection(TokioIo::new(io), answer)
        .with_upgrades();
    let mut draining = pin!(server.draining.cancelled());
    let (mut told, mut is_idle) = (false, false);
    let taken = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(ended.map(|()| None));
            }
            if let Some(taken) = handover.take() {
                return Poll::Ready(Ok(Some(taken)));
            }
            is_idle = told && handover.is_idle();
            if is_idle {
                // The client may have sent part of a head, which is not a request yet.
                return Poll::Ready(Ok(None));
            }
            if told || draining.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
    });
    let taken = taken.await;
    // hyper has handed over an upgraded socket.
    let left = connection.into_parts().map(|parts| parts.read_buf);
    let (Some(read), Some(io)) = (left, socket.take()) else {
        return Ok(Ended::Upgraded(Arc::clone(&handover.upgrade), socket));
    };
    let (io, mut unread) = io.into_parts();
    unread.splice(..0, read);
    let is_unread = !is_idle && (handover.is_request_unread() || !unread.is_empty());
    match taken {
        Ok(Some(taken)) => Ok(Ended::Stream(StreamWriter::new(io, unread, taken))),
        Ok(None) if is_unread => Ok(Ended::Unread(io)),
        Ok(None) => Ok(Ended::Closed),
        // hyper has answered that with a 400.
        Err(error) if error.is_parse() => {
            tracing::debug!(error = with_causes(&error), "a request cannot be read");
            Ok(Ended::Unread(io))
        }
        Err(error) => {
            if handover.ends_with_connection() {
                peer.break_off();
            }
            Err(error.into())
        }
    }
}
