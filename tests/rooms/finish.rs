//! Topics that end. Readers get all of a topic, later clients get its last event, and all of them get the end.

use std::sync::atomic::{AtomicUsize, Ordering};

use helios::prelude::*;
use helios::sse::{DecodedEvent, END_MARK, HistoryLimits, Replay};
use helios::testing::{TestApp, TestStream};
use helios::{SseHub, SseOptions};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::app::{all_now, json};
use support::journal::Journal;
use support::within;

#[derive(Injectable)]
struct Jobs {
    sse: SseService,
    journal: Arc<Journal>,
}

/// Parses where a topic has to begin: `live`, `earliest`, a number of events, or an id.
fn replay(from: &str) -> Replay {
    match (from, from.parse::<helios::EventId>()) {
        ("live", _) => Replay::Live,
        ("earliest", _) => Replay::Earliest,
        (_, Ok(id)) => id.into(),
        (count, Err(_)) => Replay::Last(count.parse().unwrap()),
    }
}

#[controller(prefix = "j")]
impl Jobs {
    #[sse("{topics}")]
    async fn follow(&self, #[param] topics: String) -> Result<SseStream, SseError> {
        self.sse.subscribe(topics.split('+')).await
    }

    #[sse("{topic}/from/{from}")]
    async fn from(
        &self,
        #[param] topic: String,
        #[param] from: String,
    ) -> Result<SseStream, SseError> {
        self.sse.subscribe_from([topic], replay(&from)).await
    }

    #[sse("{topic}/generator")]
    fn generator(&self, stream: SseStream, #[param] topic: String) -> impl Stream<Item = String> {
        stream! {
            stream.join(topic).await.unwrap();
            yield "first".to_owned();
            sleep(Duration::from_secs(10)).await;
            yield "last".to_owned();
        }
    }

    #[sse("{topic}/producer")]
    async fn producer(&self, stream: SseStream, #[param] topic: String) -> Result<(), SseError> {
        stream.join(topic).await?;
        stream.send("first").await?;
        sleep(Duration::from_secs(10)).await;
        stream.send("last").await
    }

    /// Finishes the topic between its join and its head, as a client may experience it while connecting.
    #[sse("{topic}/meanwhile")]
    async fn meanwhile(&self, #[param] topic: String) -> Result<SseStream, SseError> {
        let client = self.sse.subscribe([&topic]).await?;
        self.sse.publish(&topic, "1").await?;
        self.sse.finish_with(&topic, "done").await?;
        Ok(client)
    }

    #[post("{topic}")]
    async fn publish(&self, #[param] topic: String) -> Result<(), SseError> {
        self.sse.publish(topic, "x").await?;
        Ok(())
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.to_string());
    }
}

#[derive(Injectable)]
struct Hooked {
    sse: SseService,
}

#[controller(prefix = "h")]
impl Hooked {
    #[sse("{topic}")]
    async fn follow(&self, #[param] topic: String) -> Result<SseStream, SseError> {
        self.sse.subscribe([topic]).await
    }

    #[on_sse_connection]
    async fn opened(&self, client: SseStream) -> Result<(), SseError> {
        client.send("hello").await
    }

    #[on_sse_reset]
    async fn missed(&self, client: SseStream) -> Result<(), SseError> {
        client.send("snapshot").await
    }
}

#[server(controllers = [Jobs, Hooked], sse(enabled = true))]
struct App;

fn start(change: impl FnOnce(&mut SseOptions)) -> TestApp {
    start_with_journal(change).0
}

fn start_with_journal(change: impl FnOnce(&mut SseOptions)) -> (TestApp, Journal) {
    let journal = Journal::default();
    let app = Helios::new(App).provide(journal.clone());
    (TestApp::start(app.sse_options(change)).unwrap(), journal)
}

/// A client may leave its events unread for long.
fn patient(sse: &mut SseOptions) {
    sse.keep_alive = None;
    sse.stuck_after = Duration::MAX;
}

async fn publish(app: &TestApp, topic: &str, events: &[&str]) {
    for event in events {
        app.sse_service().publish(topic, *event).await.unwrap();
    }
}

async fn finish(app: &TestApp, topic: &str, last: Option<&str>) -> String {
    let sse = app.sse_service();
    let id = match last {
        Some(last) => sse.finish_with(topic, last).await,
        None => sse.finish(topic).await,
    };
    id.unwrap().to_string()
}

/// Returns an event's data, or the name of a control event.
fn text(event: &DecodedEvent) -> &str {
    match &*event.event {
        "message" => &event.data,
        name => name,
    }
}

/// Returns everything up to the end of the stream.
async fn rest(mut stream: TestStream) -> Vec<String> {
    let events = within(stream.rest()).await;
    events.iter().map(|event| text(event).to_owned()).collect()
}

/// Opens a stream and reads its `helios:ready`.
async fn open(app: &TestApp, path: &str) -> TestStream {
    let mut stream = app.sse(path).await;
    assert_eq!(stream.next().await.unwrap().event, "helios:ready");
    stream
}

#[tokio::test(start_paused = true)]
async fn readers_get_all_of_a_topic_and_its_end() {
    for last in [Some("done"), None] {
        let (app, journal) = start_with_journal(|_| {});
        let streams = [open(&app, "/j/a").await, open(&app, "/j/a").await];
        let waiting =
            streams.map(|mut stream| tokio::spawn(async move { within(stream.rest()).await }));
        tokio::task::yield_now().await;
        let before = Instant::now();
        publish(&app, "a", &["1", "2"]).await;
        for _ in 0..20 {
            // They read, and wait for more.
            tokio::task::yield_now().await;
        }
        let id = finish(&app, "a", last).await;
        for stream in waiting {
            let events = stream.await.unwrap();
            let texts: Vec<_> = events.iter().map(text).collect();
            let expected = ["1", "2"].into_iter().chain(last).chain(["helios:end"]);
            assert_eq!(texts, expected.collect::<Vec<_>>());
            assert_eq!(events.last().unwrap().id, END_MARK);
            assert!(last.is_none() || events[2].id == id);
        }
        assert_eq!(before.elapsed(), Duration::ZERO, "no heartbeat was needed");
        journal.wait_for("completed").await;
        let back = app.get("/j/a").header("last-event-id", END_MARK).await;
        assert_eq!(back.status(), 204);
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_client_always_gets_the_last_event() {
    let app = start(|_| {});
    let second = {
        publish(&app, "a", &["1"]).await;
        app.sse_service().publish("a", "2").await.unwrap()
    };
    publish(&app, "a", &["3"]).await;
    let end = finish(&app, "a", Some("done")).await;
    let after_end = app.sse_service().publish("b", "x").await.unwrap();
    for (from, expected) in [
        ("live", "done"),
        ("0", "done"),
        ("1", "done"),
        ("2", "3 done"),
        ("99", "1 2 3 done"),
        ("earliest", "1 2 3 done"),
        (&*second.to_string(), "3 done"),
        (&*end, ""),
        (&*after_end.to_string(), ""),
    ] {
        let expected = format!("helios:ready {expected} helios:end").replace("  ", " ");
        let path = format!("/j/a/from/{from}");
        assert_eq!(
            rest(app.sse(&path).await).await.join(" "),
            expected,
            "{from}"
        );
        // A client that was cut in between resumes and gets the rest.
        let mut cut = open(&app, &path).await;
        let last = cut.next().await.unwrap();
        if last.event == "message" {
            let back = rest(app.sse(&path).last_event_id(&last.id).await).await;
            assert!(expected.ends_with(&back[1..].join(" ")), "{from}");
        }
    }
    for (last, expected) in [
        (second.to_string(), "3 done "),
        (end, ""),
        (after_end.to_string(), ""),
    ] {
        let expected = format!("helios:ready {expected}helios:end");
        let back = app.sse("/j/a").last_event_id(&last).await;
        assert_eq!(rest(back).await.join(" "), expected, "{last}");
    }
    let all = app.sse("/j/a?lastEventId=earliest").await;
    assert_eq!(
        rest(all).await.join(" "),
        "helios:ready 1 2 3 done helios:end"
    );
    assert_eq!(
        rest(app.sse("/j/new/meanwhile").await).await.join(" "),
        "helios:ready 1 done helios:end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_last_event_that_memory_cannot_hold_causes_a_reset() {
    let app = start(|sse| {
        sse.max_event_bytes = 1_000;
        sse.history_bytes = 2_000;
    });
    publish(&app, "a", &["1"]).await;
    let end = finish(&app, "a", Some("done")).await;
    publish(&app, "b", &["x".repeat(900).as_str(); 9]).await;
    for path in ["/j/a", "/j/a/from/earliest", "/j/a/from/1"] {
        let told = rest(app.sse(path).await).await;
        assert_eq!(
            told,
            ["helios:ready", "helios:reset", "helios:ready", "helios:end"],
            "{path}"
        );
    }
    let knows = rest(app.sse("/j/a").last_event_id(&end).await).await;
    assert_eq!(knows, ["helios:ready", "helios:end"]);
    // In a running stream too.
    let mut running = open(&app, "/j/b").await;
    let handle = app.sse_service().clients().remove(0);
    handle.join("a").await.unwrap();
    let events = all_now(&mut running).await;
    assert_eq!(
        json(&events[0]),
        json!({ "reason": "expired", "topics": ["a"] })
    );
}

#[tokio::test(start_paused = true)]
async fn a_handle_in_a_connection_hook_keeps_no_stream_open() {
    let app = start(|_| {});
    let stream = open(&app, "/h/a").await;
    let before = Instant::now();
    finish(&app, "a", Some("done")).await;
    assert_eq!(rest(stream).await, ["hello", "done", "helios:end"]);
    assert_eq!(before.elapsed(), Duration::ZERO, "no heartbeat was needed");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_topic_waits_for_a_reset_hook() {
    let app = start(|_| {});
    finish(&app, "a", Some("done")).await;
    let told = rest(app.sse("/h/a").last_event_id("made-up").await).await;
    let expected = "helios:ready helios:reset snapshot done hello helios:ready helios:end";
    assert_eq!(told.join(" "), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_as_long_as_one_of_its_topics() {
    let app = start(|_| {});
    let mut stream = open(&app, "/j/a+b").await;
    finish(&app, "a", Some("a is done")).await;
    publish(&app, "b", &["1"]).await;
    let events = all_now(&mut stream).await;
    assert_eq!(
        events.iter().map(text).collect::<Vec<_>>(),
        ["a is done", "1"]
    );
    finish(&app, "b", None).await;
    assert_eq!(rest(stream).await, ["helios:end"]);

    // A stream also ends when it leaves its last topic that is still running.
    let mut stream = open(&app, "/j/c+d").await;
    finish(&app, "c", None).await;
    assert!(all_now(&mut stream).await.is_empty());
    let handle = app.sse_service().clients().remove(0);
    handle.leave("d").await.unwrap();
    drop(handle);
    assert_eq!(rest(stream).await, ["helios:end"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_topics_does_not_end_with_a_topic() {
    let app = start(|_| {});
    let mut stream = open(&app, "/j/a").await;
    let handle = app.sse_service().clients().remove(0);
    handle.leave("a").await.unwrap();
    drop(handle);
    finish(&app, "a", Some("not for it")).await;
    assert!(all_now(&mut stream).await.is_empty());
    app.sse_service().broadcast("for all").await.unwrap();
    assert_eq!(text(&stream.next().await.unwrap()), "for all");
}

#[tokio::test(start_paused = true)]
async fn a_stream_stays_open_while_its_handle_is_kept() {
    let (app, journal) = start_with_journal(patient);
    let mut stream = open(&app, "/j/a").await;
    let handle = app.sse_service().clients().remove(0);
    finish(&app, "a", Some("done")).await;
    assert_eq!(text(&stream.next().await.unwrap()), "done");
    sleep(Duration::from_secs(60)).await;
    handle.send("still here").await.unwrap();
    assert_eq!(text(&stream.next().await.unwrap()), "still here");
    // If it joins another topic meanwhile, it continues with that.
    handle.join("b").await.unwrap();
    drop(handle);
    sleep(Duration::from_secs(60)).await;
    publish(&app, "b", &["1"]).await;
    assert_eq!(text(&stream.next().await.unwrap()), "1");
    finish(&app, "b", None).await;
    assert_eq!(rest(stream).await, ["helios:end"]);
    journal.wait_for("completed").await;

    let stream = open(&app, "/j/c").await;
    let handle = app.sse_service().clients().remove(0);
    finish(&app, "c", Some("done")).await;
    let waiting = tokio::spawn(rest(stream));
    sleep(Duration::from_secs(3)).await;
    assert!(!waiting.is_finished());
    drop(handle);
    assert_eq!(waiting.await.unwrap(), ["done", "helios:end"]);
}

#[tokio::test(start_paused = true)]
async fn a_running_source_is_not_ended_by_its_topic() {
    let app = start(|_| {});
    for source in ["generator", "producer"] {
        let mut stream = app.sse(&format!("/j/{source}/{source}")).await;
        let events = all_now(&mut stream).await;
        assert_eq!(text(events.last().unwrap()), "first");
        finish(&app, source, Some("done")).await;
        assert_eq!(rest(stream).await, ["done", "last", "helios:end"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_end_is_written_before_it() {
    let app = start(|_| {});
    let stream = open(&app, "/j/a").await;
    let sse = app.sse_service();
    let id = sse.clients().remove(0).id();
    publish(&app, "a", &["1"]).await;
    sse.send_to_client(id, "private").await.unwrap();
    sse.broadcast("to all").await.unwrap();
    finish(&app, "a", Some("done")).await;
    sse.send_to_client(id, "behind it").await.unwrap();
    assert_eq!(
        rest(stream).await,
        ["1", "private", "to all", "done", "behind it", "helios:end"]
    );
    assert!(sse.send_to_client(id, "too late").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_an_app_ends_with_its_topics() {
    let hub = SseHub::new();
    let client = hub.sse().subscribe(["a"]).await.unwrap();
    let (head, ()) = http::Request::get("/a").body(()).unwrap().into_parts();
    let response = hub.respond(head, client).await;
    hub.sse().finish_with("a", "done").await.unwrap();
    let body = within(response.into_body().collect()).await.unwrap();
    let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    assert!(
        text.contains("data: done") && text.contains("event: helios:end"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_to_a_topic_that_is_finished() {
    let app = start(|_| {});
    let sse = app.sse_service();
    finish(&app, "secret", Some("done")).await;
    let refused = [
        sse.publish("secret", "x").await,
        sse.finish("secret").await,
        sse.finish_with("secret", "again").await,
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(&error, SseError::TopicFinished(name) if name == "secret"));
    }
    let answer = app.post("/j/secret").await;
    assert_eq!(answer.status(), 409);
    assert!(!answer.text().contains("secret"));
    let long = "x".repeat(200);
    finish(&app, &long, None).await;
    let error = sse.publish(&long, "x").await.unwrap_err().to_string();
    assert!(error.len() < 150, "{error}");
    assert_eq!(
        rest(app.sse("/j/secret").await).await,
        ["helios:ready", "done", "helios:end"]
    );
    // An event that cannot be published does not finish the topic.
    let own_id = sse.finish_with("b", SseEvent::text("x").id(1)).await;
    assert!(matches!(own_id, Err(SseError::OwnId(_))));
    publish(&app, "b", &["goes on"]).await;
    for bad in ["*", "a*", ""] {
        let refused = sse.finish(bad).await;
        assert!(matches!(refused, Err(SseError::InvalidTopic(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_stays_finished_while_its_history_is_kept() {
    let app = start(|sse| {
        sse.history = keep(1, Duration::from_secs(60));
        sse.max_topics = 2;
        sse.max_event_bytes = 1_000;
        sse.history_bytes = 2_000;
        patient(sse);
    });
    let sse = app.sse_service();
    let mut kept_open = open(&app, "/j/a").await;
    let handle = sse.clients().remove(0);
    finish(&app, "a", Some("done")).await;
    assert_eq!(text(&kept_open.next().await.unwrap()), "done");
    // Other topics need the memory, so its event goes. Its end stays, and is counted.
    publish(&app, "b", &["x".repeat(900).as_str(); 3]).await;
    sleep(Duration::from_secs(50)).await;
    assert!(matches!(
        sse.publish("a", "x").await,
        Err(SseError::TopicFinished(_))
    ));
    assert!(matches!(
        sse.publish("c", "x").await,
        Err(SseError::TooManyTopics { .. })
    ));
    let told = rest(app.sse("/j/a").await).await;
    assert!(told.contains(&"helios:reset".to_owned()) && told.last().unwrap() == "helios:end");
    sleep(Duration::from_secs(20)).await;
    // The name is free again, even for a stream that is still in the old topic of that name.
    handle.join("a").await.unwrap();
    publish(&app, "a", &["anew"]).await;
    drop(handle);
    let events = all_now(&mut kept_open).await;
    assert_eq!(text(events.last().unwrap()), "anew");
    let mut fresh = open(&app, "/j/a/from/earliest").await;
    assert_eq!(text(&fresh.next().await.unwrap()), "anew");
}

fn keep(events: usize, age: Duration) -> HistoryLimits {
    HistoryLimits { events, age }
}

/// Clients subscribe at the very moment at which their topic ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscriber_at_the_end_gets_event_and_end() {
    const ROUNDS: usize = 4_000;
    let app = start(|_| {});
    let sse = app.sse_service().clone();
    for round in 0..ROUNDS {
        let topic = format!("t{round}");
        let clients = ["live", "earliest", "0"].map(|from| {
            let request = app.sse(&format!("/j/{topic}/from/{from}"));
            tokio::spawn(async move { rest(request.await).await })
        });
        let finisher = {
            let (sse, topic) = (sse.clone(), topic.clone());
            tokio::spawn(async move {
                for _ in 0..round % 7 {
                    tokio::task::yield_now().await;
                }
                sse.finish_with(topic, "done").await
            })
        };
        finisher.await.unwrap().unwrap();
        for client in clients {
            let told = client.await.unwrap();
            assert_eq!(
                told,
                ["helios:ready", "done", "helios:end"],
                "round {round}"
            );
        }
    }
}

/// A stream whose only topic ends is either closed or in the other topic. It never joins that and is closed all the
/// same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_join_at_the_moment_of_the_end_is_consistent() {
    const ROUNDS: usize = 500;
    let app = start(|sse| sse.keep_alive = Some(Duration::from_millis(10)));
    let sse = app.sse_service().clone();
    let mut joined = 0;
    for round in 0..ROUNDS {
        let (topic, other) = (format!("t{round}"), format!("o{round}"));
        let stream = open(&app, &format!("/j/{topic}")).await;
        let id = sse.clients().remove(0).id();
        let reader = tokio::spawn(rest(stream));
        let finisher = {
            let (sse, topic) = (sse.clone(), topic.clone());
            tokio::spawn(async move { sse.finish_with(topic, "done").await })
        };
        for _ in 0..round % 5 {
            tokio::task::yield_now().await;
        }
        let join = match sse.client(id) {
            Some(client) => client.join(&other).await,
            None => Err(SseError::NoSuchClient(id)),
        };
        finisher.await.unwrap().unwrap();
        let expected = match join {
            Ok(()) => {
                joined += 1;
                sse.finish_with(&other, "other").await.unwrap();
                vec!["done", "other", "helios:end"]
            }
            Err(_) => vec!["done", "helios:end"],
        };
        assert_eq!(reader.await.unwrap(), expected, "round {round}");
    }
    assert!(joined > 0);
}

/// Finished topics are swept meanwhile, so that their names begin anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscriber_never_hangs_when_a_topic_ends_and_expires() {
    const TIMES: usize = 100;
    let app = Arc::new(start(|sse| {
        sse.history = keep(4, Duration::from_millis(1));
        sse.keep_alive = Some(Duration::from_millis(10));
    }));
    let finished = Arc::new(AtomicUsize::new(0));
    let finisher = {
        let (sse, finished) = (app.sse_service().clone(), Arc::clone(&finished));
        tokio::spawn(async move {
            loop {
                // Refused as long as the topic is finished.
                let times = usize::from(sse.finish("t").await.is_ok());
                finished.fetch_add(times, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
    };
    let subscribers = [(); 6].map(|()| {
        let (app, finished) = (Arc::clone(&app), Arc::clone(&finished));
        tokio::spawn(async move {
            while finished.load(Ordering::Relaxed) < TIMES {
                let told = rest(app.sse("/j/t").await).await;
                assert_eq!(told, ["helios:ready", "helios:end"]);
                // There is no socket to wait for, and the heartbeat needs its turn.
                tokio::task::yield_now().await;
            }
        })
    });
    for subscriber in subscribers {
        subscriber.await.unwrap();
    }
    finisher.abort();
}
