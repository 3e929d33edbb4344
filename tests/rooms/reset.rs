//! Clients that history does not reach get a reset, and their application responds to it.

use helios::prelude::*;
use helios::sse::{DecodedEvent, EventId, HistoryLimits, ResetReason, SlowClients};
use helios::testing::{TestApp, TestStream};
use tokio::sync::Notify;

use super::app::{app, come_back, json, path, seq, server, subscribe, until};
use support::journal::Journal;
use support::{SseClient, TestServer};

/// The action of a connection's reset hook.
#[derive(Clone)]
struct Mode(String);

/// Handles resets.
#[derive(Injectable)]
struct Answering {
    sse: SseService,
    journal: Arc<Journal>,
    go: Arc<Notify>,
}

#[controller(prefix = "h")]
impl Answering {
    #[sse("topics")]
    async fn topics(&self, #[query] topic: Vec<String>) -> Result<SseStream, SseError> {
        self.sse.subscribe(topic).await
    }

    #[on_sse_connection]
    fn opened(&self, client: SseStream, #[query] mode: String) {
        client.insert(Mode(mode));
    }

    #[on_sse_reset]
    async fn reset(&self, client: SseStream, reset: &SseReset) -> Result<(), HttpError> {
        assert!(reset.reason != ResetReason::Expired || reset.concerns("a"));
        self.journal.note("reset");
        match client.get::<Mode>().map(|Mode(mode)| mode).as_deref() {
            Some("fails") => return Err(HttpError::internal("no snapshot today")),
            Some("panics") => panic!("no snapshot today"),
            Some("hangs") => std::future::pending().await,
            Some("publishes") => {
                self.sse.publish("a", "during").await?;
                self.sse.broadcast("to all").await?;
            }
            Some("waits") => self.go.notified().await,
            Some("large") => {
                for _ in 0..100 {
                    client.send("x".repeat(16 * 1024)).await?;
                }
            }
            _ => {}
        }
        client
            .send(format!("snapshot {}", reset.topics.join(" ")))
            .await?;
        Ok(())
    }
}

#[server(controllers = [Answering], sse(enabled = true))]
struct Answers;

fn answers() -> (Helios, Journal, Arc<Notify>) {
    let (journal, go) = (Journal::default(), Arc::new(Notify::new()));
    let app = Helios::new(Answers)
        .provide(journal.clone())
        .provide_as(Arc::clone(&go));
    (
        app.sse_options(|sse| sse.keep_topic("a", last(2))),
        journal,
        go,
    )
}

fn last(events: usize) -> HistoryLimits {
    HistoryLimits {
        events,
        ..HistoryLimits::default()
    }
}

/// Publishes five events to the topic, and returns the id of the first, which history no longer reaches.
async fn overflow(sse: &SseService, topic: &str) -> String {
    let first = sse.publish(topic, "0").await.unwrap();
    for n in 1..5 {
        sse.publish(topic, n.to_string()).await.unwrap();
    }
    first.to_string()
}

/// Reads the events of the hook, and the position after them.
async fn assert_snapshot(client: &mut SseClient) -> DecodedEvent {
    assert_eq!(client.next().await.unwrap().data, "snapshot a");
    ready(client).await
}

/// Reads the position after a reset, and what the other topics have missed.
async fn ready(client: &mut SseClient) -> DecodedEvent {
    let ready = client.next().await.unwrap();
    assert_eq!(ready.event, "helios:ready");
    ready
}

fn assert_reset(event: &DecodedEvent, reason: &str, topics: &[&str]) {
    assert_eq!(event.event, "helios:reset");
    assert_eq!(json(event), json!({ "reason": reason, "topics": topics }));
}

/// Reads `helios:ready`, which must not report a resume.
async fn not_resumed(client: &mut SseClient) -> DecodedEvent {
    let ready = client.next().await.unwrap();
    assert_eq!(ready.event, "helios:ready");
    assert_eq!(json(&ready)["resumed"], false);
    ready
}

async fn come_back_to_answers(server: &TestServer, mode: &str, last: &str) -> SseClient {
    let path = format!("/h/topics?topic=a&topic=b&mode={mode}");
    let headers = [("last-event-id", last)];
    let mut client = server
        .sse_with(http::Method::GET, &path, &headers, "")
        .await;
    not_resumed(&mut client).await;
    client
}

#[tokio::test]
async fn an_unknown_id_resets_all_topics() {
    let server = server().await;
    let head = server.sse.publish("a", "old").await.unwrap();
    let future = EventId::new(head.epoch(), head.seq() + 99).to_string();
    let restarted = EventId::new(head.epoch() + 1, 1).to_string();
    for (id, reason) in [
        ("7", "unknown"),
        (&future, "unknown"),
        (&restarted, "epoch"),
    ] {
        let mut client = come_back(&server, &["a", "b"], id).await;
        let ready = not_resumed(&mut client).await;
        assert_eq!(ready.id, id, "cut before the reset it is to be reset again");
        let reset = client.next().await.unwrap();
        assert_reset(&reset, reason, &["a", "b", "*"]);
        assert_eq!(reset.id, id);
        let position = self::ready(&mut client).await.id;
        server.sse.publish("a", "live").await.unwrap();
        assert_eq!(client.next().await.unwrap().data, "live", "after {id}");
        drop(client);
        let client = come_back(&server, &["a", "b"], &position).await;
        assert!(resumes_with(client, "live").await, "a position was told");
    }
}

async fn resumes_with(mut client: SseClient, data: &str) -> bool {
    let ready = client.next().await.unwrap();
    let resumed = json(&ready)["resumed"] == true;
    resumed && client.next().await.unwrap().data == data
}

#[tokio::test]
async fn after_a_restart_of_the_server_everything_is_reset() {
    let (before, after) = (server().await, server().await);
    let mut client = subscribe(&before, &["a"]).await;
    before.sse.publish("a", "x").await.unwrap();
    let last = client.next().await.unwrap().id;
    before.stop().await.unwrap();
    let farewell = client.next().await.unwrap();
    assert_eq!(
        (farewell.event.as_str(), &farewell.id),
        ("helios:reconnect", &last)
    );
    let mut client = come_back(&after, &["a"], &last).await;
    not_resumed(&mut client).await;
    assert_reset(&client.next().await.unwrap(), "epoch", &["a", "*"]);
}

#[tokio::test]
async fn an_absence_beyond_the_history_limit_is_a_reset() {
    let (app, _) = app();
    let server = TestServer::start(app.sse_options(|sse| sse.history.events = 2)).await;
    subscribe(&server, &["a"]).await;
    let gone = overflow(&server.sse, "a").await;
    let mut client = come_back(&server, &["a"], &gone).await;
    let ready = not_resumed(&mut client).await;
    assert_eq!(ready.id, gone);
    let reset = client.next().await.unwrap();
    assert_reset(&reset, "expired", &["a"]);
    assert_eq!(reset.id, gone, "cut now it is to be reset again");
    assert_eq!(seq(&self::ready(&mut client).await.id), 5);
    server.sse.publish("a", "live").await.unwrap();
    assert_eq!(
        client.next().await.unwrap().data,
        "live",
        "no piece of the past"
    );
    let epoch = gone.parse::<EventId>().unwrap().epoch();
    let client = come_back(&server, &["a"], &EventId::new(epoch, 4).to_string()).await;
    assert!(resumes_with(client, "4").await, "the last that is kept");
}

#[tokio::test]
async fn only_expired_topics_are_reset_before_events_of_others() {
    let (app, _) = app();
    let server = TestServer::start(app.sse_options(|sse| sse.keep_topic("a", last(2)))).await;
    subscribe(&server, &["a"]).await;
    let gone = server.sse.publish("a", "0").await.unwrap().to_string();
    for topic in ["b", "a", "a", "a", "b", "a"] {
        server
            .sse
            .publish(topic, format!("of {topic}"))
            .await
            .unwrap();
    }
    server.sse.broadcast("to all").await.unwrap();
    let mut client = come_back(&server, &["b", "a", "c"], &gone).await;
    not_resumed(&mut client).await;
    // Before anything with a later id, because a client that is cut after that must have had its reset.
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    for expected in ["of b", "of b", "to all"] {
        assert_eq!(client.next().await.unwrap().data, expected);
    }
    ready(&mut client).await;
    server.sse.publish("a", "live").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "live");
}

/// Returns an app whose history is 60 s long.
fn forgetful() -> TestApp {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.history.age = Duration::from_secs(60));
    TestApp::start(app).unwrap()
}

async fn back_in(app: &TestApp, topics: &[&str], last: EventId) -> (bool, TestStream) {
    let mut client = app
        .sse(&path(topics))
        .last_event_id(&last.to_string())
        .await;
    let ready = client.next().await.unwrap();
    (json(&ready)["resumed"] == true, client)
}

#[tokio::test(start_paused = true)]
async fn an_absence_beyond_the_history_age_is_a_reset() {
    let app = forgetful();
    let mut member = app.sse(&path(&["a"])).await.with_deadline(Duration::MAX);
    tokio::spawn(async move { member.rest().await });
    let sse = app.sse_service();
    let seen = sse.publish("a", "seen").await.unwrap();
    let missed = sse.publish("a", "missed").await.unwrap();
    sleep(Duration::from_secs(50)).await;
    assert!(back_in(&app, &["a"], seen).await.0);
    sleep(Duration::from_secs(20)).await;
    let (resumed, mut client) = back_in(&app, &["a"], seen).await;
    assert!(!resumed);
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    assert!(
        back_in(&app, &["a"], missed).await.0,
        "who has seen all lost nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_return_to_a_removed_topic_is_a_reset() {
    let app = forgetful();
    let sse = app.sse_service();
    let seen = sse.publish("a", "seen").await.unwrap();
    let missed = sse.publish("a", "missed").await.unwrap();
    sleep(Duration::from_secs(70)).await;
    assert_eq!(sse.stats().topics, 0);
    let (resumed, mut client) = back_in(&app, &["a"], seen).await;
    assert!(!resumed);
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    drop(client);
    sse.publish("a", "live").await.unwrap();
    let (resumed, mut client) = back_in(&app, &["a"], missed).await;
    assert!(resumed);
    assert_eq!(client.next().await.unwrap().data, "live");
    assert!(!back_in(&app, &["a"], seen).await.0);
}

#[tokio::test(start_paused = true)]
async fn broadcasts_that_were_missed_are_told_as_a_star() {
    let app = forgetful();
    let sse = app.sse_service();
    let seen = sse.publish("a", "seen").await.unwrap();
    sse.broadcast("missed").await.unwrap();
    sleep(Duration::from_secs(40)).await;
    sse.publish("a", "kept").await.unwrap();
    sleep(Duration::from_secs(30)).await;
    let (resumed, mut client) = back_in(&app, &["a"], seen).await;
    assert!(!resumed);
    assert_reset(&client.next().await.unwrap(), "expired", &["*"]);
    assert_eq!(client.next().await.unwrap().data, "kept");
}

#[tokio::test]
async fn the_hooks_snapshot_comes_right_after_the_reset() {
    let (app, journal, go) = answers();
    let server = TestServer::start(app).await;
    server.get("/").await;
    let gone = overflow(&server.sse, "a").await;
    server.sse.publish("b", "missed").await.unwrap();
    let mut client = come_back_to_answers(&server, "waits", &gone).await;
    journal.wait_for("reset").await;
    server.sse.publish("b", "meanwhile").await.unwrap();
    server.sse.publish("a", "meanwhile").await.unwrap();
    let id = server.sse.clients()[0].id();
    server.sse.send_to_client(id, "private").await.unwrap();
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    go.notify_one();
    assert_eq!(client.next().await.unwrap().data, "snapshot a");
    assert_eq!(client.next().await.unwrap().data, "missed");
    ready(&mut client).await;
    for expected in ["meanwhile", "meanwhile", "private"] {
        assert_eq!(client.next().await.unwrap().data, expected);
    }
}

#[tokio::test]
async fn what_the_hook_itself_publishes_comes_behind_its_snapshot() {
    let (app, ..) = answers();
    let server = TestServer::start(app).await;
    server.get("/").await;
    let gone = overflow(&server.sse, "a").await;
    let mut client = come_back_to_answers(&server, "publishes", &gone).await;
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    let mut id = seq(&assert_snapshot(&mut client).await.id);
    for expected in ["during", "to all"] {
        let event = client.next().await.unwrap();
        assert_eq!(event.data, expected);
        assert!(
            seq(&event.id) >= id,
            "no position that is ahead of what follows"
        );
        id = seq(&event.id);
    }
}

#[tokio::test]
async fn a_snapshot_larger_than_the_backlog_arrives_whole() {
    let (app, ..) = answers();
    let server = TestServer::start(app).await;
    server.get("/").await;
    let gone = overflow(&server.sse, "a").await;
    let mut client = come_back_to_answers(&server, "large", &gone).await;
    server.sse.publish("a", "meanwhile").await.unwrap();
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    let snapshot = until(&mut client, "meanwhile").await;
    assert_eq!(
        snapshot.len(),
        102,
        "the position comes behind the snapshot"
    );
    assert_eq!(snapshot[100], "snapshot a");
}

#[tokio::test]
async fn a_late_join_from_an_expired_id_gets_a_snapshot() {
    let (app, ..) = answers();
    let server = TestServer::start(app).await;
    let mut client = server.sse("/h/topics?topic=b&mode=snapshot").await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    let gone = overflow(&server.sse, "a").await;
    let handle = server.sse.clients().remove(0);
    handle
        .join_from("a", gone.parse::<EventId>().unwrap())
        .await
        .unwrap();
    server.sse.publish("a", "live").await.unwrap();
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    assert_snapshot(&mut client).await;
    assert_eq!(client.next().await.unwrap().data, "live");
}

#[tokio::test]
async fn a_client_whose_hook_fails_is_reset_again_later() {
    let (app, journal, _) = answers();
    let server = TestServer::start(app).await;
    server.get("/").await;
    let gone = overflow(&server.sse, "a").await;
    for mode in ["fails", "panics"] {
        let mut client = come_back_to_answers(&server, mode, &gone).await;
        server.sse.publish("a", "live").await.unwrap();
        let reset = client.next().await.unwrap();
        assert_reset(&reset, "expired", &["a"]);
        let farewell = client.next().await.unwrap();
        assert_eq!(farewell.event, "helios:reconnect", "{mode}");
        assert_eq!(farewell.id, gone, "it has come no further");
        assert!(client.next().await.is_none());
    }
    assert_eq!(journal.count("reset"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_times_out_and_drops_its_client() {
    let (app, ..) = answers();
    let app = app.sse_options(|sse| sse.hook_timeout = Duration::from_secs(5));
    let app = TestApp::start(app).unwrap();
    let sse = app.sse_service();
    let gone = overflow(sse, "a").await;
    let request = app.sse("/h/topics?topic=a&mode=hangs").last_event_id(&gone);
    let mut client = request.await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    assert_reset(&client.next().await.unwrap(), "expired", &["a"]);
    sse.publish("a", "live").await.unwrap();
    assert_eq!(client.next().await.unwrap().event, "helios:reconnect");
    assert!(client.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_lost_events_gets_a_snapshot() {
    let (app, ..) = answers();
    let app = app.sse_options(|sse| {
        sse.slow_clients = SlowClients::DropOldest;
        sse.backlog.events = 4;
    });
    let app = TestApp::start(app).unwrap();
    let sse = app.sse_service();
    let mut client = app.sse("/h/topics?topic=a&topic=b&mode=snapshot").await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    overflow(sse, "a").await;
    sse.publish("b", "kept").await.unwrap();
    assert_reset(&client.next().await.unwrap(), "slow", &["a"]);
    for expected in ["snapshot a", "4", "kept"] {
        assert_eq!(client.next().await.unwrap().data, expected);
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_its_hook_leaves_nothing() {
    let (app, journal, go) = answers();
    let server = TestServer::start(app).await;
    server.get("/").await;
    let gone = overflow(&server.sse, "a").await;
    let client = come_back_to_answers(&server, "waits", &gone).await;
    journal.wait_for("reset").await;
    drop(client);
    server.wait_for_connections(0).await;
    go.notify_one();
    assert!(server.sse.clients_in("a").is_empty());
    server.stop().await.unwrap();
}
