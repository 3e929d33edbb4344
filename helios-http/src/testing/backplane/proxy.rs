//! A TCP proxy that simulates a bad network.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The most bytes to read at once.
const CHUNK: usize = 16 * 1024;

/// The most chunks under way in one direction of a connection. A sender of more has to wait, as on a full line.
const UNDER_WAY: usize = 64;

/// A direction of the traffic through a [`Proxy`].
///
/// ```
/// use helios::testing::backplane::{Proxy, Way};
///
/// // A half-open connection. The server still receives, but its answers are lost.
/// fn half_open(proxy: &Proxy) {
///     proxy.drop_bytes(Way::ToClient);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client that connected to the proxy to the server behind it.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Both directions.
    Both,
}

/// A TCP proxy on a free port of the loopback interface, which makes the network bad for a backplane behind it. Every
/// setting applies to open and to new connections, until the proxy is [healed](Self::heal). Dropping the proxy closes
/// its connections.
///
/// ```
/// use helios::testing::backplane::{Proxy, Way};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let redis: std::net::SocketAddr = ([127, 0, 0, 1], 6379).into();
/// let proxy = Proxy::start(redis).await?;
/// let url = format!("redis://{}", proxy.addr());
/// proxy.delay(Way::Both, Duration::from_millis(5));
/// proxy.hold(Way::ToServer);
/// proxy.cut();
/// proxy.heal();
/// # drop(url);
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<watch::Sender<State>>,
    _ends: DropGuard,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = *self.state.borrow();
        f.debug_struct("Proxy")
            .field("addr", &self.addr)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    to_server: Flow,
    to_client: Flow,
    refuses: bool,
    /// The number of times all connections were cut.
    cuts: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    delay: Duration,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Pass,
    Hold,
    Drop,
}

impl State {
    fn flow(&self, way: Way) -> Flow {
        match way {
            Way::ToServer => self.to_server,
            Way::ToClient | Way::Both => self.to_client,
        }
    }
}

impl Proxy {
    /// Starts to listen, and forwards each connection to `upstream`, whether something listens there or not.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State::default()));
        let ends = CancellationToken::new();
        let accepting = accept(listener, upstream, Arc::clone(&state), ends.clone());
        tokio::spawn(ends.clone().run_until_cancelled_owned(accepting));
        Ok(Self {
            addr,
            state,
            _ends: ends.drop_guard(),
        })
    }

    /// Returns the address of the proxy.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Delays everything that is read from now on.
    pub fn delay(&self, way: Way, delay: Duration) {
        self.change(way, |flow| flow.delay = delay);
    }

    /// Holds bytes back. None are lost. They arrive when the proxy is healed.
    pub fn hold(&self, way: Way) {
        self.change(way, |flow| flow.mode = Mode::Hold);
    }

    /// Drops bytes, and also the ends of connections. A connection that has lost a byte never carries another in that
    /// direction, even when the proxy is healed. It is half-open until it is cut.
    pub fn drop_bytes(&self, way: Way) {
        self.change(way, |flow| flow.mode = Mode::Drop);
    }

    /// Closes all open connections.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Closes each new connection at once.
    pub fn refuse(&self) {
        self.state.send_modify(|state| state.refuses = true);
    }

    /// Forwards everything again, without delay.
    pub fn heal(&self) {
        self.state.send_modify(|state| {
            *state = State {
                cuts: state.cuts,
                ..State::default()
            };
        });
    }

    fn change(&self, way: Way, change: impl Fn(&mut Flow)) {
        self.state.send_modify(|state| {
            if way != Way::ToClient {
                change(&mut state.to_server);
            }
            if way != Way::ToServer {
                change(&mut state.to_client);
            }
        });
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    state: Arc<watch::Sender<State>>,
    ends: CancellationToken,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // There may be no free descriptors now. Other connections will be closed.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if state.borrow().refuses {
            continue;
        }
        let carried = carry(client, upstream, state.subscribe());
        tokio::spawn(ends.clone().run_until_cancelled_owned(carried));
    }
}

/// Forwards one connection until both directions have ended, or it is cut.
async fn carry(client: TcpStream, upstream: SocketAddr, mut state: watch::Receiver<State>) {
    let cuts = state.borrow().cuts;
    let (of_server, of_client) = (state.clone(), state.clone());
    let carrying = async {
        let Ok(server) = TcpStream::connect(upstream).await else {
            return;
        };
        // The proxy alone decides on delays. An error shows when the socket is read.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            pump(from_client, to_server, Way::ToServer, of_server),
            pump(from_server, to_client, Way::ToClient, of_client),
        );
    };
    tokio::select! {
        () = carrying => {}
        _ = state.wait_for(|state| state.cuts != cuts) => {}
    }
}

/// Forwards one direction to its end.
async fn pump(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    way: Way,
    state: watch::Receiver<State>,
) {
    let (chunks, queue) = mpsc::channel(UNDER_WAY);
    let reading = read(from, chunks, way, state.clone());
    tokio::join!(reading, write(queue, to, way, state));
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    chunks: mpsc::Sender<(Instant, Bytes)>,
    way: Way,
    state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; CHUNK];
    // An error is an end, too.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let due = Instant::now() + state.borrow().flow(way).delay;
        let chunk = Bytes::copy_from_slice(&buffer[..count]);
        if chunks.send((due, chunk)).await.is_err() {
            return;
        }
    }
}

async fn write(
    mut queue: mpsc::Receiver<(Instant, Bytes)>,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut state: watch::Receiver<State>,
) {
    let mut has_lost = false;
    loop {
        let next = queue.recv().await;
        if let Some((due, _)) = &next {
            sleep_until(*due).await;
        }
        // The state lasts as long as the proxy, and connections do not outlive it.
        let is_let = |state: &State| state.flow(way).mode != Mode::Hold;
        let mode = match state.wait_for(is_let).await {
            Ok(state) => state.flow(way).mode,
            Err(_) => return,
        };
        has_lost |= mode == Mode::Drop;
        match next {
            Some(_) if has_lost => {}
            Some((_, chunk)) => {
                if to.write_all(&chunk).await.is_err() {
                    return;
                }
            }
            // The receiver does not see the end until the connection is cut.
            None if has_lost => std::future::pending().await,
            None => {
                // The other side may have closed it.
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
