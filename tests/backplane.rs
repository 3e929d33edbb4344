//! Several servers behind one backplane, whose links delay, drop and tear: to clients they are one.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use helios::backplane::{Backplane, BackplaneError, BackplaneSink, BoxFuture, History};
use helios::decode::DecodedEvent;
use helios::prelude::*;
use helios::{EventId, HistoryLimits, SseOptions};
use http::Method;
use support::backplane::{Link, Log, Weather};
use support::{DEADLINE, SseClient, TestServer, eventually, within};
use tokio::time::timeout;

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

    /// Joins a second topic when it is told to, from an id.
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
struct App;

/// A server behind the backplane.
struct Node {
    server: TestServer,
    link: Link,
}

impl Node {
    async fn start(log: &Arc<Log>, seed: u64) -> Self {
        Self::start_with(log, seed, |_| {}).await
    }

    async fn start_with(log: &Arc<Log>, seed: u64, options: impl FnOnce(&mut SseOptions)) -> Self {
        let link = log.link(seed);
        let app = Helios::new(App)
            .sse_options(options)
            .backplane(link.clone());
        let server = TestServer::start(app).await;
        // Answered when the app has started.
        assert_eq!(server.get("/ready").await.status, 200);
        Self { server, link }
    }

    async fn publish(&self, topic: &str, text: &str) -> String {
        let id = self.server.sse.publish(topic, text).await.unwrap();
        id.to_string()
    }

    /// A client that is past its `helios:ready`.
    async fn client(&self, topics: &str) -> SseClient {
        let mut client = self.server.sse(&format!("/rooms/{topics}")).await;
        assert_eq!(event(&mut client).await.event, "helios:ready");
        client
    }

    /// A client that comes back, and its `helios:ready`.
    async fn resume(&self, topics: &str, last: &str) -> (SseClient, DecodedEvent) {
        let headers = [("last-event-id", last)];
        let path = format!("/rooms/{topics}");
        let mut client = self.server.sse_with(Method::GET, &path, &headers, "").await;
        let ready = event(&mut client).await;
        assert_eq!(ready.event, "helios:ready");
        (client, ready)
    }
}

async fn event(client: &mut SseClient) -> DecodedEvent {
    within(client.next()).await.expect("an event")
}

/// The next so many events, as data and ids.
async fn read(client: &mut SseClient, count: usize) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for _ in 0..count {
        let event = event(client).await;
        events.push((event.data, event.id));
    }
    events
}

/// The data of the next so many events.
async fn data(client: &mut SseClient, count: usize) -> Vec<String> {
    let events = read(client, count).await;
    events.into_iter().map(|(data, _)| data).collect()
}

async fn reset(client: &mut SseClient) -> (String, Vec<String>) {
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

async fn pair() -> (Arc<Log>, Node, Node) {
    let log = Log::new(10_000);
    let one = Node::start(&log, 1).await;
    let two = Node::start(&log, 2).await;
    (log, one, two)
}

#[tokio::test]
async fn what_is_published_on_one_server_reaches_the_clients_of_both_with_the_same_id() {
    let (_log, one, two) = pair().await;
    let (mut a, mut b) = (one.client("x").await, two.client("x").await);
    let first = one.publish("x", "1").await;
    let second = two.publish("x", "2").await;
    let both = [("1".to_owned(), first), ("2".to_owned(), second)];
    assert_eq!(read(&mut a, 2).await, both);
    assert_eq!(read(&mut b, 2).await, both);
}

#[tokio::test]
async fn a_client_that_comes_back_to_the_other_server_misses_nothing_and_sees_nothing_twice() {
    let (_log, one, two) = pair().await;
    let mut client = one.client("x+y").await;
    one.publish("x", "1").await;
    one.publish("y", "2").await;
    let last = read(&mut client, 2).await.pop().unwrap().1;
    drop(client);
    // The other server has never heard of these topics.
    let missed = [
        ("3".to_owned(), one.publish("y", "3").await),
        ("4".to_owned(), two.publish("x", "4").await),
        ("5".to_owned(), one.publish("y", "5").await),
    ];
    one.publish("z", "not for it").await;
    let (mut client, ready) = two.resume("x+y", &last).await;
    assert!(ready.data.contains(r#""resumed":true"#), "{ready:?}");
    let live = ("6".to_owned(), two.publish("x", "6").await);
    let expected: Vec<_> = missed.into_iter().chain([live]).collect();
    assert_eq!(read(&mut client, 4).await, expected);
}

#[tokio::test]
async fn a_broadcast_reaches_everybody_but_the_one_it_is_not_for_on_whatever_server() {
    let (_log, one, two) = pair().await;
    let (mut a, mut b) = (one.client("x").await, two.client("y").await);
    let except = one.server.sse.clients()[0].id();
    two.server
        .sse
        .broadcast_except(except, "not a")
        .await
        .unwrap();
    two.server.sse.broadcast("all").await.unwrap();
    assert_eq!(data(&mut a, 1).await, ["all"]);
    assert_eq!(data(&mut b, 2).await, ["not a", "all"]);
}

#[tokio::test]
async fn a_broadcast_is_resumed_on_a_server_that_started_later() {
    let log = Log::new(100);
    let one = Node::start(&log, 1).await;
    let mut client = one.client("x").await;
    let last = one.publish("x", "1").await;
    data(&mut client, 1).await;
    drop(client);
    one.server.sse.broadcast("2").await.unwrap();
    let two = Node::start(&log, 2).await;
    let (mut client, _) = two.resume("x", &last).await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
}

#[tokio::test]
async fn what_is_sent_to_one_client_keeps_its_place_among_what_was_published() {
    let (_log, one, two) = pair().await;
    let mut client = one.client("x").await;
    let id = one.server.sse.clients()[0].id();
    two.publish("x", "1").await;
    one.link.flush().await;
    one.server.sse.send_to_client(id, "private").await.unwrap();
    two.publish("x", "2").await;
    assert_eq!(data(&mut client, 3).await, ["1", "private", "2"]);
}

#[tokio::test]
async fn a_client_ahead_of_its_server_sees_nothing_twice() {
    let (_log, one, two) = pair().await;
    let (mut a, mut b) = (one.client("x").await, two.client("x").await);
    two.link.pause();
    one.publish("x", "1").await;
    let last = one.publish("x", "2").await;
    assert_eq!(data(&mut a, 2).await, ["1", "2"]);
    let (mut a, ready) = two.resume("x", &last).await;
    assert_eq!(ready.id, last);
    two.link.resume();
    one.publish("x", "3").await;
    assert_eq!(data(&mut a, 1).await, ["3"]);
    assert_eq!(data(&mut b, 3).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn an_event_lost_on_the_way_is_fetched_when_the_next_one_shows_it() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x").await;
    two.link.lose(true);
    let mut all = vec![one.publish("x", "1").await, one.publish("x", "2").await];
    two.link.flush().await;
    two.link.lose(false);
    all.push(one.publish("x", "3").await);
    let seen = read(&mut client, 3).await;
    assert_eq!(
        seen.iter().map(|(data, _)| &**data).collect::<String>(),
        "123"
    );
    assert!(seen.iter().map(|(_, id)| id).eq(&all));
}

#[tokio::test]
async fn a_torn_link_is_made_good_before_anything_later_is_read() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x+y").await;
    two.link.lose(true);
    for (topic, text) in [("x", "1"), ("y", "2"), ("x", "3"), ("y", "4")] {
        one.publish(topic, text).await;
    }
    two.link.flush().await;
    two.link.lose(false);
    two.link.torn();
    let last = one.publish("x", "5").await;
    let seen = read(&mut client, 5).await;
    assert_eq!(
        seen.iter().map(|(data, _)| &**data).collect::<String>(),
        "12345"
    );
    assert_eq!(seen[4].1, last);
    // Nobody can have read past what was lost: it is no reason to be told anything.
    for (n, (_, id)) in seen.iter().enumerate() {
        let (mut client, ready) = two.resume("x+y", id).await;
        assert!(ready.data.contains(r#""resumed":true"#), "{n}: {ready:?}");
        let rest: String = data(&mut client, 4 - n).await.concat();
        assert_eq!(rest, "12345"[n + 1..]);
    }
}

#[tokio::test]
async fn a_gap_while_history_is_fetched_is_looked_into_as_well() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x").await;
    // The first answer knows nothing of what is lost later.
    let slow = Weather {
        slow: 20_000,
        ..Weather::default()
    };
    two.link.set_weather(slow);
    for n in 1..=20 {
        two.link.lose(true);
        one.publish("x", &n.to_string()).await;
        two.link.flush().await;
        two.link.lose(false);
        two.link.gap("x");
    }
    let all: Vec<_> = (1..=20).map(|n| n.to_string()).collect();
    assert_eq!(data(&mut client, 20).await, all);
}

#[tokio::test]
async fn a_loss_that_history_cannot_make_good_is_told() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x+y").await;
    two.link.mute(true);
    two.link.lose(true);
    one.publish("x", "lost").await;
    two.link.flush().await;
    two.link.lose(false);
    let next = one.publish("x", "next").await;
    assert_eq!(
        reset(&mut client).await,
        ("gap".to_owned(), vec!["x".to_owned()])
    );
    assert_eq!(read(&mut client, 1).await, [("next".to_owned(), next)]);
}

#[tokio::test]
async fn a_history_that_does_not_reach_back_is_told() {
    let log = Log::new(2);
    let one = Node::start(&log, 1).await;
    let two = Node::start(&log, 2).await;
    let mut client = one.client("x+y").await;
    let last = one.publish("x", "0").await;
    data(&mut client, 1).await;
    drop(client);
    for n in 1..=3 {
        one.publish("x", &n.to_string()).await;
    }
    one.publish("y", "4").await;
    let (mut client, ready) = two.resume("x+y", &last).await;
    assert!(ready.data.contains(r#""resumed":false"#), "{ready:?}");
    // At once: who is cut behind what `y` has missed must have been told.
    assert_eq!(
        reset(&mut client).await,
        ("expired".to_owned(), vec!["x".to_owned()])
    );
    assert_eq!(data(&mut client, 1).await, ["4"]);
}

#[tokio::test]
async fn an_event_that_came_late_leaves_who_read_past_it_told() {
    let (_log, one, two) = pair().await;
    // Keeps the topic watched: a loss is noticed by who watches.
    let _other = two.client("x").await;
    let mut client = two.client("x+y").await;
    two.link.lose(true);
    one.publish("x", "1").await;
    two.link.flush().await;
    two.link.lose(false);
    let past = one.publish("y", "2").await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
    drop(client);
    // Whether it was here or elsewhere that it read past "1" cannot be known.
    let (mut early, _) = two.resume("x+y", &past).await;
    one.publish("x", "3").await;
    assert_eq!(
        reset(&mut early).await,
        ("gap".to_owned(), vec!["x".to_owned()])
    );
    assert_eq!(data(&mut early, 1).await, ["3"]);
    let (mut late, _) = two.resume("x+y", &past).await;
    assert_eq!(
        reset(&mut late).await,
        ("expired".to_owned(), vec!["x".to_owned()])
    );
}

#[tokio::test]
async fn a_topic_joined_from_an_id_that_has_not_arrived_here_yet_begins_behind_it() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x").await;
    let _watches = two.client("y").await;
    two.link.pause();
    let from = one.publish("y", "1").await;
    let joined = two
        .server
        .send(Method::POST, &format!("/join/y/{from}"), &[], "")
        .await;
    assert_eq!(joined.status, 200);
    two.link.resume();
    one.publish("y", "2").await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
}

#[tokio::test]
async fn a_backplane_that_fails_is_an_error_to_the_caller() {
    let (_log, one, two) = pair().await;
    let mut client = one.client("x").await;
    one.link.refuse(true);
    let answer = one.server.post("/publish/x", "application/json", "1").await;
    assert_eq!(answer.status, 503);
    assert_eq!(one.server.get("/rooms/new").await.problem()["status"], 503);
    one.link.refuse(false);
    // What failed before does not stand in the way.
    let mut other = one.client("new").await;
    two.publish("new", "1").await;
    assert_eq!(data(&mut other, 1).await, ["1"]);
    two.publish("x", "2").await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
}

#[tokio::test]
async fn a_topic_s_name_is_checked_before_the_backplane_sees_it() {
    let (_log, one, _two) = pair().await;
    for name in [String::new(), "x".repeat(300)] {
        let error = one.server.sse.publish(&name, "1").await.unwrap_err();
        assert!(matches!(error, SseError::InvalidTopic(_)), "{error:?}");
    }
}

fn short_lived(options: &mut SseOptions) {
    options.history = HistoryLimits {
        events: 100,
        age: Duration::from_millis(20),
    };
    options.keep_alive = Some(Duration::from_millis(80));
}

#[tokio::test]
async fn an_unused_topic_is_unwatched_and_watched_anew_when_somebody_comes_back() {
    let log = Log::new(100);
    let one = Node::start_with(&log, 1, short_lived).await;
    let two = Node::start(&log, 2).await;
    // Keeps the heart beating.
    let _other = one.client("other").await;
    let mut client = one.client("x").await;
    let last = two.publish("x", "1").await;
    data(&mut client, 1).await;
    drop(client);
    eventually(|| one.link.count("unwatch x") == 1 && !one.link.is_watched("x")).await;
    two.publish("x", "2").await;
    let (mut client, _) = one.resume("x", &last).await;
    two.publish("x", "3").await;
    assert_eq!(data(&mut client, 2).await, ["2", "3"]);
    assert_eq!(one.link.count("watch x"), 2);
}

#[tokio::test]
async fn a_join_that_is_given_up_half_way_leaves_nothing_behind() {
    let log = Log::new(100);
    let one = Node::start_with(&log, 1, short_lived).await;
    let _other = one.client("other").await;
    one.link.silence(true);
    let sse = one.server.sse.clone();
    let join = tokio::spawn(async move { sse.subscribe(["x"]).await.map(drop) });
    eventually(|| one.link.is_watched("x")).await;
    one.publish("x", "nobody waits for it").await;
    join.abort();
    assert!(join.await.unwrap_err().is_cancelled());
    one.link.silence(false);
    eventually(|| !one.link.is_watched("x")).await;
    eventually(|| one.server.sse.stats().topics == 1).await;
    let mut client = one.client("x").await;
    one.publish("x", "1").await;
    assert_eq!(data(&mut client, 1).await, ["1"]);
}

#[tokio::test]
async fn who_waits_for_the_same_topic_goes_on_when_the_first_gives_up() {
    let (_log, one, _two) = pair().await;
    one.link.silence(true);
    let joins = [(); 2].map(|()| {
        let sse = one.server.sse.clone();
        tokio::spawn(async move { sse.subscribe(["x"]).await })
    });
    eventually(|| one.link.count("watch x") == 1).await;
    one.link.silence(false);
    let [first, second] = joins;
    first.abort();
    within(second).await.unwrap().unwrap();
    assert_eq!(one.link.count("watch x"), 2);
}

#[tokio::test]
async fn a_backplane_that_lost_its_memory_sends_all_clients_back_and_they_are_told() {
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
    one.publish("x", "new").await;
    for (node, (client, last)) in [&one, &two].iter().zip(clients.iter_mut().zip(&last)) {
        assert_eq!(client.names().await, ["helios:reconnect"]);
        let (mut client, ready) = node.resume("x", last).await;
        assert!(ready.data.contains(r#""resumed":false"#), "{ready:?}");
        let (reason, topics) = reset(&mut client).await;
        assert_eq!(
            (&*reason, topics),
            ("epoch", vec!["x".to_owned(), "*".to_owned()])
        );
        assert_eq!(ready.id, *last, "it has this place until it has been reset");
        let ready = event(&mut client).await;
        assert_eq!(ready.event, "helios:ready");
        let (mut client, _) = node.resume("x", &ready.id).await;
        let next = one.publish("x", "next").await;
        assert_eq!(read(&mut client, 1).await, [("next".to_owned(), next)]);
    }
}

#[tokio::test]
async fn a_lost_memory_is_also_noticed_by_who_watches_a_topic() {
    let (log, one, two) = pair().await;
    let mut client = one.client("x").await;
    one.publish("x", "1").await;
    data(&mut client, 1).await;
    log.forget_all();
    let mut fresh = one.client("y").await;
    assert_eq!(client.names().await, ["helios:reconnect"]);
    two.publish("y", "2").await;
    assert_eq!(data(&mut fresh, 1).await, ["2"]);
}

#[tokio::test]
async fn a_memory_lost_while_history_is_fetched_is_not_mixed_up() {
    let (log, one, two) = pair().await;
    let mut client = one.client("x").await;
    one.publish("x", "1").await;
    data(&mut client, 1).await;
    one.link.silence(true);
    let calls = one.link.calls().len();
    one.link.gap("x");
    eventually(|| one.link.calls().len() > calls).await;
    one.link.silence(false);
    log.forget_all();
    two.publish("x", "new").await;
    assert_eq!(client.names().await, ["helios:reconnect"]);
}

#[tokio::test]
async fn what_no_hub_has_published_harms_nobody() {
    let (log, one, _two) = pair().await;
    let mut client = one.client("x").await;
    let bad: [&'static [u8]; 4] = [
        b"",
        &[9; 40],
        &[1, 2, 3],
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, b'x'],
    ];
    for bytes in bad {
        log.append("x", Bytes::from_static(bytes));
    }
    one.publish("x", "good").await;
    loop {
        let event = event(&mut client).await;
        if event.data == "good" {
            break;
        }
        assert_eq!(event.event, "helios:reset", "{event:?}");
    }
}

/// It does not start, or panics when it is asked for anything.
struct Broken {
    starts: bool,
}

impl Backplane for Broken {
    fn start(&self, _: BackplaneSink) -> BoxFuture<'_, Result<EventId, BackplaneError>> {
        Box::pin(async move {
            if self.starts {
                Ok(EventId::new(1, u64::MAX))
            } else {
                Err("no route to host".into())
            }
        })
    }

    fn publish<'a>(
        &'a self,
        _: &'a str,
        _: Bytes,
    ) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        panic!("publish")
    }

    fn history<'a>(
        &'a self,
        _: &'a str,
        _: EventId,
    ) -> BoxFuture<'a, Result<History, BackplaneError>> {
        panic!("history")
    }

    fn watch<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        assert_eq!(topic, "*", "watch");
        Box::pin(async { Ok(EventId::new(1, u64::MAX)) })
    }

    fn unwatch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), BackplaneError>> {
        panic!("unwatch")
    }
}

#[tokio::test]
async fn a_backplane_that_does_not_start_fails_the_start_of_the_server() {
    let app = Helios::new(App).backplane(Broken { starts: false });
    let server = TestServer::start(app).await;
    let error = server.stop().await.unwrap_err();
    assert!(matches!(error, helios::Error::Backplane(_)), "{error}");
    assert!(error.to_string().contains("no route to host"), "{error}");
}

#[tokio::test]
async fn nothing_is_asked_of_a_backplane_that_is_not_started() {
    let app = Helios::new(App).backplane(Broken { starts: true });
    let sse = app.sse();
    for error in [
        sse.publish("x", "1").await.unwrap_err(),
        sse.subscribe(["x"]).await.unwrap_err(),
    ] {
        assert!(matches!(error, SseError::Backplane(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_backplane_that_panics_fails_the_request_and_nothing_else() {
    let app = Helios::new(App).backplane(Broken { starts: true });
    let server = TestServer::start(app).await;
    assert_eq!(server.get("/ready").await.status, 200);
    for _ in 0..2 {
        let answer = server.post("/publish/x", "application/json", "1").await;
        assert_eq!(answer.status, 500);
        assert_eq!(server.get("/rooms/x").await.status, 500);
    }
    assert_eq!(server.get("/ready").await.status, 200);
}

// ---- Chaos: everything at once, for a while; then the books are balanced.

const TOPICS: usize = 6;
const CLIENTS: usize = 8;
const EVENTS: u64 = 1_200;

/// What happened on the whole, to be compared with what each client saw.
#[derive(Default)]
struct World {
    /// Published for certain: number, place in the sequence, topic.
    published: Mutex<BTreeMap<u64, (u64, usize)>>,
    done: AtomicBool,
    resets: AtomicUsize,
    connections: AtomicUsize,
}

impl World {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

/// One client, over all its connections.
struct Reader {
    topics: Vec<usize>,
    last: Option<EventId>,
    began: Option<u64>,
    seen: HashSet<u64>,
    /// Topics that were told to be incomplete up to this place.
    told: BTreeMap<usize, u64>,
    /// Whether events may come late, below what was read.
    late: bool,
}

impl Reader {
    fn names(&self) -> String {
        let names: Vec<_> = self
            .topics
            .iter()
            .map(|topic| format!("t{topic}"))
            .collect();
        names.join("+")
    }

    fn take(&mut self, event: &DecodedEvent, world: &World, log: &Log) {
        let id: EventId = event.id.parse().unwrap();
        match &*event.event {
            "helios:ready" => {
                // All its joins were before this.
                self.began.get_or_insert_with(|| log.newest());
            }
            "helios:reset" => {
                world.resets.fetch_add(1, Ordering::Relaxed);
                let told: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                for name in told["topics"].as_array().unwrap() {
                    let topic = name.as_str().unwrap().trim_start_matches('t');
                    if let Ok(topic) = topic.parse() {
                        self.told.insert(topic, log.newest());
                    }
                }
            }
            "helios:reconnect" => {}
            _ => {
                let n: u64 = event.data.parse().unwrap();
                assert!(self.seen.insert(n), "{n} came twice: {event:?}");
                let after = self.last.is_none_or(|last| id > last);
                assert!(after || self.late, "{event:?} comes after {:?}", self.last);
            }
        }
        assert!(
            self.last.is_none_or(|last| id >= last),
            "{event:?} goes back"
        );
        self.last = Some(id);
    }

    /// Connects and reads until its luck runs out, or, at the end, until nothing is owed any more.
    async fn connection(&mut self, node: &Node, world: &World, log: &Log, mut luck: u64) {
        let last = self.last.map(|id| id.to_string());
        let headers: Vec<_> = last.iter().map(|id| ("last-event-id", &**id)).collect();
        let path = format!("/rooms/{}", self.names());
        // It is refused when a watch fails.
        let Some(mut client) = node.server.try_sse(&path, &headers).await else {
            return;
        };
        while luck > 0 || world.is_done() {
            if self.is_done(world) {
                return;
            }
            let next = timeout(DEADLINE / 2, client.next()).await;
            let next = next.unwrap_or_else(|_| {
                let (last, began, owed) = (self.last, self.began, self.owed(world));
                panic!(
                    "{} waits at {last:?} since {began:?} for {owed:?}",
                    self.names()
                )
            });
            match next {
                Some(event) => self.take(&event, world, log),
                None => return,
            }
            luck = luck.saturating_sub(1);
        }
    }

    /// Everything is published, and it has everything.
    fn is_done(&self, world: &World) -> bool {
        let done = world.is_done() && self.began.is_some();
        done && self.owed(world).is_empty()
    }

    /// What it has missed without being told.
    fn owed(&self, world: &World) -> Vec<u64> {
        let Some(began) = self.began else {
            return Vec::new();
        };
        let published = world.published.lock().unwrap();
        let missed = published.iter().filter(|(n, (seq, topic))| {
            let told = self.told.get(topic).is_some_and(|told| seq <= told);
            self.topics.contains(topic) && *seq > began && !told && !self.seen.contains(n)
        });
        missed.map(|(n, _)| *n).collect()
    }
}

async fn publish(node: &Node, world: &World, n: u64, topic: usize) {
    let name = format!("t{topic}");
    if let Ok(id) = node.server.sse.publish(name, n.to_string()).await {
        let mut published = world.published.lock().unwrap();
        published.insert(n, (id.seq(), topic));
    }
}

/// What the tasks of one run share.
#[derive(Clone)]
struct Chaos {
    nodes: Arc<[Node; 2]>,
    log: Arc<Log>,
    world: Arc<World>,
    seed: u64,
    weather: Weather,
}

impl Chaos {
    async fn start(seed: u64, keep: usize, weather: Weather) -> Self {
        let log = Log::new(keep);
        let nodes = [
            Node::start(&log, seed).await,
            Node::start(&log, seed + 1).await,
        ];
        for node in &nodes {
            node.link.set_weather(weather);
        }
        Self {
            nodes: Arc::new(nodes),
            log,
            world: Arc::default(),
            seed,
            weather,
        }
    }

    /// Comes and goes, now here, now there, until everything is published and read.
    async fn read(self, n: usize) {
        let mut rng = fastrand::Rng::with_seed(self.seed * 1_000 + n as u64);
        let late = self.weather.drop > 0.0;
        // A silent loss in one topic is found only with that topic's next event.
        let topics = if late { 1 } else { 1 + n % 3 };
        let mut reader = Reader {
            topics: (0..topics).map(|k| (n + 2 * k) % TOPICS).collect(),
            last: None,
            began: None,
            seen: HashSet::new(),
            told: BTreeMap::new(),
            late,
        };
        while !reader.is_done(&self.world) {
            let (node, luck) = (&self.nodes[rng.usize(..2)], rng.u64(1..80));
            let luck = if self.world.is_done() { 0 } else { luck };
            reader.connection(node, &self.world, &self.log, luck).await;
            self.world.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn publish(self, node: usize) {
        let mut rng = fastrand::Rng::with_seed(self.seed * 77 + node as u64);
        for n in 0..EVENTS {
            let n = 2 * n + node as u64;
            publish(&self.nodes[node], &self.world, n, rng.usize(..TOPICS)).await;
            if rng.u8(..4) == 0 {
                sleep(Duration::from_micros(rng.u64(..1_500))).await;
            }
        }
    }

    /// The weather is fine again, and the last event of each topic shows what was lost before it.
    async fn calm(&self) {
        for node in self.nodes.iter() {
            node.link.set_weather(Weather::default());
            node.link.flush().await;
        }
        self.world.done.store(true, Ordering::Release);
        for topic in 0..TOPICS {
            let last = u64::MAX - topic as u64;
            publish(&self.nodes[0], &self.world, last, topic).await;
        }
    }
}

/// How many resets were told.
async fn chaos(seed: u64, keep: usize, weather: Weather) -> usize {
    let chaos = Chaos::start(seed, keep, weather).await;
    let readers = (0..CLIENTS).map(|n| tokio::spawn(chaos.clone().read(n)));
    let readers: Vec<_> = readers.collect();
    for publisher in [0, 1].map(|node| tokio::spawn(chaos.clone().publish(node))) {
        publisher.await.unwrap();
    }
    chaos.calm().await;
    for reader in readers {
        within(reader).await.unwrap();
    }
    let world = &chaos.world;
    let resets = world.resets.load(Ordering::Relaxed);
    let connections = world.connections.load(Ordering::Relaxed);
    let events = world.published.lock().unwrap().len();
    println!("seed {seed}: {events} events, {connections} connections, {resets} resets");
    resets
}

/// Nobody is told of anything that can be made good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_links_that_delay_and_tear_every_client_sees_everything_once_and_in_order() {
    let weather = Weather {
        delay: 2_000,
        tear: 0.01,
        slow: 3_000,
        ..Weather::default()
    };
    for seed in 1..=4 {
        assert_eq!(chaos(seed, usize::MAX, weather).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_links_that_lose_silently_every_client_of_one_topic_sees_everything_or_is_told() {
    let weather = Weather {
        delay: 1_000,
        drop: 0.02,
        tear: 0.005,
        slow: 2_000,
        ..Weather::default()
    };
    for seed in 11..=13 {
        chaos(seed, usize::MAX, weather).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_backplane_at_its_worst_every_client_sees_everything_or_is_told() {
    let weather = Weather {
        delay: 1_000,
        drop: 0.01,
        tear: 0.01,
        no_history: 0.2,
        slow: 2_000,
        no_publish: 0.05,
        no_watch: 0.2,
    };
    for seed in 21..=23 {
        chaos(seed, 40, weather).await;
    }
}
