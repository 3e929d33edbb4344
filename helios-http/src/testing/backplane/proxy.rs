//! A TCP proxy that makes a network bad.

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

/// What is read at once.
const CHUNK: usize = 16 * 1024;

/// Chunks under way in one direction of a connection. Whoever sends more has to wait, as on a full line.
const UNDER_WAY: usize = 64;

/// A direction of what a [`Proxy`] carries.
///
/// ```
/// use helios::testing::backplane::{Proxy, Way};
///
/// // A half-open connection: the server still hears, and is not heard.
/// fn half_open(proxy: &Proxy) {
///     proxy.drop_bytes(Way::ToClient);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From whoever connected to the proxy, to what is behind it.
    ToServer,
    /// Back.
    ToClient,
    /// Both.
    Both,
}

/// A TCP proxy on a free port of the loopback interface, which makes the network bad for a backplane behind it. All that is set holds for
/// open connections and for new ones, until it is [healed](Self::heal). A dropped proxy ends with its connections.
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
    /// How often all connections were cut.
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
    /// Listens, and connects each connection to this address, whether something listens there or not.
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

    /// Returns where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets what is read from now on arrive later.
    pub fn delay(&self, way: Way, delay: Duration) {
        self.change(way, |flow| flow.delay = delay);
    }

    /// Lets bytes wait. None are lost: they arrive when it is healed.
    pub fn hold(&self, way: Way) {
        self.change(way, |flow| flow.mode = Mode::Hold);
    }

    /// Lets bytes vanish, and the ends of connections, too. A connection that has lost a byte never carries another in that direction, even
    /// when it is healed: it is half-open, until it is cut.
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

    /// Carries everything again, without delay.
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
            // Out of descriptors, perhaps: others will be closed.
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

/// Carries one connection until both directions are at their end, or it is cut.
async fn carry(client: TcpStream, upstream: SocketAddr, mut state: watch::Receiver<State>) {
    let cuts = state.borrow().cuts;
    let (of_server, of_client) = (state.clone(), state.clone());
    let carrying = async {
        let Ok(server) = TcpStream::connect(upstream).await else {
            return;
        };
        // Delays are ours to make. An error shows when it is read.
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

/// Carries one direction to its end.
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
            // Whoever waits there is not told, until it is cut.
            None if has_lost => std::future::pending().await,
            None => {
                // It may have been closed from there.
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
