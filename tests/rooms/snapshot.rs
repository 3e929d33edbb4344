//! A snapshot comes before everything newer, and the client gets its position after it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::{DecodedEvent, EventId, HistoryLimits};
use helios::testing::{TestApp, TestStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::app::{all_now, json, seq};
use support::TestServer;
use support::journal::Journal;

/// How a snapshot hook behaves, apart from recording its topics and sending the snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Sends,
    Waits,
    Fails,
    Panics,
}

/// How the snapshot hooks of an app behave.
struct Plan {
    mode: Mode,
    go: Semaphore,
    running: AtomicUsize,
}

/// Counts a hook as long as it runs.
struct Running<'a>(&'a Plan);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Injectable)]
struct Rooms {
    sse: SseService,
    journal: Arc<Journal>,
    plan: Arc<Plan>,
}

#[controller(prefix = "r")]
impl Rooms {
    #[sse("topics/{topics}")]
    async fn topics(&self, #[param] topics: &str) -> Result<SseStream, SseError> {
        self.sse.subscribe(topics.split('+')).await
    }

    #[sse("from/{id}")]
    async fn from(&self, #[param] id: &str) -> Result<SseStream, SseError> {
        let client = self.sse.subscribe(["b"]).await?;
        client.join_from("a", event_id(id)).await?;
        Ok(client)
    }

    #[sse("plain", plain)]
    async fn plain(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["a"]).await
    }

    /// Ends before its head is sent.
    #[sse("brief", plain, restart)]
    async fn brief(&self, stream: SseStream) -> Result<(), SseError> {
        stream.join_from("a", Replay::Earliest).await?;
        stream.send("private").await
    }

    #[sse("closed")]
    async fn closed(&self) -> Result<SseStream, SseError> {
        let stream = self.sse.subscribe_from(["a"], Replay::Earliest).await?;
        stream.close_with("private")?;
        Ok(stream)
    }

    #[sse("generator")]
    fn generator(&self) -> impl Stream<Item = &'static str> {
        stream! { yield "an item"; }
    }

    #[sse("none")]
    fn none(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_snapshot]
    async fn snapshot(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), HttpError> {
        self.plan.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(&self.plan);
        let what = format!("{:?} of {}", snapshot.reason, snapshot.topics.join(" "));
        self.journal.note(&what);
        match self.plan.mode {
            Mode::Sends => {}
            Mode::Waits => self.plan.go.acquire().await.unwrap().forget(),
            Mode::Fails => return Err(HttpError::internal("no snapshot today")),
            Mode::Panics => panic!("no snapshot today"),
        }
        Ok(client.send(SseEvent::text(what).event("snapshot")).await?)
    }
}

#[server(controllers = [Rooms], sse(enabled = true))]
struct App;

struct Fixture {
    app: TestApp,
    journal: Journal,
    plan: Arc<Plan>,
}

fn start_with(mode: Mode, change: impl FnOnce(&mut SseOptions)) -> Fixture {
    let journal = Journal::default();
    let plan = Arc::new(Plan {
        mode,
        go: Semaphore::new(0),
        running: AtomicUsize::new(0),
    });
    let app = Helios::new(App)
        .provide(journal.clone())
        .provide_as(Arc::clone(&plan))
        .sse_options(change);
    Fixture {
        app: TestApp::start(app).unwrap(),
        journal,
        plan,
    }
}

fn start(mode: Mode) -> Fixture {
    start_with(mode, |_| {})
}

/// Summarizes events: the names of control events, the data of others, and `+` for an id.
fn seen(events: &[DecodedEvent]) -> Vec<String> {
    let show = |event: &DecodedEvent| {
        let text = match event.event.strip_prefix("helios:") {
            Some(name) => name,
            None => &event.data,
        };
        let id = if event.has_own_id { "+" } else { "" };
        format!("{text}{id}")
    };
    events.iter().map(show).collect()
}

fn event_id(text: &str) -> EventId {
    text.parse().unwrap()
}

const FRESH: &str = "Fresh of a *";

async fn now(stream: &mut TestStream) -> Vec<String> {
    seen(&all_now(stream).await)
}

/// If it had a position first, a cut snapshot would be hidden from its next connection.
#[tokio::test(start_paused = true)]
async fn a_plain_client_is_given_its_snapshot_before_any_id() {
    let Fixture { app, plan, .. } = start(Mode::Waits);
    let mut client = app.sse("/r/plain").await;
    assert!(!client.headers().contains_key("helios-position"));
    let id = app.sse_service().publish("a", "1").await.unwrap();
    assert_eq!(now(&mut client).await, [""; 0]);
    plan.go.add_permits(1);
    assert_eq!(now(&mut client).await, [FRESH, "1+"]);
    drop(client);
    let back = app.sse("/r/plain").last_event_id(&id.to_string()).await;
    assert_eq!(back.headers()["helios-position"], id.to_string());
}

/// The end has to wait for the events of the hooks.
#[tokio::test(start_paused = true)]
async fn a_stream_done_before_its_head_has_its_snapshot() {
    let Fixture { app, plan, .. } = start(Mode::Waits);
    app.sse_service().publish("a", "old").await.unwrap();
    for (path, expected) in [
        ("/r/brief", &[FRESH, "old+", "private"][..]),
        (
            "/r/closed",
            &["ready", FRESH, "ready+", "old+", "private", "end+"][..],
        ),
    ] {
        let mut client = app.sse(path).await;
        plan.go.add_permits(1);
        assert_eq!(seen(&client.rest().await), expected, "{path}");
        assert!(!client.broke_off());
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_client_whose_snapshot_fails_is_broken_off() {
    let Fixture { app, .. } = start(Mode::Fails);
    let mut client = app.sse("/r/plain").await;
    assert_eq!(client.rest().await, []);
    assert!(client.broke_off());
}

#[tokio::test(start_paused = true)]
async fn a_new_client_gets_snapshot_position_and_newer_events() {
    let Fixture { app, plan, .. } = start(Mode::Waits);
    let sse = app.sse_service();
    sse.publish("a", "old").await.unwrap();
    let mut client = app.sse("/r/topics/a").await;
    sse.publish("a", "1").await.unwrap();
    assert_eq!(now(&mut client).await, ["ready"]);
    sse.broadcast("2").await.unwrap();
    sse.clients()[0].send("private").await.unwrap();
    assert_eq!(now(&mut client).await, [""; 0]);
    plan.go.add_permits(1);
    let events = all_now(&mut client).await;
    assert_eq!(seen(&events), [FRESH, "ready+", "1+", "2+", "private"]);
    assert_eq!(seq(&events[1].id), 1, "where the topic began");
    assert_eq!(json(&events[1])["resumed"], false);
}

/// Reads this many events, is cut, and resumes with the last id that it has seen.
async fn back_after(events: usize) -> Vec<String> {
    let Fixture { app, .. } = start(Mode::Sends);
    let mut client = app.sse("/r/topics/a").await;
    let mut last = String::new();
    for _ in 0..events {
        last = client.next().await.unwrap().id;
    }
    drop(client);
    app.sse_service().publish("a", "1").await.unwrap();
    let mut request = app.sse("/r/topics/a");
    if !last.is_empty() {
        request = request.last_event_id(&last);
    }
    let mut client = request.await;
    app.sse_service().publish("a", "2").await.unwrap();
    now(&mut client).await
}

#[tokio::test(start_paused = true)]
async fn a_client_cut_before_its_position_gets_another_snapshot() {
    for events in [1, 2] {
        assert_eq!(back_after(events).await, ["ready", FRESH, "ready+", "2+"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_had_its_snapshot_resumes_without_another() {
    assert_eq!(back_after(3).await, ["ready+", "1+", "2+"]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_asks_for_a_snapshot_of_what_is_missing() {
    let keeps = HistoryLimits {
        events: 1,
        ..HistoryLimits::default()
    };
    let Fixture { app, .. } = start_with(Mode::Sends, |sse| sse.keep_topic("a", keeps));
    let sse = app.sse_service();
    let gone = sse.publish("a", "1").await.unwrap().to_string();
    for event in ["2", "3"] {
        sse.publish("a", event).await.unwrap();
    }
    let mut client = app.sse("/r/topics/a+b").last_event_id(&gone).await;
    let expired = "Reset(Expired) of a";
    assert_eq!(
        now(&mut client).await,
        ["ready+", "reset+", expired, "ready+"]
    );
    let mut other = app.sse("/r/topics/a").last_event_id("dead-1").await;
    let epoch = "Reset(Epoch) of a *";
    assert_eq!(now(&mut other).await, ["ready+", "reset+", epoch, "ready+"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_connection_with_a_gap_gets_one_snapshot() {
    let Fixture { app, journal, .. } = start_with(Mode::Sends, |sse| sse.history.events = 1);
    let sse = app.sse_service();
    let gone = sse.publish("a", "1").await.unwrap();
    for event in ["2", "3"] {
        sse.publish("a", event).await.unwrap();
    }
    let mut client = app.sse(&format!("/r/from/{gone}")).await;
    sse.publish("b", "live").await.unwrap();
    let fresh = "Fresh of b a *";
    let events = now(&mut client).await;
    assert_eq!(events, ["ready", "reset", fresh, "ready+", "live+"]);
    assert_eq!(journal.notes(), [fresh]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_was_asked_for_comes_behind_the_snapshot() {
    let Fixture { app, .. } = start(Mode::Sends);
    let sse = app.sse_service();
    let known = sse.publish("a", "1").await.unwrap();
    sse.publish("a", "2").await.unwrap();
    let mut client = app.sse(&format!("/r/from/{known}")).await;
    let events = all_now(&mut client).await;
    assert_eq!(seen(&events), ["ready", "Fresh of b a *", "ready+", "2+"]);
    assert_eq!(events[2].id, known.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_topics_is_sent_no_snapshot() {
    let Fixture { app, journal, .. } = start(Mode::Sends);
    let mut generator = app.sse("/r/generator").await;
    assert_eq!(now(&mut generator).await, ["an item", "end+"]);
    let mut handle = app.sse("/r/none").await;
    app.sse_service().broadcast("to all").await.unwrap();
    assert_eq!(now(&mut handle).await, ["to all"]);
    assert_eq!(journal.notes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn only_the_first_topic_of_a_stream_brings_a_snapshot() {
    let Fixture { app, .. } = start(Mode::Sends);
    let sse = app.sse_service();
    let mut client = app.sse("/r/none").await;
    assert_eq!(now(&mut client).await, [""; 0]);
    let handle = sse.clients().remove(0);
    handle.join("a").await.unwrap();
    sse.publish("a", "1").await.unwrap();
    let events = now(&mut client).await;
    assert_eq!(events, ["ready", "Fresh of * a", "ready+", "1+"]);
    handle.join("b").await.unwrap();
    sse.publish("b", "2").await.unwrap();
    assert_eq!(now(&mut client).await, ["2+"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_join_from_an_expired_id_gets_one_snapshot() {
    let Fixture { app, .. } = start(Mode::Sends);
    let sse = app.sse_service();
    let mut client = app.sse("/r/none").await;
    assert_eq!(now(&mut client).await, [""; 0]);
    let handle = sse.clients().remove(0);
    handle.join_from("a", event_id("dead-1")).await.unwrap();
    let events = now(&mut client).await;
    assert_eq!(events, ["ready", "reset", "Fresh of * a", "ready+"]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_during_a_snapshot_sends_no_id_either() {
    let Fixture { app, plan, .. } = start(Mode::Waits);
    let sse = app.sse_service();
    let mut client = app.sse("/r/topics/a").await;
    assert_eq!(now(&mut client).await, ["ready"]);
    let handle = sse.clients().remove(0);
    handle.join_from("b", event_id("dead-1")).await.unwrap();
    sse.publish("a", "1").await.unwrap();
    assert_eq!(now(&mut client).await, ["reset"]);
    plan.go.add_permits(1);
    assert_eq!(now(&mut client).await, [FRESH]);
    plan.go.add_permits(1);
    let events = now(&mut client).await;
    assert_eq!(events, ["Reset(Epoch) of b", "ready+", "ready+", "1+"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_hook_makes_its_client_begin_anew() {
    for mode in [Mode::Fails, Mode::Panics] {
        let Fixture { app, journal, .. } = start(mode);
        for _ in 0..2 {
            let mut client = app.sse("/r/topics/a").await;
            app.sse_service().publish("a", "1").await.unwrap();
            assert_eq!(now(&mut client).await, ["ready", "reconnect"]);
        }
        assert_eq!(journal.notes(), [FRESH, FRESH]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_never_returns_is_given_up() {
    let hasty = |sse: &mut SseOptions| sse.hook_timeout = Duration::from_secs(5);
    let Fixture { app, .. } = start_with(Mode::Waits, hasty);
    let events = app.sse("/r/topics/a").await.rest().await;
    assert_eq!(seen(&events), ["ready", "reconnect"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_snapshot_is_through_gives_no_position() {
    let Fixture { app, plan, .. } = start(Mode::Waits);
    let sse = app.sse_service();
    let mut client = app.sse("/r/topics/a").await;
    assert_eq!(now(&mut client).await, ["ready"]);
    sse.publish("a", "1").await.unwrap();
    sse.clients()[0].reconnect_after(Duration::from_secs(1));
    plan.go.add_permits(1);
    assert_eq!(now(&mut client).await, ["reconnect"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_ends_with_its_client() {
    let Fixture { app, plan, .. } = start_with(Mode::Waits, |sse| sse.connections.total = 1);
    for _ in 0..50 {
        let mut client = app.sse("/r/topics/a").await;
        assert_eq!(now(&mut client).await, ["ready"]);
        assert_eq!(plan.running.load(Ordering::SeqCst), 1);
        drop(client);
        support::eventually(|| plan.running.load(Ordering::SeqCst) == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_client_that_waits_for_its_snapshot() {
    let Fixture { app, .. } = start(Mode::Waits);
    let mut client = app.sse("/r/topics/a").await;
    assert_eq!(now(&mut client).await, ["ready"]);
    let reader = tokio::spawn(async move { seen(&client.rest().await) });
    let begun = tokio::time::Instant::now();
    app.service().shutdown(Duration::from_secs(60)).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "paused time");
    assert_eq!(reader.await.unwrap(), ["reconnect"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_its_snapshot_is_not_slow() {
    let small = |sse: &mut SseOptions| {
        sse.backlog.events = 2;
        sse.hook_timeout = Duration::MAX;
    };
    let Fixture { app, plan, .. } = start_with(Mode::Waits, small);
    let sse = app.sse_service();
    let mut client = app.sse("/r/topics/a").await.with_deadline(Duration::MAX);
    assert_eq!(now(&mut client).await, ["ready"]);
    for event in 0..10 {
        sse.publish("a", event.to_string()).await.unwrap();
    }
    let reader = tokio::spawn(async move { seen(&all_within(&mut client).await) });
    sleep(Duration::from_secs(60)).await;
    plan.go.add_permits(1);
    let events = reader.await.unwrap();
    assert_eq!(events.len(), 12, "{events:?}");
}

/// Reads up to the last event that is published.
async fn all_within(client: &mut TestStream) -> Vec<DecodedEvent> {
    let mut all = Vec::new();
    while all
        .last()
        .is_none_or(|event: &DecodedEvent| event.data != "9")
    {
        all.push(client.next().await.unwrap());
    }
    all
}

#[derive(Injectable)]
struct Outer {
    journal: Arc<Journal>,
}

#[controller(prefix = "o", controllers = [Middle])]
impl Outer {
    #[on_sse_snapshot]
    fn snapshot(&self, snapshot: &SseSnapshot) {
        self.journal.note(format!("outer {:?}", snapshot.reason));
    }
}

#[derive(Injectable)]
struct Middle {
    journal: Arc<Journal>,
}

#[controller(prefix = "m", controllers = [Inner])]
impl Middle {
    #[on_sse_reset]
    fn reset(&self, reset: &SseReset) {
        self.journal.note(format!("middle {:?}", reset.reason));
    }
}

#[derive(Injectable)]
struct Inner {
    sse: SseService,
    journal: Arc<Journal>,
}

#[controller(prefix = "i")]
impl Inner {
    #[sse]
    async fn topics(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["a"]).await
    }

    #[sse("from")]
    async fn from(&self) -> Result<SseStream, SseError> {
        let client = SseStream::new();
        client.join_from("a", event_id("dead-1")).await?;
        Ok(client)
    }

    #[on_sse_snapshot]
    fn snapshot(&self, snapshot: &SseSnapshot) {
        self.journal.note(format!("inner {:?}", snapshot.reason));
    }
}

#[server(controllers = [Outer], sse(enabled = true))]
struct Nested;

#[tokio::test(start_paused = true)]
async fn each_controller_uses_its_own_hook_inner_first() {
    let journal = Journal::default();
    let app = TestApp::start(Helios::new(Nested).provide(journal.clone())).unwrap();
    let mut told = 0;
    let mut new_notes = || {
        let notes = journal.notes();
        let new = notes[told..].to_vec();
        told = notes.len();
        new
    };
    now(&mut app.sse("/o/m/i").await).await;
    assert_eq!(new_notes(), ["inner Fresh", "outer Fresh"]);
    now(&mut app.sse("/o/m/i").last_event_id("dead-1").await).await;
    let reset = ["inner Reset(Epoch)", "middle Epoch", "outer Reset(Epoch)"];
    assert_eq!(new_notes(), reset);
    now(&mut app.sse("/o/m/i/from").await).await;
    assert_eq!(new_notes(), ["inner Fresh", "middle Epoch", "outer Fresh"]);
}

/// A counter that publishes each number once it has been reached.
#[derive(Injectable)]
struct Counter {
    sse: SseService,
    #[inject(default)]
    count: AtomicU64,
}

#[controller(prefix = "c")]
impl Counter {
    #[sse]
    async fn watch(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["count"]).await
    }

    #[on_sse_snapshot]
    async fn snapshot(&self, client: SseStream) -> Result<(), SseError> {
        let count = self.count.load(Ordering::SeqCst);
        // Others go on counting before it is sent.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        client.send(SseEvent::json(count).event("snapshot")).await
    }

    #[post]
    async fn count(&self) -> Result<(), SseError> {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        self.sse
            .publish("count", SseEvent::json(count).event("count"))
            .await?;
        Ok(())
    }
}

#[server(controllers = [Counter], sse(enabled = true))]
struct Counting;

fn count_on(app: &Arc<TestApp>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            app.post("/c").await;
            tokio::task::yield_now().await;
        }
    })
}

/// Reads counts, which must follow the one that the client knows without gaps.
async fn counts_up(client: &mut TestStream, mut known: u64) -> (u64, String) {
    let first = client.next().await.unwrap();
    let mut next: u64 = first.data.parse().unwrap();
    assert!(next <= known + 1, "{next} behind {known}");
    let mut id = first.id;
    for _ in 0..20 {
        let event = client.next().await.unwrap();
        let count: u64 = event.data.parse().unwrap();
        assert_eq!(count, next + 1);
        (next, id) = (count, event.id);
    }
    known = known.max(next);
    (known, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_missing_between_a_snapshot_and_later_ones() {
    let app = Arc::new(TestApp::start(Counting).unwrap());
    let counting = count_on(&app);
    for _ in 0..50 {
        let mut client = app.sse("/c").await;
        let ready = client.next().await.unwrap();
        assert_eq!(seen(&[ready]), ["ready"]);
        let snapshot = client.next().await.unwrap();
        assert_eq!(snapshot.event, "snapshot");
        let known = snapshot.data.parse().unwrap();
        let ready = client.next().await.unwrap();
        assert_eq!(seen(std::slice::from_ref(&ready)), ["ready+"]);
        // Cut right after its position, or later.
        let mut back = app.sse("/c").last_event_id(&ready.id).await;
        let (known_now, last) = counts_up(&mut client, known).await;
        assert_eq!(json(&back.next().await.unwrap())["resumed"], true);
        counts_up(&mut back, known).await;
        let mut later = app.sse("/c").last_event_id(&last).await;
        assert_eq!(json(&later.next().await.unwrap())["resumed"], true);
        counts_up(&mut later, known_now).await;
    }
    counting.abort();
}

#[tokio::test]
async fn a_snapshot_comes_over_a_socket_as_well() {
    let server = TestServer::start(Counting.into()).await;
    server.post("/c", "text/plain", "").await;
    let mut client = server.sse("/c").await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(client.next().await.unwrap());
    }
    assert_eq!(seen(&events), ["ready", "1", "ready+"]);
}
