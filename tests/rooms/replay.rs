//! The start of topics for a client without an id: the last events, the whole history, or after an id.

use std::sync::Mutex;

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::{DecodedEvent, HistoryLimits, Replay};
use helios::testing::{TestApp, TestStream};

use super::app::{all_now, json};

#[derive(Injectable)]
struct Streams {
    sse: SseService,
    stored: Arc<Mutex<Vec<u64>>>,
}

/// Parses `TOPIC` or `TOPIC@START`, where the start is an id, `earliest`, or a number of events.
fn split(at: &str) -> (&str, Replay) {
    let (topic, from) = at.split_once('@').unwrap_or((at, "0"));
    let from = match (from, from.parse::<helios::EventId>()) {
        ("earliest", _) => Replay::Earliest,
        (_, Ok(id)) => id.into(),
        (count, Err(_)) => Replay::Last(count.parse().unwrap()),
    };
    (topic, from)
}

#[controller(prefix = "p")]
impl Streams {
    #[sse("joined")]
    async fn joined(&self, #[query] at: Vec<String>) -> Result<SseStream, SseError> {
        let client = self.sse.create_connection();
        for (topic, from) in at.iter().map(|at| split(at)) {
            client.join_from(topic, from).await?;
        }
        client.insert(client.last_event_id());
        Ok(client)
    }

    #[sse("all")]
    async fn all(&self, #[query] topic: Vec<String>) -> Result<SseStream, SseError> {
        self.sse.subscribe_from(topic, Replay::Earliest).await
    }

    #[get("snapshot")]
    fn snapshot(&self) -> serde_json::Value {
        let since = self.sse.newest_id().to_string();
        std::thread::yield_now();
        json!({ "since": since, "stored": *self.stored.lock().unwrap() })
    }

    #[on_sse_connection]
    fn opened(&self, client: SseStream) {
        client.insert(client.last_event_id());
    }
}

#[server(controllers = [Streams], sse(enabled = true))]
struct App;

fn start(change: impl FnOnce(&mut SseOptions)) -> TestApp {
    let stored = Arc::new(Mutex::new(Vec::<u64>::new()));
    TestApp::start(Helios::new(App).provide_as(stored).sse_options(change)).unwrap()
}

fn keeping(events: usize) -> impl FnOnce(&mut SseOptions) {
    move |sse| {
        sse.history = HistoryLimits {
            events,
            ..HistoryLimits::default()
        };
    }
}

/// Publishes `a1`, `b2`, .. to these topics in turn.
async fn publish(app: &TestApp, topics: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for (n, topic) in topics.chars().enumerate() {
        let event = format!("{topic}{}", n + 1);
        let id = app.sse_service().publish(topic.to_string(), event).await;
        ids.push(id.unwrap().to_string());
    }
    ids
}

fn data(events: &[DecodedEvent]) -> Vec<&str> {
    let published = events.iter().filter(|event| event.event == "message");
    published.map(|event| &*event.data).collect()
}

async fn ready(stream: &mut TestStream) -> DecodedEvent {
    let ready = stream.next().await.unwrap();
    assert_eq!(ready.event, "helios:ready");
    ready
}

fn is_reset(events: &[DecodedEvent]) -> bool {
    events.iter().any(|event| event.event == "helios:reset")
}

#[tokio::test(start_paused = true)]
async fn a_new_client_gets_all_history_and_then_live_events() {
    for (keep, expected) in [(100, vec!["a1", "a2", "a4", "a5"]), (2, vec!["a4", "a5"])] {
        let app = start(keeping(keep));
        publish(&app, "aabaa").await;
        let mut client = app.sse("/p/all?topic=a&topic=nothing-yet").await;
        let mut events = all_now(&mut client).await;
        publish(&app, "ba").await;
        events.extend(all_now(&mut client).await);
        assert_eq!(data(&events), [&expected[..], &["a2"]].concat());
        assert!(!is_reset(&events), "it asks for what there is");
        assert_eq!(json(&events[0])["resumed"], false);
    }
}

#[tokio::test(start_paused = true)]
async fn each_topic_gives_its_own_last_events() {
    let app = start(|_| {});
    publish(&app, "aabbbab").await;
    let mut client = app.sse("/p/joined?at=a@2&at=b@1&at=c@9&at=d").await;
    let events = all_now(&mut client).await;
    assert_eq!(data(&events), ["a2", "a6", "b7"]);
    assert!(!is_reset(&events));
    let mut more = app.sse("/p/joined?at=a@99").await;
    assert_eq!(data(&all_now(&mut more).await), ["a1", "a2", "a6"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_cut_in_a_replay_of_history_loses_nothing() {
    let app = start(|_| {});
    publish(&app, "aabbab").await;
    let path = "/p/joined?at=a@earliest&at=b@2&at=live";
    for cut in 0..=5 {
        let mut client = app.sse(path).await;
        let mut events = Vec::new();
        for _ in 0..=cut {
            events.push(client.next().await.unwrap());
        }
        let last = events[cut].id.clone();
        drop(client);
        let mut client = app.sse(path).last_event_id(&last).await;
        events.extend(all_now(&mut client).await);
        let all = data(&events);
        for event in ["a1", "a2", "b4", "a5", "b6"] {
            let times = all.iter().filter(|had| **had == event).count();
            assert_eq!(times, 1, "{event}, cut behind {cut}");
        }
        assert!(!is_reset(&events));
    }
}

#[tokio::test(start_paused = true)]
async fn earliest_as_an_id_gives_new_clients_all_history() {
    let app = start(keeping(3));
    let ids = publish(&app, "aaaaabbb").await;
    app.sse_service().broadcast("to all").await.unwrap();
    let path = format!("/p/joined?at=a&at=b@{}", ids[6]);
    let by_header = app.sse(&path).last_event_id("earliest").await;
    let by_query = app.sse(&format!("{path}&lastEventId=earliest")).await;
    for mut client in [by_header, by_query] {
        let ready = ready(&mut client).await;
        assert_eq!(json(&ready)["resumed"], false);
        let events = all_now(&mut client).await;
        // A topic with a start of its own begins there, and broadcasts begin now.
        assert_eq!(data(&events), ["a3", "a4", "a5", "b8"]);
        assert!(!is_reset(&events));
    }
    for client in app.sse_service().clients() {
        assert_eq!(
            client.get::<Option<String>>(),
            Some(None),
            "it has seen none"
        );
    }
    // From then on its own id counts, as for an `EventSource` whose URL stays the same.
    let path = format!("{path}&lastEventId=earliest");
    let mut back = app.sse(&path).last_event_id(&ids[4]).await;
    assert_eq!(json(&ready(&mut back).await)["resumed"], true);
    let events = all_now(&mut back).await;
    assert_eq!(data(&events), ["b6", "b7", "b8", "to all"]);
}

#[tokio::test(start_paused = true)]
async fn a_requested_replay_follows_the_reset_of_an_unknown_id() {
    let app = start(|_| {});
    publish(&app, "aab").await;
    for foreign in ["made-up", "1-1"] {
        let path = "/p/joined?at=a@1&at=b@earliest";
        let mut client = app.sse(path).last_event_id(foreign).await;
        let events = all_now(&mut client).await;
        assert_eq!(events[1].event, "helios:reset");
        assert_eq!(data(&events), ["a2", "b3"], "{foreign}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_stream_is_given_older_events_without_ids() {
    let app = start(|_| {});
    publish(&app, "aaab").await;
    let mut client = app.sse("/p/joined?at=b").await;
    let ready = ready(&mut client).await;
    let handle = app.sse_service().clients().remove(0);
    handle.join_from("a", Replay::Last(2)).await.unwrap();
    handle.join_from("c", Replay::Earliest).await.unwrap();
    publish(&app, "c").await;
    let events = all_now(&mut client).await;
    assert_eq!(data(&events), ["a2", "a3", "c1"]);
    assert_eq!(events[1].id, ready.id, "its position does not go back");
    assert!(!is_reset(&events) && events[2].id > ready.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_a_join_leave_no_hole() {
    const EVENTS: u64 = 3_000;
    let stored = Arc::new(Mutex::new(Vec::<u64>::new()));
    let app = Helios::new(App).provide_as(Arc::clone(&stored));
    let app = TestApp::start(app).unwrap();
    let sse = app.sse_service().clone();
    let publisher = tokio::spawn(async move {
        for n in 0..EVENTS {
            stored.lock().unwrap().push(n);
            sse.publish("n", n.to_string()).await.unwrap();
        }
    });
    let mut rounds = 0;
    while rounds == 0 || !publisher.is_finished() {
        let snapshot: serde_json::Value = app.get("/p/snapshot").await.json();
        let since = snapshot["since"].as_str().unwrap();
        let known = snapshot["stored"].as_array().unwrap().len() as u64;
        let mut client = app.sse(&format!("/p/joined?at=n@{since}")).await;
        ready(&mut client).await;
        if known < EVENTS {
            let first = client.next().await.unwrap();
            assert!(first.event == "message" && first.data.parse::<u64>().unwrap() <= known);
        }
        rounds += 1;
    }
    publisher.await.unwrap();
}
