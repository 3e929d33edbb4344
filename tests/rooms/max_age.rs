//! Connections whose time is up, by age or because the server shuts down.

use std::sync::Mutex;
use std::time::SystemTime;

use helios::prelude::*;
use helios::testing::{TestApp, TestStream};
use tokio::time::Instant;

use super::app::json;
use support::journal::Journal;
use support::{TestServer, within};

/// Streams that do, or do not, send a last event.
#[derive(Injectable)]
struct Words {
    journal: Arc<Journal>,
    ended: Arc<Mutex<Vec<Instant>>>,
}

#[controller(prefix = "w")]
impl Words {
    #[sse("polite")]
    async fn polite(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("hello").await?;
        let reason = stream.closing().await;
        self.journal.note(format!("closing: {reason}"));
        stream.send("until soon").await
    }

    #[sse("stubborn")]
    async fn stubborn(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("hello").await?;
        stream.closing().await;
        stream.send("not yet").await?;
        std::future::pending().await
    }

    #[sse("busy")]
    async fn busy(&self, stream: SseStream) -> Result<(), SseError> {
        loop {
            stream.send("busy").await?;
            sleep(Duration::from_secs(1)).await;
        }
    }

    #[sse("fails")]
    async fn fails(&self, stream: SseStream) -> Result<(), HttpError> {
        stream.send("hello").await?;
        stream.closing().await;
        Err(HttpError::gone("could not say it"))
    }

    #[sse("driven")]
    fn driven(&self) -> SseStream {
        let stream = SseStream::new();
        let driver = stream.clone();
        tokio::spawn(async move {
            driver.send("hello").await.unwrap();
            driver.closing().await;
            driver.send("until soon").await.unwrap();
        });
        stream
    }

    #[sse("silent")]
    fn silent(&self) -> SseStream {
        SseStream::new()
    }

    /// Admits its client for some seconds, and then for some more.
    #[sse("expires/{seconds}/{more}")]
    fn expires(&self, #[param] seconds: u64, #[param] more: u64) -> SseStream {
        let stream = SseStream::new();
        let after = |seconds| SystemTime::now() + Duration::from_secs(seconds);
        stream.expire_at(after(seconds));
        if more > 0 {
            stream.expire_at(after(seconds + more));
        }
        stream
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.ended.lock().unwrap().push(Instant::now());
        self.journal.note(format!("closed: {reason}"));
    }
}

#[server(controllers = [Words], sse(enabled = true))]
struct App;

const MAX_AGE: Duration = Duration::from_secs(1_000);

fn app() -> (Helios, Journal, Arc<Mutex<Vec<Instant>>>) {
    let (journal, ended) = (Journal::default(), Arc::default());
    let app = Helios::new(App)
        .provide(journal.clone())
        .provide_as(Arc::clone(&ended));
    (app, journal, ended)
}

/// Returns an app without a socket, whose connections have an age limit.
fn aging() -> (TestApp, Journal, Arc<Mutex<Vec<Instant>>>) {
    let (app, journal, ended) = app();
    let app = app.sse_options(|sse| {
        sse.max_age = Some(MAX_AGE);
        sse.closing_grace = Some(Duration::from_secs(7));
    });
    (TestApp::start(app).unwrap(), journal, ended)
}

async fn open(app: &TestApp, path: &str) -> TestStream {
    app.sse(path).await.with_deadline(2 * MAX_AGE)
}

/// Returns the data of the stream's own events, and the names of others, until its end.
async fn words(mut stream: TestStream) -> Vec<String> {
    let events = stream.rest().await.into_iter();
    let word = |event: helios::sse::DecodedEvent| match event.event.as_str() {
        "message" => event.data,
        "helios:reconnect" => format!("reconnect: {}", json(&event)["reason"]),
        _ => event.event,
    };
    events.map(word).collect()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_old_is_asked_to_come_back() {
    let (app, journal, ended) = aging();
    let began = Instant::now();
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(tokio::spawn(words(open(&app, "/w/silent").await)));
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap(), ["reconnect: \"max_age\""]);
    }
    journal.wait_for("closed: max_age").await;
    assert_eq!(journal.count("closed: max_age"), 50);
    let ages: Vec<_> = ended.lock().unwrap().iter().map(|at| *at - began).collect();
    let youngest = *ages.iter().min().unwrap();
    let oldest = *ages.iter().max().unwrap();
    assert!(youngest >= MAX_AGE.mul_f64(0.9), "{youngest:?}");
    assert!(oldest <= MAX_AGE + Duration::from_secs(2), "{oldest:?}");
    assert!(oldest - youngest > MAX_AGE / 50, "not all at the same time");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_clients_credential_expires() {
    for (path, seconds) in [("0/0", 0), ("30/0", 30), ("30/60", 90)] {
        let (app, journal, ended) = aging();
        let began = Instant::now();
        let words = words(open(&app, &format!("/w/expires/{path}")).await).await;
        assert_eq!(words, ["reconnect: \"credential_expired\""]);
        journal.wait_for("closed: credential_expired").await;
        let lived = ended.lock().unwrap().pop().unwrap() - began;
        let late = lived.as_secs_f64() - f64::from(seconds);
        assert!((-0.1..2.0).contains(&late), "{path}: {lived:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_clock_can_tell_ends_nothing() {
    let stream = SseStream::new();
    stream.expire_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
    let (app, ..) = aging();
    let words = words(open(&app, "/w/expires/900000000000/0").await).await;
    assert_eq!(words, ["reconnect: \"max_age\""]);
}

#[tokio::test(start_paused = true)]
async fn age_ends_a_busy_stream_too_but_not_early() {
    let (app, journal, _) = aging();
    let words = words(open(&app, "/w/busy").await).await;
    assert_eq!(words.last().unwrap(), "reconnect: \"max_age\"");
    assert!((890..=1_002).contains(&words.len()), "{}", words.len());
    journal.wait_for("closed: max_age").await;
}

#[tokio::test(start_paused = true)]
async fn connections_do_not_age_unless_so_configured() {
    let (app, journal, _) = app();
    let app = TestApp::start(app).unwrap();
    tokio::spawn(words(
        open(&app, "/w/silent").await.with_deadline(Duration::MAX),
    ));
    sleep(Duration::from_secs(20_000)).await;
    assert_eq!(app.sse_service().stats().connections, 1);
    assert!(journal.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_max_age_a_producer_sends_a_last_event() {
    let (app, journal, _) = aging();
    let words = words(open(&app, "/w/polite").await).await;
    assert_eq!(words, ["hello", "until soon", "reconnect: \"max_age\""]);
    journal.wait_for("closed: max_age").await;
    assert_eq!(journal.notes(), ["closing: max_age", "closed: max_age"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_with_a_handle_sends_a_last_event_too() {
    let (app, ..) = aging();
    let words = words(open(&app, "/w/driven").await).await;
    assert_eq!(words, ["hello", "until soon", "reconnect: \"max_age\""]);
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_ignores_its_end_is_dropped_after_grace() {
    let (app, journal, ended) = aging();
    let mut stream = open(&app, "/w/stubborn").await;
    assert_eq!(stream.next().await.unwrap().data, "hello");
    assert_eq!(stream.next().await.unwrap().data, "not yet");
    let announced = Instant::now();
    assert_eq!(words(stream).await, ["reconnect: \"max_age\""]);
    journal.wait_for("closed: max_age").await;
    let grace = (ended.lock().unwrap()[0] - announced).as_secs();
    assert!((6..=9).contains(&grace), "{grace}");
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_fails_at_its_end_counts_as_failed() {
    let (app, journal, _) = aging();
    assert_eq!(
        words(open(&app, "/w/fails").await).await,
        ["hello", "error"]
    );
    journal.wait_for("closed: error").await;
}

#[tokio::test]
async fn at_shutdown_a_producer_sends_a_last_event() {
    let (app, journal, _) = app();
    let server = TestServer::start(app).await;
    let mut clients = Vec::new();
    for path in ["/w/polite", "/w/driven", "/w/silent"] {
        let mut client = server.sse(path).await;
        if path != "/w/silent" {
            assert_eq!(client.next().await.unwrap().data, "hello");
        }
        clients.push(client);
    }
    server.wait_for_connections(3).await;
    server.stop().await.unwrap();
    let last_words: [&[&str]; 3] = [
        &["message", "helios:reconnect"],
        &["message", "helios:reconnect"],
        &["helios:reconnect"],
    ];
    for (client, expected) in clients.iter_mut().zip(last_words) {
        assert_eq!(client.names().await, expected);
        assert!(client.text().contains("\"reason\":\"shutdown\""));
    }
    assert_eq!(journal.count("closing: shutdown"), 1);
    assert_eq!(journal.count("closed: shutdown"), 3);
}

#[tokio::test]
async fn at_shutdown_a_producer_that_ignores_it_is_dropped() {
    let (app, journal, _) = app();
    let app = app.sse_options(|sse| sse.closing_grace = Some(Duration::from_millis(50)));
    let server = TestServer::start(app).await;
    let mut client = server.sse("/w/stubborn").await;
    assert_eq!(client.next().await.unwrap().data, "hello");
    server.stop().await.unwrap();
    assert_eq!(client.names().await, ["message", "helios:reconnect"]);
    assert_eq!(journal.notes(), ["closed: shutdown"]);
}

#[tokio::test]
async fn closing_tells_of_every_end() {
    let (app, ..) = app();
    let server = TestServer::start(app).await;
    for reason in [CloseReason::ServerClosed, CloseReason::ClientDisconnected] {
        let client = server.sse("/w/silent").await;
        server.wait_for_connections(1).await;
        let handle = server.sse.clients().remove(0);
        let waiting = tokio::spawn({
            let handle = handle.clone();
            async move { handle.closing().await }
        });
        match reason {
            CloseReason::ServerClosed => handle.close(),
            _ => drop(client),
        }
        assert_eq!(within(waiting).await.unwrap(), reason);
        assert_eq!(within(handle.closing()).await, reason);
        server.wait_for_connections(0).await;
    }
}
