//! The server under test: an app like any other, which publishes by itself and reports what it has done.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use helios::prelude::*;
use helios::sse::{BacklogLimits, HistoryLimits, SseOptions};
use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;

use crate::jobs::{Job, Jobs};
use crate::post::{Mark, MarkText, SNAPSHOT};
use crate::targets::Targets;
use crate::{Error, publishers, topics};

/// How long a client may be away and miss nothing.
pub(crate) const RETENTION: Duration = Duration::from_secs(20);
/// How long a client may leave its socket full, or a request incomplete.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(5);
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

const BACKLOG: BacklogLimits = BacklogLimits {
    events: 200,
    bytes: 512 * 1024,
};

/// Small, so that the server soon notices a client that does not read.
pub(crate) const SOCKET_BUFFER: u32 = 32 * 1024;

/// The events that were published, and the hooks that ran.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) paused: AtomicBool,
    marks: Mutex<HashMap<String, Mark>>,
    pub(crate) jobs: Jobs,
    failures: AtomicU64,
    opened: AtomicU64,
    closed: Mutex<BTreeMap<&'static str, u64>>,
}

impl Log {
    fn change_mark(&self, topic: &str, change: impl FnOnce(&mut Mark)) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        match marks.get_mut(topic) {
            Some(known) => change(known),
            None => change(marks.entry(topic.to_owned()).or_default()),
        }
    }

    /// Records an event before it is published, so that no reader knows of it earlier than the log.
    pub(crate) fn writes(&self, topic: &str, n: u64) {
        self.change_mark(topic, |mark| mark.n = n);
    }

    pub(crate) fn published(&self, topic: &str, published: Mark) {
        self.change_mark(topic, |mark| *mark = published);
    }

    /// Records that nothing more is published to the topic.
    pub(crate) fn finished(&self, topic: &str) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.remove(topic);
        drop(marks);
        self.jobs.finished(topic);
    }

    /// Returns how many events of the topic have been written.
    fn count(&self, topic: &str) -> u64 {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.get(topic).map_or(0, |mark| mark.n)
    }

    pub(crate) fn failed(&self, error: &SseError) {
        eprintln!("not published: {error}");
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn hooks(&self) -> Hooks {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = closed.iter().map(|(reason, n)| ((*reason).to_owned(), *n));
        Hooks {
            opened: self.opened.load(Ordering::Relaxed),
            closed: closed.collect(),
        }
    }
}

/// How often the connection hook ran, and how often the close hook ran with each reason.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Hooks {
    pub(crate) opened: u64,
    pub(crate) closed: BTreeMap<String, u64>,
}

/// The server's own counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stats {
    pub(crate) connections: usize,
    pub(crate) clients: usize,
    pub(crate) topics: usize,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) slow_closes: u64,
    pub(crate) bytes: u64,
    /// Bytes that are allocated and not freed.
    pub(crate) live_bytes: u64,
    pub(crate) failures: u64,
    pub(crate) hooks: Hooks,
}

#[derive(Injectable)]
struct Soaked {
    sse: SseService,
    log: Arc<Log>,
}

/// How many milliseconds the snapshot of a client has to take.
#[derive(Clone, Copy)]
struct Wait(Option<u64>);

#[controller(controllers = [Snapshots, Targets])]
impl Soaked {
    #[on_sse_connection]
    async fn opened(&self, client: SseStream, #[query] wait: Option<u64>) {
        pause(wait).await;
        client.insert(Wait(wait));
        self.log.opened.fetch_add(1, Ordering::Relaxed);
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        let closed = self.log.closed.lock();
        let mut closed = closed.unwrap_or_else(PoisonError::into_inner);
        *closed.entry(reason.as_str()).or_default() += 1;
    }

    /// A client may make the handler slow, like one that looks something up first.
    #[sse("events")]
    async fn events(
        &self,
        #[query] topics: String,
        #[query] wait: Option<u64>,
    ) -> Result<SseStream, SseError> {
        connect(&self.sse, &topics, wait).await
    }

    #[sse("plain", plain)]
    async fn plain(
        &self,
        #[query] topics: String,
        #[query] wait: Option<u64>,
    ) -> Result<SseStream, SseError> {
        connect(&self.sse, &topics, wait).await
    }

    #[sse("plain", method = "POST")]
    async fn posted(
        &self,
        #[query] topics: String,
        #[query] wait: Option<u64>,
    ) -> Result<SseStream, SseError> {
        connect(&self.sse, &topics, wait).await
    }

    #[post("join")]
    async fn join(
        &self,
        #[query] client: ClientId,
        #[query] topic: String,
    ) -> Result<(), HttpError> {
        self.client(client)?.join(topic).await.map_err(gone)
    }

    #[post("leave")]
    async fn leave(
        &self,
        #[query] client: ClientId,
        #[query] topic: String,
    ) -> Result<(), HttpError> {
        self.client(client)?.leave(topic).await.map_err(gone)
    }

    #[post("pause")]
    fn pause(&self) {
        self.log.paused.store(true, Ordering::Relaxed);
    }

    /// Publishes more than sockets hold, but less than a connection may be behind.
    #[post("flood")]
    async fn flood(&self) -> Result<(), SseError> {
        for _ in 0..10 {
            self.sse
                .publish(topics::FLOOD, "x".repeat(16 * 1024))
                .await?;
        }
        Ok(())
    }

    #[get("marks")]
    fn marks(&self) -> Json<HashMap<String, MarkText>> {
        let marks = self
            .log
            .marks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let marks = marks
            .iter()
            .map(|(topic, mark)| (topic.clone(), (*mark).into()));
        Json(marks.collect())
    }

    #[get("jobs")]
    fn jobs(&self) -> Json<Vec<Job>> {
        Json(self.log.jobs.all())
    }

    #[get("stats")]
    fn stats(&self) -> Json<Stats> {
        let stats = self.sse.stats();
        Json(Stats {
            connections: stats.connections,
            clients: self.sse.clients().len(),
            topics: stats.topics,
            published: stats.published,
            delivered: stats.delivered,
            dropped: stats.dropped,
            slow_closes: stats.slow_closes,
            bytes: stats.bytes,
            live_bytes: crate::live_bytes(),
            failures: self.log.failures.load(Ordering::Relaxed),
            hooks: self.log.hooks(),
        })
    }
}

/// Sends a client the number of the newest event of each topic, before all that follow.
#[derive(Injectable)]
struct Snapshots {
    sse: SseService,
    log: Arc<Log>,
}

#[controller(prefix = "snapshots")]
impl Snapshots {
    #[sse("events")]
    async fn events(
        &self,
        #[query] topics: String,
        #[query] wait: Option<u64>,
    ) -> Result<SseStream, SseError> {
        connect(&self.sse, &topics, wait).await
    }

    #[on_sse_snapshot]
    async fn snapshot(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), SseError> {
        pause(client.get::<Wait>().and_then(|wait| wait.0)).await;
        for topic in &snapshot.topics {
            let count = self.log.count(topic);
            let event = SseEvent::text(format!("{topic} {count}")).event(SNAPSHOT);
            client.send(event).await?;
        }
        Ok(())
    }
}

async fn connect(sse: &SseService, topics: &str, wait: Option<u64>) -> Result<SseStream, SseError> {
    let client = sse.create_connection();
    for topic in topics.split(',') {
        client.join(topic).await?;
        pause(wait).await;
    }
    Ok(client)
}

async fn pause(millis: Option<u64>) {
    if let Some(millis) = millis {
        sleep(Duration::from_millis(millis)).await;
    }
}

impl Soaked {
    fn client(&self, id: ClientId) -> Result<SseStream, HttpError> {
        self.sse
            .client(id)
            .ok_or_else(|| gone(SseError::NoSuchClient(id)))
    }
}

/// The client has closed its connection, or the server is about to close it.
fn gone(error: SseError) -> HttpError {
    HttpError::new(StatusCode::GONE, error.to_string())
}

#[server(controllers = [Soaked], sse(enabled = true))]
struct App;

fn set(options: &mut SseOptions) {
    options.keep_alive = Some(Duration::from_secs(3));
    options.stuck_after = STUCK_AFTER;
    options.backlog = BACKLOG;
    options.history = HistoryLimits {
        age: RETENTION,
        ..HistoryLimits::default()
    };
}

/// Prints its address, serves until it is ended, and then prints which hooks ran.
pub(crate) async fn serve(seed: u64) -> Result<(), Error> {
    thread::spawn(end_with_parent);
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(4_096)?;
    println!("{}", listener.local_addr()?);
    let log = Arc::new(Log::default());
    let app = Helios::new(App)
        .banner(false)
        .provide_as(Arc::clone(&log))
        .sse_options(set)
        .header_timeout(STUCK_AFTER)
        .body_timeout(STUCK_AFTER)
        .drain_deadline(DRAIN_DEADLINE);
    publishers::start(&app.sse(), &log, seed);
    app.listen_on(listener).await?;
    println!("{}", serde_json::to_string(&log.hooks())?);
    Ok(())
}

/// Ends this process with its parent, which holds the other end of the standard input as long as it lives.
pub(crate) fn end_with_parent() {
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
    std::process::exit(2);
}
