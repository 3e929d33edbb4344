//! Hostile peers, each of which attacks again and again. The server has to end a connection that it should not hold
//! within [`PATIENCE`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Error;
use crate::attacks::{self, Attack, Then};

/// Longer than any deadline of the server, or a few that follow each other.
const PATIENCE: Duration = Duration::from_secs(20);
/// Keeps the peers from overloading the clients' own core.
const PAUSE: Duration = Duration::from_millis(100);
/// The time in which a peer can read what is still in the kernel's buffers.
const REST: Duration = Duration::from_secs(3);

/// The outcomes of one kind of attack.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fate {
    pub(crate) tried: u64,
    /// Connections that the server has ended.
    pub(crate) ended: u64,
    /// Connections that it should have ended.
    pub(crate) held: u64,
}

#[derive(Default)]
pub(crate) struct Fates(Mutex<BTreeMap<&'static str, Fate>>);

impl Fates {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Fate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, attack: &Attack, change: impl FnOnce(&mut Fate)) {
        change(self.lock().entry(attack.name).or_default());
    }
}

/// Attacks for some time, in a thread of its own.
pub(crate) fn attack(
    server: SocketAddr,
    peers: usize,
    time: Duration,
    mut rng: Rng,
) -> Result<(Arc<Fates>, thread::JoinHandle<()>), Error> {
    let fates = Arc::new(Fates::default());
    let noted = Arc::clone(&fates);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let attacks = async move {
        let end = Instant::now() + time;
        let mut all = JoinSet::new();
        for _ in 0..peers {
            all.spawn(peer(server, end, Arc::clone(&noted), rng.fork()));
        }
        all.join_all().await;
    };
    let thread = thread::spawn(move || runtime.block_on(attacks));
    Ok((fates, thread))
}

async fn peer(server: SocketAddr, end: Instant, fates: Arc<Fates>, mut rng: Rng) {
    while Instant::now() < end {
        let attack = attacks::any(&mut rng);
        fates.note(attack, |fate| fate.tried += 1);
        match attempt(server, attack, end).await {
            Ok(Outcome::Left) => {}
            // The server ended the connection before the peer had sent everything.
            Ok(Outcome::Ended) | Err(_) => fates.note(attack, |fate| fate.ended += 1),
            Ok(Outcome::Held) => fates.note(attack, |fate| fate.held += 1),
        }
        sleep(PAUSE.mul_f64(1.0 + 4.0 * rng.f64())).await;
    }
}

enum Outcome {
    /// The peer itself has left, perhaps because all attacks are over.
    Left,
    Ended,
    Held,
}

async fn attempt(server: SocketAddr, attack: &Attack, end: Instant) -> Result<Outcome, Error> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4 * 1024)?;
    let mut socket = timeout(PATIENCE, socket.connect(server)).await??;
    timeout(PATIENCE, socket.write_all(&(attack.opening)())).await??;
    let until = Instant::now() + PATIENCE;
    match attack.then {
        Then::Leaves => {
            socket.set_zero_linger()?;
            return Ok(Outcome::Left);
        }
        Then::OverflowsAndLeaves => {
            timeout(PATIENCE, socket.write_all(&[b'x'; 64 * 1024])).await??;
            return Ok(Outcome::Left);
        }
        Then::Waits => sleep(PATIENCE.min(end - Instant::now())).await,
        Then::Drips => repeat(&mut socket, b"x", Duration::from_secs(1), until.min(end)).await?,
        Then::Repeats(again) => repeat(&mut socket, &again(), PAUSE, until.min(end)).await?,
    }
    if Instant::now() < until {
        return Ok(Outcome::Left);
    }
    Ok(match timeout(REST, to_the_end(&mut socket)).await {
        Ok(()) => Outcome::Ended,
        Err(_) => Outcome::Held,
    })
}

/// Sends the bytes again and again. An error means that the server has ended the connection.
async fn repeat(
    socket: &mut TcpStream,
    bytes: &[u8],
    pause: Duration,
    until: Instant,
) -> Result<(), Error> {
    while Instant::now() < until {
        // The server need not read it.
        if let Ok(written) = timeout(pause, socket.write_all(bytes)).await {
            written?;
            sleep(pause).await;
        }
    }
    Ok(())
}

async fn to_the_end(socket: &mut TcpStream) {
    let mut rest = vec![0; 64 * 1024];
    while socket.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

/// Returns the number of sockets that no process has, but that the kernel still keeps.
pub(crate) fn orphans() -> Result<u64, Error> {
    let stat = std::fs::read_to_string("/proc/net/sockstat")?;
    let mut words = stat.split_whitespace().skip_while(|word| *word != "orphan");
    let orphans = words.nth(1).ok_or("no count of orphans in sockstat")?;
    Ok(orphans.parse()?)
}
