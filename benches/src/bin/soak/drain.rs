//! The shutdown of the server while all clients are connected.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use helios::sse::Decoded;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::child::Running;
use crate::kind::Kind;
use crate::server::{DRAIN_DEADLINE, Hooks};
use crate::stream::{Answer, End, Request, Stream};
use crate::topics::FLOOD;
use crate::{Error, control};

const SLEEPERS: usize = 100;

pub(crate) struct Drained {
    pub(crate) idle: usize,
    pub(crate) sleepers: usize,
    /// Idle streams that got the request to reconnect and then ended as they should.
    pub(crate) told: usize,
    /// When the last of these had ended.
    pub(crate) all_told: Duration,
    pub(crate) exit: Duration,
    pub(crate) succeeded: bool,
    pub(crate) hooks: Hooks,
}

impl Drained {
    pub(crate) fn is_clean(&self) -> bool {
        let closed: u64 = self.hooks.closed.values().sum();
        let shutdown = self.hooks.closed.get("shutdown").copied().unwrap_or(0);
        self.succeeded
            && self.exit <= DRAIN_DEADLINE + Duration::from_millis(500)
            && self.told == self.idle
            && closed == self.hooks.opened
            && shutdown as usize == self.idle + self.sleepers
    }
}

/// Opens `idle` streams that receive no events, and some that nobody reads, and ends the server.
pub(crate) async fn drain(server: &mut Running, idle: usize) -> Result<Drained, Error> {
    let address = server.address;
    let told = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..idle {
        let stream = open(address, "idle").await?;
        readers.spawn(read_to_the_end(stream, Arc::clone(&told)));
    }
    let mut sleepers = Vec::new();
    for _ in 0..SLEEPERS {
        sleepers.push(open(address, FLOOD).await?);
    }
    control::ask(address, "POST", "/flood").await?;
    sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    server.terminate()?;
    let all_told = async {
        while readers.join_next().await.is_some() {}
        started.elapsed()
    };
    let (all_told, exit) = tokio::join!(timeout(3 * DRAIN_DEADLINE, all_told), wait(server));
    let succeeded = exit?;
    let exit = started.elapsed();
    Ok(Drained {
        idle,
        sleepers: sleepers.len(),
        told: told.load(Ordering::Relaxed),
        all_told: all_told?,
        exit,
        succeeded,
        hooks: server.last_words()?,
    })
}

async fn open(server: SocketAddr, topic: &str) -> Result<Stream, Error> {
    let request = Request {
        kind: Kind::Full.traits(),
        topics: &[topic],
        earliest: false,
        wait: None,
        last_event_id: None,
    };
    let mut stream = Stream::ask(server, &request).await?;
    match stream.head().await? {
        Answer::Open(_) => Ok(stream),
        answer => Err(format!("answered {answer:?}").into()),
    }
}

async fn read_to_the_end(mut stream: Stream, told: Arc<AtomicUsize>) {
    let mut was_told = false;
    loop {
        match stream.next().await {
            Ok(Decoded::Event(event)) => was_told = event.event == "helios:reconnect",
            Ok(_) => {}
            Err(end) => {
                if was_told && end == End::Whole {
                    told.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
        }
    }
}

/// Returns whether the server has ended well.
async fn wait(server: &mut Running) -> Result<bool, Error> {
    let give_up = Instant::now() + 3 * DRAIN_DEADLINE;
    while Instant::now() < give_up {
        if let Some(status) = server.try_wait()? {
            return Ok(status.success());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err("the server does not end".into())
}
