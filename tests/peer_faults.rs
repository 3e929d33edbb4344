//! Known faults of other frameworks, one test each.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use helios::prelude::*;
use helios::sse::DecodedEvent;
use support::journal::Journal;
use support::{SseClient, TestServer, eventually, read_to_end, within};
use tokio::sync::Semaphore;

/// Handlers wait here until a test lets them go on.
struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Gate {
    async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    fn open(&self) {
        self.0.add_permits(1);
    }
}

/// Records that it was dropped.
struct Dropped(Journal, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note(format!("dropped {}", self.1));
    }
}

#[derive(Injectable)]
struct Faults {
    journal: Arc<Journal>,
    gate: Arc<Gate>,
}

impl Faults {
    fn dropped(&self, what: &'static str) -> Dropped {
        Dropped(Journal::clone(&self.journal), what)
    }
}

#[controller(controllers = [Panicking, Endless])]
impl Faults {
    #[sse("late")]
    async fn late(&self) -> impl Stream<Item = String> {
        let dropped = self.dropped("late handler");
        self.journal.note("late handler waits");
        self.gate.pass().await;
        let journal = Arc::clone(&self.journal);
        stream! {
            let _dropped = dropped;
            journal.note("late generator started");
            yield "never".to_owned();
        }
    }

    #[sse("never")]
    fn never(&self) -> impl Stream<Item = String> {
        let dropped = self.dropped("waiting generator");
        stream! {
            let _dropped = dropped;
            yield "one".to_owned();
            std::future::pending::<()>().await;
        }
    }

    #[sse("writes/{count}")]
    async fn writes(&self, #[param] count: usize, stream: SseStream) -> Result<(), SseError> {
        for n in 0..count {
            stream.send(n.to_string()).await?;
        }
        Ok(())
    }

    #[sse("blocked")]
    fn blocked(&self) -> SseStream {
        let (stream, journal) = (SseStream::new(), Arc::clone(&self.journal));
        let sender = stream.clone();
        tokio::spawn(async move {
            let large = "x".repeat(20_000);
            loop {
                match sender.send(large.as_str()).await {
                    Ok(()) => {}
                    // Nobody reads before it is attached.
                    Err(SseError::Full) => tokio::task::yield_now().await,
                    Err(error) => return journal.note(format!("send gave: {error}")),
                }
            }
        });
        stream
    }

    #[sse("publishes")]
    async fn publishes(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
        let client = sse.subscribe(["own"]).await?;
        for n in 0..500 {
            sse.publish("own", n.to_string()).await?;
            sse.broadcast("all").await?;
            sse.send_to_client(client.id(), "private").await?;
        }
        Ok(client)
    }

    #[sse("idle")]
    async fn idle(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
        sse.subscribe(["idle"]).await
    }

    #[sse("last-word")]
    async fn last_word(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("working").await?;
        let reason = stream.closing().await;
        stream.send(format!("closing: {reason}")).await
    }

    #[on_sse_close]
    async fn closed(&self, reason: CloseReason) {
        self.journal.note(format!("closed: {reason}"));
    }
}

#[derive(Injectable)]
struct Panicking;

#[controller(prefix = "panicking")]
impl Panicking {
    #[sse]
    fn stream(&self) -> impl Stream<Item = String> {
        stream! { yield "one".to_owned(); }
    }

    #[on_sse_close]
    async fn closed(&self) {
        panic!("in a close hook");
    }
}

#[derive(Injectable)]
struct Endless;

#[controller(prefix = "endless")]
impl Endless {
    #[sse]
    fn stream(&self) -> impl Stream<Item = String> {
        stream! { yield "one".to_owned(); }
    }

    #[on_sse_close]
    async fn closed(&self) {
        std::future::pending::<()>().await;
    }
}

#[server(controllers = [Faults], sse(enabled = true))]
struct App;

fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

async fn server() -> (TestServer, Journal, Arc<Gate>) {
    let (app, journal) = app();
    let gate = Arc::new(Gate::default());
    let server = TestServer::start(app.provide_as(Arc::clone(&gate))).await;
    (server, journal, gate)
}

async fn data(client: &mut SseClient, name: &str) -> Vec<String> {
    let mut data = Vec::new();
    while let Some(DecodedEvent {
        event, data: text, ..
    }) = client.next().await
    {
        if event == name {
            data.push(text);
        }
    }
    data
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Returns the memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[tokio::test]
async fn client_gone_before_the_handler_resolves_starts_and_leaks_nothing() {
    let (server, journal, gate) = server().await;
    let client = server.raw(&get("/late")).await;
    journal.wait_for("late handler waits").await;
    drop(client);
    journal.wait_for("dropped late handler").await;
    gate.open();
    // A later connection has been served, so there was time for the first.
    server.sse("/never").await.next().await.unwrap();
    assert_eq!(journal.count("late generator started"), 0);
    server.wait_for_connections(0).await;
}

#[tokio::test]
async fn client_gone_while_a_generator_waits_drops_it_at_once() {
    let (server, journal, _) = server().await;
    let mut client = server.sse("/never").await;
    assert_eq!(client.next().await.unwrap().data, "one");
    drop(client);
    journal.wait_for("dropped waiting generator").await;
    journal.wait_for("closed: client_disconnected").await;
}

#[tokio::test]
async fn thousands_of_writes_leave_no_listener_behind() {
    let (server, _, _) = server().await;
    // The first run accounts for the allocator's own growth.
    data(&mut server.sse("/writes/20000").await, "message").await;
    let before = resident();
    for _ in 0..3 {
        let mut client = server.sse("/writes/20000").await;
        let mut read = 0;
        while client
            .next()
            .await
            .is_some_and(|event| event.event == "message")
        {
            client.raw.clear();
            read += 1;
        }
        assert_eq!(read, 20_000);
    }
    assert!(
        resident() < before + (4 << 20),
        "{} after {before}",
        resident()
    );
}

#[tokio::test]
async fn close_during_send_gives_its_error_to_the_sender() {
    let (server, journal, _) = server().await;
    let mut unread = server.raw(&get("/blocked")).await;
    server.wait_for_connections(1).await;
    // Nothing more fits, so the sender waits.
    let delivered = || server.sse.stats().delivered;
    let mut last = delivered();
    within(async {
        loop {
            sleep(Duration::from_millis(100)).await;
            if std::mem::replace(&mut last, delivered()) == delivered() && last > 0 {
                return;
            }
        }
    })
    .await;
    server.sse.clients()[0].close();
    journal
        .wait_for("send gave: the stream is closed (server_closed)")
        .await;
    read_to_end(&mut unread).await;
    journal.wait_for("closed: server_closed").await;
    server.wait_for_connections(0).await;
}

#[tokio::test]
async fn a_panicking_hook_harms_neither_other_hooks_nor_the_server() {
    let (server, journal, _) = server().await;
    let mut client = server.sse("/panicking").await;
    assert_eq!(client.names().await, ["message", "helios:end"]);
    journal.wait_for("closed: completed").await;
    server.wait_for_connections(0).await;
    assert_eq!(server.sse("/panicking").await.names().await.len(), 2);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_hook_that_hangs_times_out_and_delays_no_shutdown() {
    let (app, journal) = app();
    let app = app
        .provide(Gate::default())
        .sse_options(|sse| sse.hook_timeout = Duration::from_millis(100));
    let server = TestServer::start(app).await;
    let mut client = server.sse("/endless").await;
    assert_eq!(client.names().await, ["message", "helios:end"]);
    // The outer controller's hook runs after the inner one has timed out.
    journal.wait_for("closed: completed").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn two_apps_in_one_process_share_neither_clients_nor_topics() {
    let (one, _, _) = server().await;
    let (two, _, _) = server().await;
    let mut client = one.sse("/idle").await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    one.wait_for_connections(1).await;
    two.sse.publish("idle", "of two").await.unwrap();
    two.sse.broadcast("of two").await.unwrap();
    one.sse.publish("idle", "of one").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "of one");
    assert!(two.sse.clients().is_empty());
    assert!(two.sse.client(one.sse.clients()[0].id()).is_none());
}

#[tokio::test]
async fn a_publisher_inside_an_sse_handler_does_not_deadlock() {
    let (server, _, _) = server().await;
    let mut client = server.sse("/publishes").await;
    let (mut published, mut private, mut broadcast) = (0, 0, 0);
    while (published, private, broadcast) != (500, 500, 500) {
        match client.next().await.unwrap() {
            ready if ready.event == "helios:ready" => {}
            event if event.data == "private" => private += 1,
            event if event.data == "all" => broadcast += 1,
            event => {
                assert_eq!(event.data, published.to_string());
                published += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_producer_that_watches_closing_sends_a_last_event() {
    let (server, journal, _) = server().await;
    let mut client = server.sse("/last-word").await;
    assert_eq!(client.next().await.unwrap().data, "working");
    let stopped = tokio::spawn(server.stop());
    assert_eq!(client.next().await.unwrap().data, "closing: shutdown");
    let last = client.next().await.unwrap();
    assert_eq!(last.event, "helios:reconnect", "the stream is not finished");
    assert!(client.next().await.is_none());
    stopped.await.unwrap().unwrap();
    assert_eq!(journal.notes(), ["closed: shutdown"]);
}

/// The number of streams. A machine that limits open files has fewer.
const MANY: usize = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_of_five_thousand_streams_runs_all_close_hooks() {
    let (app, journal) = app();
    let server = TestServer::start(app.provide(Gate::default())).await;
    let many = streams_within_the_limit_of_files();
    let mut clients = Vec::with_capacity(many);
    for _ in 0..many {
        clients.push(server.raw(&get("/idle")).await);
    }
    // These never read, so their sockets are full at the shutdown.
    let mut unread = Vec::new();
    for _ in 0..5 {
        unread.push(server.raw(&get("/blocked")).await);
    }
    server.wait_for_connections(many + unread.len()).await;
    // A client that does not read changes nothing for the others.
    server.sse.publish("idle", "to all").await.unwrap();
    let stopped = tokio::spawn(server.stop());
    let mut reached = 0;
    let mut retries = Vec::with_capacity(many);
    for client in &mut clients {
        let text = read_to_end(client).await;
        reached += usize::from(text.contains("data: to all\n"));
        retries.extend(told_retry(&text));
    }
    stopped.await.unwrap().unwrap();
    assert_eq!((reached, retries.len()), (many, many));
    // From 3 s to half as much again. There are fewer milliseconds than clients.
    assert!(retries.iter().all(|retry| (3_000..=4_500).contains(retry)));
    let different: HashSet<_> = retries.into_iter().collect();
    assert!(different.len() > many / 10, "{} values", different.len());
    eventually(|| journal.count("closed: shutdown") == many + unread.len()).await;
}

fn told_retry(text: &str) -> Option<u64> {
    let (_, told) = text.split_once("event: helios:reconnect\nretry: ")?;
    told.lines().next()?.parse().ok()
}

/// A stream takes two files here, the client's socket and the server's. Some are left to the other tests.
fn streams_within_the_limit_of_files() -> usize {
    const SPARE: usize = 400;
    let files = open_files(2 * MANY + SPARE);
    let streams = MANY.min(files.saturating_sub(SPARE) / 2);
    if streams < MANY {
        eprintln!("{streams} streams instead of {MANY}: {files} files may be open");
    }
    streams
}

/// Raises the limit of open files to `wanted`, or as far as possible, and returns it.
#[cfg(unix)]
fn open_files(wanted: usize) -> usize {
    use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};

    let (soft, hard) = getrlimit(RLIMIT_NOFILE).unwrap();
    let raised = (wanted as u64).clamp(soft, hard);
    setrlimit(RLIMIT_NOFILE, raised, hard).unwrap();
    usize::try_from(raised).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn open_files(wanted: usize) -> usize {
    wanted
}
