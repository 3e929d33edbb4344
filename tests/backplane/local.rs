//! Hubs without sockets, for tests that wait long. A paused clock moves ahead when nothing else runs.

use helios::SseOptions;
use helios::axum_core::body::Body;
use helios::prelude::*;
use helios::sse::{DecodedEvent, Decoder, EventId, SseHub};
use http_body_util::BodyExt;
use support::backplane::{Link, Log};
use tokio::time::timeout;

/// Longer than any wait of a hub.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Local {
    pub(super) hub: SseHub,
    pub(super) link: Link,
}

impl Local {
    pub(super) async fn start(log: &Arc<Log>, seed: u64) -> Self {
        Self::start_with(log, seed, |_| {}).await
    }

    pub(super) async fn start_with(
        log: &Arc<Log>,
        seed: u64,
        options: impl FnOnce(&mut SseOptions),
    ) -> Self {
        let link = log.link(seed);
        let hub = SseHub::behind(link.clone(), options).await.unwrap();
        Self { hub, link }
    }

    pub(super) fn sse(&self) -> &SseService {
        self.hub.sse()
    }

    pub(super) async fn client_of(&self, user: &str, topics: &[&str]) -> LocalClient {
        client_of(&self.hub, user, topics).await
    }

    /// Returns a client that has received `helios:ready`, and its id.
    pub(super) async fn client(&self, topics: &[&str]) -> (LocalClient, ClientId) {
        let stream = self.sse().subscribe(topics).await.unwrap();
        let id = stream.id();
        (self.answer(stream, None).await, id)
    }

    /// Returns the client of this stream after its `helios:ready`. It may have seen the topics' events up to an id
    /// before.
    pub(super) async fn answer(&self, stream: SseStream, last: Option<EventId>) -> LocalClient {
        let mut client = self.try_answer(stream, last).await;
        assert_eq!(client.next().await.event, "helios:ready");
        client
    }

    /// Returns the client of this stream.
    pub(super) async fn try_answer(&self, stream: SseStream, last: Option<EventId>) -> LocalClient {
        let mut request = http::Request::get("/");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let head = request.body(()).unwrap().into_parts().0;
        let response = self.hub.respond(head, stream).await;
        LocalClient {
            body: response.into_body(),
            decoder: Decoder::new(),
        }
    }
}

/// Returns a client whose request names a user, after its `helios:ready`.
pub(super) async fn client_of(hub: &SseHub, user: &str, topics: &[&str]) -> LocalClient {
    let stream = hub.sse().subscribe(topics).await.unwrap();
    let named = http::Request::get("/").header("cookie", user_cookie(user));
    let head = named.body(()).unwrap().into_parts().0;
    let mut client = LocalClient {
        body: hub.respond(head, stream).await.into_body(),
        decoder: Decoder::new(),
    };
    assert_eq!(client.next().await.event, "helios:ready");
    client
}

fn user_cookie(user: &str) -> String {
    let escaped = user.replace('\n', "%0A").replace('"', "%22");
    format!("user={escaped}")
}

pub(super) struct LocalClient {
    body: Body,
    decoder: Decoder,
}

impl LocalClient {
    pub(super) async fn next(&mut self) -> DecodedEvent {
        loop {
            while let Some(item) = self.decoder.next_item() {
                if let helios::sse::Decoded::Event(event) = item {
                    return event;
                }
            }
            let frame = timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.expect("an event in time").expect("an open stream");
            self.decoder
                .feed(frame.unwrap().data_ref().unwrap())
                .unwrap();
        }
    }

    pub(super) async fn data(&mut self) -> String {
        self.next().await.data
    }
}
