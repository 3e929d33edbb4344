//! Connections that have left HTTP (RFC 9110, section 7.8), mostly WebSockets.
//!
//! hyper gives the socket to the code that requested the upgrade, which runs in a task that the server does not know.
//! So the server keeps control of the socket. [`UpgradableIo`] wraps it, and [`run`] is the server's side, as a part of
//! the connection's own task. At a shutdown
//!
//! 1. the server sends a going-away close frame to the client of a WebSocket, as soon as the current frame of the app
//!    is complete. Later writes of the app fail. The client answers with a close frame of its own, which ends the app's
//!    loop as usual;
//! 2. if the client has not answered in time, or the protocol is another one, the app reads the end of the stream;
//! 3. at the deadline of the drain every read and write fails, and the socket is reset when the app drops it.
//!
//! When the app drops a socket, the server gets it back and closes it like others. The client may still be sending,
//! such as the answer to the app's close frame, and must be able to read the last data of the app.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::server::closing::linger;
use crate::server::lent::{Back, Lent};
use crate::server::websocket::{Outgoing, is_close};
use crate::sync::lock;

/// How long the client of a WebSocket may take to answer a close frame.
const ANSWER: Duration = Duration::from_secs(1);

/// State shared by the server and the socket of one connection.
#[derive(Default)]
pub(super) struct Upgrade {
    /// Checked by each read and write of the connection.
    is_granted: AtomicBool,
    is_websocket: AtomicBool,
    /// Whether the peer accepts no more data, or has no more to send, so nobody waits for it.
    is_done: AtomicBool,
    state: Mutex<State>,
    /// Notified when the app drops the socket.
    closed: Notify,
}

#[derive(Default)]
struct State {
    stage: Stage,
    /// The tasks that wait for the socket on each [`Side`]. They are woken at the next stage.
    waiting: [Option<Waker>; 2],
}

#[derive(Clone, Copy)]
enum Side {
    Reader,
    Writer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Stage {
    /// The response that grants the upgrade has not been written yet.
    #[default]
    Granted,
    Open,
    /// The server is shutting down.
    GoingDown,
    /// The client has not answered in time.
    Ended,
    Cut,
}

impl Upgrade {
    /// Records that the response to the current request grants an upgrade.
    pub(super) fn grant(&self, is_websocket: bool) {
        self.is_websocket.store(is_websocket, Ordering::Relaxed);
        self.is_granted.store(true, Ordering::Relaxed);
    }

    fn is_websocket(&self) -> bool {
        self.is_websocket.load(Ordering::Relaxed)
    }

    /// Goes on to a later stage.
    fn advance(&self, stage: Stage) {
        let mut state = lock(&self.state);
        if state.stage < stage {
            state.stage = stage;
            let waiting = mem::take(&mut state.waiting);
            drop(state);
            waiting.into_iter().flatten().for_each(Waker::wake);
        }
    }

    fn wake(&self, side: Side) {
        let waiting = lock(&self.state).waiting[side as usize].take();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until the app has dropped the socket.
    async fn let_go(&self, draining: &CancellationToken) {
        tokio::select! {
            () = self.closed.notified() => return,
            () = draining.cancelled() => self.advance(Stage::GoingDown),
        }
        if timeout(ANSWER, self.closed.notified()).await.is_err() {
            self.advance(Stage::Ended);
            self.closed.notified().await;
        }
    }

    /// Returns the stage, and wakes this task at the next one. `None` while the connection is HTTP, as it is at most
    /// reads and writes.
    #[inline]
    fn stage_for(&self, side: Side, cx: &Context<'_>) -> Option<Stage> {
        let is_granted = self.is_granted.load(Ordering::Relaxed);
        is_granted.then(|| self.stage_of_granted(side, cx))
    }

    fn stage_of_granted(&self, side: Side, cx: &Context<'_>) -> Stage {
        let mut state = lock(&self.state);
        match &mut state.waiting[side as usize] {
            Some(waker) => waker.clone_from(cx.waker()),
            nobody => *nobody = Some(cx.waker().clone()),
        }
        state.stage
    }
}

/// Waits until the app has dropped the socket, and closes it. At a shutdown the app is asked to drop it. Dropping this
/// future fails the app's reads and writes.
pub(super) async fn run<I>(
    upgrade: Arc<Upgrade>,
    socket: Back<I>,
    draining: CancellationToken,
) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let upgrade = CutOnDrop(upgrade);
    upgrade.0.let_go(&draining).await;
    match socket.take() {
        Some(io) if !upgrade.0.is_done.load(Ordering::Relaxed) => linger(io, draining).await,
        _ => Ok(()),
    }
}

struct CutOnDrop(Arc<Upgrade>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.advance(Stage::Cut);
    }
}

/// A socket that may leave HTTP. It is lent to the app, and comes back when the app drops it.
pub(super) struct UpgradableIo<I> {
    /// Dropped first, so that the socket is there when `closed` is notified.
    io: Lent<I>,
    outgoing: Outgoing,
    upgrade: TellsClosed,
}

struct TellsClosed(Arc<Upgrade>);

impl Drop for TellsClosed {
    fn drop(&mut self) {
        self.0.closed.notify_one();
    }
}

impl<I> UpgradableIo<I> {
    pub(super) fn new(io: Lent<I>, upgrade: Arc<Upgrade>) -> Self {
        Self {
            io,
            outgoing: Outgoing::default(),
            upgrade: TellsClosed(upgrade),
        }
    }
}

impl<I: AsyncWrite + Unpin> UpgradableIo<I> {
    fn poll_io_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Err(_))) {
            self.upgrade.0.is_done.store(true, Ordering::Relaxed);
        }
        written
    }

    /// Sends the close frame to the client of a WebSocket, unless a frame of the app is incomplete.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(goodbye) = self.outgoing.goodbye() {
            let count = ready!(self.poll_io_write(cx, goodbye))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.said(count);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_frames(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_io_write(cx, bytes))?;
        self.outgoing.wrote(&bytes[..count]);
        Poll::Ready(Ok(count))
    }
}

fn cut<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

/// Reads after an upgrade was granted.
impl<I: AsyncRead + AsyncWrite + Unpin> UpgradableIo<I> {
    fn poll_read_at(
        &mut self,
        stage: Stage,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match stage {
            Stage::Granted | Stage::Open => {}
            // This is the only place that wakes an app that only reads. If the socket fails, the read reports that.
            Stage::GoingDown if self.upgrade.0.is_websocket() => {
                let is_due = self.outgoing.goodbye().is_some();
                if is_due && self.poll_goodbye(cx).is_ready() {
                    // A socket wakes only one task that waits to write, which was this one.
                    self.upgrade.0.wake(Side::Writer);
                }
            }
            Stage::GoingDown | Stage::Ended => return Poll::Ready(Ok(())),
            Stage::Cut => return cut(),
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> UpgradableIo<I> {
    fn poll_write_at(
        &mut self,
        stage: Stage,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match stage {
            Stage::Cut => cut(),
            // The head of the response is not a frame.
            Stage::Granted => self.poll_io_write(cx, bytes),
            _ if !self.upgrade.0.is_websocket() => self.poll_io_write(cx, bytes),
            Stage::Open => self.poll_frames(cx, bytes),
            Stage::GoingDown | Stage::Ended => {
                ready!(self.poll_goodbye(cx))?;
                match self.outgoing.rest_of_frame(bytes) {
                    // The app's library answers the client's close frame, because it does not know that the server has
                    // sent one.
                    [] if is_close(bytes) => {
                        self.upgrade.0.is_done.store(true, Ordering::Relaxed);
                        Poll::Ready(Ok(bytes.len()))
                    }
                    [] => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                    rest => self.poll_frames(cx, rest),
                }
            }
        }
    }

    /// Continues after a flush.
    fn poll_flushed_at(&mut self, stage: Stage, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match stage {
            // hyper writes nothing after the head that grants the upgrade.
            Stage::Granted => self.upgrade.0.advance(Stage::Open),
            Stage::GoingDown | Stage::Ended if self.upgrade.0.is_websocket() => {
                return self.poll_goodbye(cx);
            }
            _ => {}
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for UpgradableIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.upgrade.0.stage_for(Side::Reader, cx) {
            None => Pin::new(&mut self.io).poll_read(cx, buf),
            Some(stage) => self.poll_read_at(stage, cx, buf),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for UpgradableIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.upgrade.0.stage_for(Side::Writer, cx) {
            None => Pin::new(&mut self.io).poll_write(cx, bytes),
            Some(stage) => self.poll_write_at(stage, cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        match self.upgrade.0.stage_for(Side::Writer, cx) {
            None => Poll::Ready(Ok(())),
            Some(stage) => self.poll_flushed_at(stage, cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
    use tokio::time::Instant;

    use super::*;
    use crate::server::lent::lend;
    use crate::server::websocket::GOING_AWAY;

    const TEXT: &[u8] = b"\x81\x05hello";
    const HEAD: &[u8] = b"HTTP/1.1 101 \r\n\r\n";

    struct Upgraded {
        io: UpgradableIo<DuplexStream>,
        client: DuplexStream,
        run: tokio::task::JoinHandle<io::Result<()>>,
        draining: CancellationToken,
    }

    /// Creates a connection whose upgrade was granted, and whose socket buffers that many bytes.
    async fn upgraded(is_websocket: bool, socket_bytes: usize) -> Upgraded {
        let (io, mut client) = duplex(socket_bytes);
        let upgrade = Arc::new(Upgrade::default());
        let (lent, socket) = lend(io);
        let mut io = UpgradableIo::new(lent, Arc::clone(&upgrade));
        upgrade.grant(is_websocket);
        let mut head = vec![0; HEAD.len()];
        let (written, read) = tokio::join!(
            async {
                io.write_all(HEAD).await?;
                io.flush().await
            },
            client.read_exact(&mut head),
        );
        written.unwrap();
        read.unwrap();
        let draining = CancellationToken::new();
        Upgraded {
            io,
            client,
            run: tokio::spawn(run(upgrade, socket, draining.clone())),
            draining,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_s_close_frame_ends_the_app_s_loop() {
        let mut it = upgraded(true, 64).await;
        it.io.write_all(TEXT).await.unwrap();
        it.draining.cancel();
        let answer = [0x88, 0x82, 1, 2, 3, 4, 1 ^ 3, 2 ^ 0xE9];
        let client = tokio::spawn(async move {
            let mut read = vec![0; TEXT.len() + GOING_AWAY.len()];
            it.client.read_exact(&mut read).await.unwrap();
            assert_eq!(read, [TEXT, &GOING_AWAY].concat());
            it.client.write_all(&answer).await.unwrap();
            let mut rest = Vec::new();
            it.client.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"");
            it.client
        });
        let mut read = [0; 8];
        it.io.read_exact(&mut read).await.unwrap();
        assert_eq!(read, answer);
        // Like the app's library, which answers the client's close frame.
        it.io.write_all(&GOING_AWAY).await.unwrap();
        drop(it.io);
        let begin = Instant::now();
        it.run.await.unwrap().unwrap();
        assert_eq!(
            begin.elapsed(),
            Duration::ZERO,
            "nothing more is waited for"
        );
        drop(client.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_answer_times_out() {
        let mut it = upgraded(true, 64).await;
        it.draining.cancel();
        let begin = Instant::now();
        assert_eq!(it.io.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(begin.elapsed().as_secs(), ANSWER.as_secs());
        drop(it.io);
        it.run.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_goodbye_follows_the_frame_in_progress() {
        let it = upgraded(true, 4).await;
        let (mut reader, mut writer) = split(it.io);
        let writes = tokio::spawn(async move {
            writer.write_all(TEXT).await.unwrap();
            writer.write_all(TEXT).await
        });
        let reads = tokio::spawn(async move { reader.read(&mut [0]).await });
        tokio::task::yield_now().await;
        it.draining.cancel();
        tokio::task::yield_now().await;
        let mut client = it.client;
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, [TEXT, &GOING_AWAY].concat());
        let refused = writes.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(reads.await.unwrap().unwrap(), 0);
        it.run.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_read_to_the_end_after_the_app() {
        for draining in [false, true] {
            let mut it = upgraded(true, 64).await;
            it.io.write_all(TEXT).await.unwrap();
            if draining {
                it.draining.cancel();
                tokio::task::yield_now().await;
            }
            drop(it.io);
            it.client.write_all(&[0; 1_000]).await.unwrap();
            let mut read = Vec::new();
            it.client.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, TEXT);
            drop(it.client);
            it.run.await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_comes_back_unexpectedly_is_closed_at_once() {
        let mut it = upgraded(true, 64).await;
        it.run.abort();
        assert!(it.run.await.unwrap_err().is_cancelled());
        drop(it.io);
        assert!(it.client.write_all(b"x").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn another_protocol_reads_the_end_and_may_still_write() {
        let mut it = upgraded(false, 64).await;
        it.io.write_all(b"\x81\x05").await.unwrap();
        it.draining.cancel();
        assert_eq!(it.io.read(&mut [0]).await.unwrap(), 0);
        it.io.write_all(b"bye").await.unwrap();
        drop(it.io);
        it.run.await.unwrap().unwrap();
        let mut read = Vec::new();
        it.client.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"\x81\x05bye");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_cut_fails_whoever_waits_for_it() {
        let it = upgraded(true, 4).await;
        let (mut reader, mut writer) = split(it.io);
        let writes = tokio::spawn(async move { writer.write_all(&[0x82, 126, 1, 0, 0]).await });
        let reads = tokio::spawn(async move { reader.read(&mut [0]).await });
        tokio::task::yield_now().await;
        it.run.abort();
        let aborted = io::ErrorKind::ConnectionAborted;
        assert_eq!(writes.await.unwrap().unwrap_err().kind(), aborted);
        assert_eq!(reads.await.unwrap().unwrap_err().kind(), aborted);
    }
}
