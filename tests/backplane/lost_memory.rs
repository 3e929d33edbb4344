//! A backplane that begins a new sequence. Earlier ids mean nothing then, but connections stay open.

use helios::prelude::*;
use helios::sse::EventId;
use http::Method;
use support::backplane::Log;
use support::{SseClient, TestServer, eventually};

use super::node::{begins_anew, data, event, pair, read, reset};

/// Reads a reset with the old id, and then a position of the new sequence, which it returns.
async fn told(client: &mut SseClient, last: &str) -> EventId {
    let told = event(client).await;
    assert_eq!(
        (&*told.event, &*told.id),
        ("helios:reset", last),
        "{told:?}"
    );
    assert!(told.data.contains(r#""reason":"epoch""#), "{told:?}");
    let ready = event(client).await;
    assert_eq!(ready.event, "helios:ready");
    assert!(ready.data.contains(r#""resumed":false"#), "{ready:?}");
    ready.id.parse().unwrap()
}

#[tokio::test]
async fn a_client_outlives_a_lost_memory_and_resumes_after_it() {
    let (log, one, two) = pair().await;
    let mut clients = [one.client("x").await, two.client("x").await];
    for n in 1..=50 {
        one.publish("x", &n.to_string()).await;
    }
    let mut last = Vec::new();
    for client in &mut clients {
        last.push(read(client, 50).await.pop().unwrap().1);
    }
    log.forget_all();
    let new = one.publish("x", "new").await;
    let new: EventId = new.parse().unwrap();
    for (client, last) in clients.iter_mut().zip(&last) {
        let (reason, topics) = reset(client).await;
        assert_eq!(
            (&*reason, topics),
            ("epoch", vec!["x".to_owned(), "*".to_owned()])
        );
        let old: EventId = last.parse().unwrap();
        let (published, ready) = begins_anew(client).await;
        assert_eq!((&*published.data, published.id), ("new", new.to_string()));
        let position: EventId = ready.id.parse().unwrap();
        assert!(position.epoch() == new.epoch() && new.epoch() != old.epoch());
    }
    // Its next connection resumes from there.
    let next = one.publish("x", "next").await;
    for (node, client) in [&one, &two].iter().zip(&mut clients) {
        let (mut resumed, ready) = node.resume("x", &new.to_string()).await;
        assert!(ready.data.contains(r#""resumed":true"#), "{ready:?}");
        for client in [client, &mut resumed] {
            assert_eq!(read(client, 1).await, [("next".to_owned(), next.clone())]);
        }
    }
}

#[tokio::test]
async fn a_client_cut_before_its_new_position_is_reset_again() {
    let (log, one, _two) = pair().await;
    let mut client = one.client("x").await;
    let last = one.publish("x", "1").await;
    data(&mut client, 1).await;
    log.forget_all();
    one.publish("x", "new").await;
    let told = event(&mut client).await;
    assert_eq!((&*told.event, &*told.id), ("helios:reset", &*last));
    drop(client);
    let (mut client, ready) = one.resume("x", &told.id).await;
    assert!(ready.data.contains(r#""resumed":false"#), "{ready:?}");
    assert_eq!(reset(&mut client).await.0, "epoch");
}

#[tokio::test]
async fn a_watch_also_notices_a_lost_memory() {
    let (log, one, two) = pair().await;
    let mut client = one.client("x").await;
    let last = one.publish("x", "1").await;
    data(&mut client, 1).await;
    log.forget_all();
    let mut fresh = one.client("y").await;
    told(&mut client, &last).await;
    two.publish("y", "2").await;
    assert_eq!(data(&mut fresh, 1).await, ["2"]);
    two.publish("x", "3").await;
    assert_eq!(data(&mut client, 1).await, ["3"]);
}

#[tokio::test]
async fn a_memory_lost_during_a_fetch_mixes_up_no_sequences() {
    let (log, one, two) = pair().await;
    let mut client = one.client("x").await;
    let last = one.publish("x", "1").await;
    data(&mut client, 1).await;
    one.link.silence(true);
    let calls = one.link.calls().len();
    one.link.gap("x");
    eventually(|| one.link.calls().len() > calls).await;
    one.link.silence(false);
    log.forget_all();
    two.publish("x", "new").await;
    let told = event(&mut client).await;
    assert_eq!((&*told.event, &*told.id), ("helios:reset", &*last));
    assert_eq!(begins_anew(&mut client).await.0.data, "new");
}

#[derive(Injectable)]
struct Shown {
    sse: SseService,
}

#[controller]
impl Shown {
    #[sse("shown/{name}")]
    async fn shown(&self, #[param] name: String) -> Result<SseStream, SseError> {
        self.sse.subscribe([name]).await
    }

    #[sse("plain/{name}", plain)]
    async fn plain(&self, #[param] name: String) -> Result<SseStream, SseError> {
        self.sse.subscribe([name]).await
    }

    #[on_sse_snapshot]
    async fn show(&self, client: SseStream, event: &SseSnapshot) -> Result<(), SseError> {
        let topics = event.topics.join(" ");
        client.send(SseEvent::text(topics).event("snapshot")).await
    }
}

#[server(controllers = [Shown], sse(enabled = true))]
struct App;

async fn shown(log: &Arc<Log>) -> TestServer {
    let app = Helios::new(App).backplane(log.link(3));
    TestServer::start(app).await
}

#[tokio::test]
async fn a_snapshot_comes_before_a_position_of_the_new_sequence() {
    let log = Log::new(10_000);
    let server = shown(&log).await;
    let mut client = server.sse("/shown/x").await;
    for (name, data) in [
        ("helios:ready", None),
        ("snapshot", Some("x *")),
        ("helios:ready", None),
    ] {
        let event = event(&mut client).await;
        assert_eq!(event.event, name);
        assert!(data.is_none_or(|data| data == event.data), "{event:?}");
    }
    let last = server.sse.publish("x", "1").await.unwrap();
    data(&mut client, 1).await;
    log.forget_all();
    let new = server.sse.publish("x", "new").await.unwrap();
    let told = [event(&mut client).await, event(&mut client).await];
    assert_eq!(
        (&*told[0].event, &*told[1].event),
        ("helios:reset", "snapshot")
    );
    // The events of the snapshot have no id of their own, so the last id is still the old one.
    let last = last.to_string();
    assert_eq!((&*told[0].id, &*told[1].id), (&*last, &*last));
    assert_eq!(told[1].data, "x *");
    let (published, _) = begins_anew(&mut client).await;
    assert_eq!((&*published.data, published.id), ("new", new.to_string()));
}

#[tokio::test]
async fn a_lost_memory_breaks_plain_streams_and_refuses_their_ids() {
    let log = Log::new(10_000);
    let server = shown(&log).await;
    let mut client = server.sse("/plain/x").await;
    event(&mut client).await;
    let last = server.sse.publish("x", "1").await.unwrap();
    data(&mut client, 1).await;
    log.forget_all();
    server.sse.publish("x", "new").await.unwrap();
    assert!(client.finish().await.is_err());
    let last = last.to_string();
    let headers = [("last-event-id", &*last), ("accept", "text/event-stream")];
    let answer = server.send(Method::GET, "/plain/x", &headers, "").await;
    assert_eq!(answer.status, 410);
}
