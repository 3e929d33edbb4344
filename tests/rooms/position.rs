//! The position at which a stream begins. No event is lost because of an id.

use helios::prelude::*;
use helios::sse::{DecodedEvent, EventId};
use http::Method;

use super::app::{json, until};
use support::{SseClient, TestServer, within};

#[derive(Injectable)]
struct Streams {
    sse: SseService,
}

/// Parses `TOPIC@ID`.
fn split(at: &str) -> Result<(&str, EventId), HttpError> {
    let (topic, id) = at
        .split_once('@')
        .ok_or_else(|| HttpError::bad_request("TOPIC@ID"))?;
    let id = id
        .parse()
        .map_err(|_| HttpError::bad_request("no such id"))?;
    Ok((topic, id))
}

#[controller(prefix = "p")]
impl Streams {
    /// Joins some topics from an id, and others without.
    #[sse("joined")]
    async fn joined(
        &self,
        #[query] at: Vec<String>,
        #[query] live: Vec<String>,
    ) -> Result<SseStream, HttpError> {
        let client = self.sse.create_connection();
        for (topic, id) in at
            .iter()
            .map(|at| split(at))
            .collect::<Result<Vec<_>, _>>()?
        {
            client.join_from(topic, id).await?;
        }
        for topic in &live {
            client.join(topic).await?;
        }
        Ok(client)
    }

    /// Joins as a producer does, before its first event.
    #[sse("produced")]
    async fn produced(&self, stream: SseStream, #[query] at: String) -> Result<(), HttpError> {
        let (topic, id) = split(&at)?;
        stream.join("live").await?;
        stream.join_from(topic, id).await?;
        stream.send("produced").await?;
        std::future::pending::<()>().await;
        Ok(())
    }

    /// Waits between its two joins and after them, while others publish.
    #[sse("waits")]
    async fn waits(&self) -> Result<SseStream, SseError> {
        let client = self.sse.subscribe(["first"]).await?;
        self.publish("1").await?;
        client.join("second").await?;
        self.publish("2").await?;
        Ok(client)
    }

    /// Like `waits`, but more is published meanwhile than history holds.
    #[sse("waits-too-long")]
    async fn waits_too_long(&self) -> Result<SseStream, SseError> {
        let client = self.sse.subscribe(["first"]).await?;
        for n in 0..10 {
            self.sse.publish("short", n.to_string()).await?;
        }
        client.join("short").await?;
        Ok(client)
    }

    #[on_sse_connection]
    async fn opened(&self, #[req] request: &RequestContext) -> Result<(), SseError> {
        match request.uri().path().ends_with("waits") {
            true => self.publish("3").await,
            false => Ok(()),
        }
    }
}

impl Streams {
    async fn publish(&self, text: &str) -> Result<(), SseError> {
        for topic in ["first", "second"] {
            self.sse.publish(topic, format!("{topic} {text}")).await?;
        }
        self.sse.broadcast(format!("all {text}")).await?;
        Ok(())
    }
}

#[server(controllers = [Streams], sse(enabled = true))]
struct App;

async fn server() -> TestServer {
    let app = Helios::new(App).sse_options(|sse| {
        sse.keep_topic(
            "short",
            helios::sse::HistoryLimits {
                events: 3,
                ..Default::default()
            },
        );
    });
    let server = TestServer::start(app).await;
    // Its options apply once it responds.
    server.get("/").await;
    server
}

/// Publishes `0`, `1`, .. to these topics in turn, and returns the ids.
async fn published(server: &TestServer, topics: &[&str]) -> Vec<EventId> {
    let mut ids = Vec::new();
    for (n, topic) in topics.iter().enumerate() {
        ids.push(server.sse.publish(topic, n.to_string()).await.unwrap());
    }
    ids
}

async fn come_back(server: &TestServer, path: &str, last: &str) -> SseClient {
    let headers = [("last-event-id", last)];
    server.sse_with(Method::GET, path, &headers, "").await
}

/// Reads this many events, including `helios:ready`.
async fn read(client: &mut SseClient, events: usize) -> Vec<DecodedEvent> {
    let mut read = Vec::new();
    while read.len() < events {
        read.push(client.next().await.unwrap());
    }
    read
}

#[tokio::test]
async fn a_client_cut_anywhere_in_a_replay_loses_nothing() {
    let server = server().await;
    let ids = published(&server, &["a", "b", "live", "b", "a", "live", "a", "b"]).await;
    let path = format!("/p/joined?at=a@{}&at=b@{}&live=live", ids[0], ids[1]);
    // The replay, and the live event after it.
    let expected = ["3", "4", "6", "7", "after"];
    for cut in 0..=4 {
        let mut client = server.sse(&path).await;
        let before = read(&mut client, 1 + cut).await;
        assert_eq!(before[0].id, ids[0].to_string(), "the earliest of both");
        let last = before[cut].id.clone();
        drop(client);
        server.sse.publish("live", "after").await.unwrap();
        let mut client = come_back(&server, &path, &last).await;
        let ready = client.next().await.unwrap();
        assert_eq!(
            (ready.id.as_str(), &json(&ready)["resumed"]),
            (&*last, &true.into())
        );
        server.sse.publish("live", "end").await.unwrap();
        let after = until(&mut client, "end").await;
        let mut all = before[1..]
            .iter()
            .map(|event| event.data.clone())
            .chain(after);
        for event in expected {
            assert!(all.any(|had| had == event), "{event}, cut behind {cut}");
        }
        let handle = server.sse.clients().pop();
        drop(client);
        within(handle.unwrap().closed()).await;
    }
}

#[tokio::test]
async fn a_replay_that_a_producer_asks_for_has_ids_too() {
    let server = server().await;
    let ids = published(&server, &["a", "live", "a", "a"]).await;
    let mut client = server.sse(&format!("/p/produced?at=a@{}", ids[0])).await;
    let events = read(&mut client, 4).await;
    let ids_read: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    let expected = [ids[0], ids[2], ids[3], ids[3]].map(|id| id.to_string());
    assert_eq!(ids_read, expected);
    assert_eq!(events[3].data, "produced");
}

#[tokio::test]
async fn nothing_is_skipped_between_a_first_join_and_the_answer() {
    let server = server().await;
    let mut client = server.sse("/p/waits").await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    server.sse.broadcast("end").await.unwrap();
    let expected =
        ["1", "2", "3"].map(|n| ["first", "second", "all"].map(|of| format!("{of} {n}")));
    assert_eq!(until(&mut client, "end").await, expected.concat());
}

#[tokio::test]
async fn a_first_connection_with_gaps_is_reset_before_any_id() {
    let server = server().await;
    let mut client = server.sse("/p/waits-too-long").await;
    let events = read(&mut client, 2).await;
    assert_eq!((&*events[0].event, &*events[0].id), ("helios:ready", ""));
    assert_eq!(events[1].event, "helios:reset");
    assert!(!events[1].id.is_empty());
    assert_eq!(
        json(&events[1]),
        json!({ "reason": "expired", "topics": ["short"] })
    );
}

#[tokio::test]
async fn a_replay_follows_a_reset_unless_the_id_counts() {
    let server = server().await;
    let ids = published(&server, &["a", "a", "a"]).await;
    let path = format!("/p/joined?at=a@{}", ids[0]);
    for foreign in ["made-up", "1-1"] {
        let mut client = come_back(&server, &path, foreign).await;
        let events = read(&mut client, 4).await;
        let names: Vec<_> = events.iter().map(|event| &*event.event).collect();
        assert_eq!(names[..2], ["helios:ready", "helios:reset"]);
        assert_eq!((&*events[0].id, &*events[1].id), (foreign, foreign));
        let replay: Vec<_> = events[2..].iter().map(|event| event.id.clone()).collect();
        assert_eq!(replay, [ids[1], ids[2]].map(|id| id.to_string()));
    }
    let mut client = come_back(&server, &path, &ids[1].to_string()).await;
    let events = read(&mut client, 2).await;
    assert_eq!((&*events[0].event, &*events[1].data), ("helios:ready", "2"));
}

#[tokio::test]
async fn only_the_topic_whose_own_start_is_gone_is_reset() {
    let server = server().await;
    let ids = published(
        &server,
        &["a", "short", "short", "short", "short", "short", "a"],
    )
    .await;
    let path = format!("/p/joined?at=a@{}&at=short@{}&live=live", ids[0], ids[0]);
    let mut client = server.sse(&path).await;
    let events = read(&mut client, 3).await;
    assert_eq!(json(&events[1])["topics"], json!(["short"]));
    assert_eq!(
        (&*events[2].data, &events[2].id),
        ("6", &ids[6].to_string())
    );
    // A client with an id that history still reaches gets no reset for a start that it does not need.
    let mut client = come_back(&server, &path, &ids[6].to_string()).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    server.sse.publish("live", "next").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "next");
}
