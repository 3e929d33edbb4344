//! A server with the backplane, and its clients.

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::DecodedEvent;
use helios::sse::{EventId, Replay};
use http::Method;
use support::backplane::{Link, Log};
use support::{SseClient, TestServer, within};

#[derive(Injectable)]
struct Rooms {
    sse: SseService,
}

#[controller]
impl Rooms {
    #[sse("rooms/{names}")]
    async fn rooms(&self, #[param] names: String) -> Result<SseStream, SseError> {
        self.sse.subscribe(names.split('+')).await
    }

    #[sse("last/{count}/{names}")]
    async fn last(
        &self,
        #[param] count: usize,
        #[param] names: String,
    ) -> Result<SseStream, SseError> {
        let from = Replay::Last(count);
        self.sse.subscribe_from(names.split('+'), from).await
    }

    #[sse("earliest/{names}")]
    async fn earliest(&self, #[param] names: String) -> Result<SseStream, SseError> {
        let names = names.split('+');
        self.sse.subscribe_from(names, Replay::Earliest).await
    }

    /// Joins while it runs, before the response head is sent.
    #[sse("produced/{name}")]
    async fn produced(&self, stream: SseStream, #[param] name: String) -> Result<(), SseError> {
        stream.join(name).await?;
        stream.open();
        stream.closing().await;
        Ok(())
    }

    /// Joins all clients to another topic, from an id.
    #[post("join/{topic}/{id}")]
    async fn join(&self, #[param] topic: String, #[param] id: String) -> Result<(), SseError> {
        let id: EventId = id.parse().unwrap();
        for client in self.sse.clients() {
            client.join_from(&topic, id).await?;
        }
        Ok(())
    }

    #[post("publish/{topic}")]
    async fn publish(&self, #[param] topic: String, #[body] n: u64) -> Result<String, SseError> {
        let id = self.sse.publish(topic, n.to_string()).await?;
        Ok(id.to_string())
    }

    #[get("ready")]
    fn ready(&self) {}
}

#[server(controllers = [Rooms], sse(enabled = true))]
pub(super) struct App;

/// A server with the backplane.
pub(super) struct Node {
    pub(super) server: TestServer,
    pub(super) link: Link,
}

impl Node {
    pub(super) async fn start(log: &Arc<Log>, seed: u64) -> Self {
        Self::start_with(log, seed, |_| {}).await
    }

    pub(super) async fn start_with(
        log: &Arc<Log>,
        seed: u64,
        options: impl FnOnce(&mut SseOptions),
    ) -> Self {
        let link = log.link(seed);
        let app = Helios::new(App)
            .sse_options(options)
            .backplane(link.clone());
        let server = TestServer::start(app).await;
        // Responds once the app has started.
        assert_eq!(server.get("/ready").await.status, 200);
        Self { server, link }
    }

    pub(super) async fn publish(&self, topic: &str, text: &str) -> String {
        let id = self.server.sse.publish(topic, text).await.unwrap();
        id.to_string()
    }

    /// Returns a client that has received `helios:ready`.
    pub(super) async fn client(&self, topics: &str) -> SseClient {
        self.client_of(&format!("/rooms/{topics}")).await
    }

    pub(super) async fn client_of(&self, path: &str) -> SseClient {
        let mut client = self.server.sse(path).await;
        assert_eq!(event(&mut client).await.event, "helios:ready");
        client
    }

    /// Returns a client that resumes, and its `helios:ready`.
    pub(super) async fn resume(&self, topics: &str, last: &str) -> (SseClient, DecodedEvent) {
        let headers = [("last-event-id", last)];
        let path = format!("/rooms/{topics}");
        let mut client = self.server.sse_with(Method::GET, &path, &headers, "").await;
        let ready = event(&mut client).await;
        assert_eq!(ready.event, "helios:ready");
        (client, ready)
    }
}

pub(super) async fn event(client: &mut SseClient) -> DecodedEvent {
    within(client.next()).await.expect("an event")
}

/// Returns the next `count` events, as data and ids.
pub(super) async fn read(client: &mut SseClient, count: usize) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for _ in 0..count {
        let event = event(client).await;
        events.push((event.data, event.id));
    }
    events
}

/// Returns the data of the next `count` events.
pub(super) async fn data(client: &mut SseClient, count: usize) -> Vec<String> {
    let events = read(client, count).await;
    events.into_iter().map(|(data, _)| data).collect()
}

pub(super) async fn reset(client: &mut SseClient) -> (String, Vec<String>) {
    let event = event(client).await;
    assert_eq!(event.event, "helios:reset", "{event:?}");
    let told: serde_json::Value = serde_json::from_str(&event.data).unwrap();
    let topics = told["topics"].as_array().unwrap().iter();
    let topics = topics.map(|topic| topic.as_str().unwrap().to_owned());
    (
        told["reason"].as_str().unwrap().to_owned(),
        topics.collect(),
    )
}

/// Returns the first event of a new sequence, and the new position. They come in either order, which depends on when
/// the stream reads.
pub(super) async fn begins_anew(client: &mut SseClient) -> (DecodedEvent, DecodedEvent) {
    let (first, second) = (event(client).await, event(client).await);
    let (published, ready) = match first.event == "helios:ready" {
        true => (second, first),
        false => (first, second),
    };
    assert_eq!(
        (&*published.event, &*ready.event),
        ("message", "helios:ready")
    );
    (published, ready)
}

pub(super) async fn pair() -> (Arc<Log>, Node, Node) {
    let log = Log::new(10_000);
    let one = Node::start(&log, 1).await;
    let two = Node::start(&log, 2).await;
    (log, one, two)
}
