//! The app for most tests here. One route joins the topics in its query.

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

/// Returns a client in these topics that has read its `helios:ready`.
pub(super) async fn subscribe(server: &TestServer, topics: &[&str]) -> SseClient {
    let mut client = server.sse(&path(topics)).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    client
}

/// Returns a client that resumes these topics after an id.
pub(super) async fn come_back(server: &TestServer, topics: &[&str], last: &str) -> SseClient {
    let headers = [("last-event-id", last)];
    server
        .sse_with(Method::GET, &path(topics), &headers, "")
        .await
}

/// Returns the data of the next event, and the current id.
pub(super) async fn next(client: &mut SseClient) -> (String, String) {
    let event = client.next().await.unwrap();
    (event.data, event.id)
}

/// Reads up to the event with this data, and returns the data of all earlier events.
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

/// Returns an app without a socket, so that only the test reads.
pub(super) fn in_process(change: impl FnOnce(&mut SseOptions)) -> (TestApp, Journal) {
    let (app, journal) = app();
    (TestApp::start(app.sse_options(change)).unwrap(), journal)
}

/// Returns everything that is ready to be read, on a paused clock.
pub(super) async fn all_now(stream: &mut TestStream) -> Vec<DecodedEvent> {
    let mut all = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_millis(5), stream.next()).await {
        all.push(event);
    }
    all
}
