//! Connections that have left HTTP (RFC 9110, section 7.8): WebSockets above all.
//!
//! hyper gives the socket to whoever has asked for the upgrade, and that runs in a task which the server does not know. So the
//! server keeps a hand on the socket: [`UpgradableIo`] is around it, and [`run`] is the server's side, as a part of the
//! connection's own task. When the server goes down
//!
//! 1. a WebSocket's client is told that the server goes away, as soon as the frame is written that was begun. What the app
//!    writes behind that fails. A client that answers with a close frame of its own ends the app's loop as it always does;
//! 2. if that has not come in time, or if the protocol is another, the app reads the end of the stream;
//! 3. at the deadline of the drain every read and write fails, and the socket is reset when the app lets go of it.
//!
//! A socket that the app lets go of comes back to the server, which closes it as it closes others: the client may still be sending,
//! be it the answer to the app's close frame, and is to read what the app has written.

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

/// What the server and the socket of one connection tell each other.
#[derive(Default)]
pub(super) struct Upgrade {
    /// Looked at by each read and write of the connection.
    is_granted: AtomicBool,
    is_websocket: AtomicBool,
    /// The peer takes nothing more, or has nothing more to say: it is not waited for.
    is_done: AtomicBool,
    state: Mutex<State>,
    /// The app has let go of the socket.
    closed: Notify,
}

#[derive(Default)]
struct State {
    stage: Stage,
    /// Who waits for the socket on each [`Side`], and has to hear of the next stage.
    waiting: [Option<Waker>; 2],
}

#[derive(Clone, Copy)]
enum Side {
    Reader,
    Writer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Stage {
    /// The answer that grants the upgrade has not left.
    #[default]
    Granted,
    Open,
    /// The server goes down.
    GoingDown,
    /// The client has not answered in time.
    Ended,
    Cut,
}

impl Upgrade {
    /// Notes that the answer to the request in hand is an upgrade.
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

    /// Waits until the app has let go of the socket.
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

    /// The stage, the next of which wakes this task; none if the connection is HTTP's, as most are at each read and write.
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

/// Waits until the app has let go of the socket, which it is asked to when the server goes down, and closes it. Dropped, it takes
/// the socket away.
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

/// A socket that may leave HTTP. It is lent, to come back when the app has let go of it.
pub(super) struct UpgradableIo<I> {
    /// Dropped first: who hears that it is closed finds it.
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

    /// Tells the client of a WebSocket that nothing more comes, unless a frame has begun that is not written to its end.
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

/// Of an upgrade that was granted.
impl<I: AsyncRead + AsyncWrite + Unpin> UpgradableIo<I> {
    fn poll_read_at(
        &mut self,
        stage: Stage,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match stage {
            Stage::Granted | Stage::Open => {}
            // An app that only reads is woken here, and nowhere else. If the socket fails, the read tells it.
            Stage::GoingDown if self.upgrade.0.is_websocket() => {
                let is_due = self.outgoing.goodbye().is_some();
                if is_due && self.poll_goodbye(cx).is_ready() {
                    // A socket wakes one task that waits to write: that was this one.
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
            // The head of the answer is no frame.
            Stage::Granted => self.poll_io_write(cx, bytes),
            _ if !self.upgrade.0.is_websocket() => self.poll_io_write(cx, bytes),
            Stage::Open => self.poll_frames(cx, bytes),
            Stage::GoingDown | Stage::Ended => {
                ready!(self.poll_goodbye(cx))?;
                match self.outgoing.rest_of_frame(bytes) {
                    // The app's library answers the client's answer, as it does not know that the server has spoken.
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

    /// Goes on from a flush.
    fn poll_flushed_at(&mut self, stage: Stage, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match stage {
            // hyper writes nothing behind the head that grants the upgrade.
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

    /// A connection whose upgrade was granted, and whose socket takes so many bytes.
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
    async fn a_client_is_told_and_its_answer_ends_the_app_s_loop() {
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
        // As its library answers the answer.
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
    async fn a_client_that_does_not_answer_is_waited_for_a_little() {
        let mut it = upgraded(true, 64).await;
        it.draining.cancel();
        let begin = Instant::now();
        assert_eq!(it.io.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(begin.elapsed().as_secs(), ANSWER.as_secs());
        drop(it.io);
        it.run.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_has_begun_is_written_before_the_goodbye_and_nothing_behind_it() {
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
    async fn what_a_client_sends_to_an_app_that_has_let_go_is_read_to_its_end() {
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
    async fn a_socket_that_comes_back_when_nobody_waits_is_closed_at_once() {
        let mut it = upgraded(true, 64).await;
        it.run.abort();
        assert!(it.run.await.unwrap_err().is_cancelled());
        drop(it.io);
        assert!(it.client.write_all(b"x").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn another_protocol_reads_the_end_and_may_write_its_own_goodbye() {
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
