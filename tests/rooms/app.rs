//! The app that most tests here use: one route that joins whatever topics it is asked for.

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::DecodedEvent;
use helios::sse::EventId;
use helios::testing::{TestApp, TestStream};
use http::Method;
use tokio::time::timeout;

use support::journal::Journal;
use support::{SseClient, TestServer};

#[derive(Injectable)]
pub(super) struct Rooms {
    journal: Arc<Journal>,
    sse: SseService,
}

#[controller(prefix = "r")]
impl Rooms {
    #[sse("topics")]
    async fn topics(&self, #[query] topic: Vec<String>) -> Result<SseStream, SseError> {
        self.sse.subscribe(topic).await
    }

    #[sse("plain")]
    fn plain(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(format!("closed: {reason}"));
    }
}

#[server(controllers = [Rooms], sse(enabled = true))]
pub(super) struct App;

pub(super) fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

pub(super) async fn server() -> TestServer {
    TestServer::start(app().0).await
}

pub(super) fn path(topics: &[&str]) -> String {
    let topics: Vec<_> = topics
        .iter()
        .map(|topic| format!("topic={topic}"))
        .collect();
    format!("/r/topics?{}", topics.join("&"))
}

/// A client in these topics that has read its `helios:ready`.
pub(super) async fn subscribe(server: &TestServer, topics: &[&str]) -> SseClient {
    let mut client = server.sse(&path(topics)).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    client
}

/// A client that comes back to these topics with the id that it has seen last.
pub(super) async fn come_back(server: &TestServer, topics: &[&str], last: &str) -> SseClient {
    let headers = [("last-event-id", last)];
    server
        .sse_with(Method::GET, &path(topics), &headers, "")
        .await
}

/// The data of the next event, and the id in force.
pub(super) async fn next(client: &mut SseClient) -> (String, String) {
    let event = client.next().await.unwrap();
    (event.data, event.id)
}

/// Reads up to the event with this data, and gives the data of all before it.
pub(super) async fn until(client: &mut SseClient, last: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        let event = client.next().await.unwrap();
        if event.data == last {
            return before;
        }
        before.push(event.data);
    }
}

pub(super) fn json(event: &DecodedEvent) -> serde_json::Value {
    serde_json::from_str(&event.data).unwrap()
}

pub(super) fn seq(id: &str) -> u64 {
    id.parse::<EventId>().unwrap().seq()
}

/// An app without a socket: nobody reads for a client but the test.
pub(super) fn in_process(change: impl FnOnce(&mut SseOptions)) -> (TestApp, Journal) {
    let (app, journal) = app();
    (TestApp::start(app.sse_options(change)).unwrap(), journal)
}

/// What there is to read, on a paused clock.
pub(super) async fn all_now(stream: &mut TestStream) -> Vec<DecodedEvent> {
    let mut all = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_millis(5), stream.next()).await {
        all.push(event);
    }
    all
}
