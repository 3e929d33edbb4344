//! Between a hole and the word about it: clients that are cut, ended or overrun at the worst moment. All of it runs in
//! process, on a paused clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use helios::prelude::*;
use helios::sse::DecodedEvent;
use helios::sse::{BacklogLimits, HistoryLimits, ResetReason, SlowClients, SseOptions};
use helios::testing::{TestApp, TestStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;

struct Gate {
    go: Semaphore,
    running: AtomicUsize,
    kept: Mutex<Vec<SseStream>>,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            go: Semaphore::new(0),
            running: AtomicUsize::new(0),
            kept: Mutex::default(),
        })
    }
}

/// Counts a hook as long as it runs.
struct Running<'a>(&'a Gate);

impl<'a> Running<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.running.fetch_add(1, Ordering::SeqCst);
        Self(gate)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Injectable)]
struct Plain {
    sse: SseService,
}

#[controller(prefix = "p")]
impl Plain {
    #[sse("{topics}")]
    async fn topics(&self, #[param] topics: String) -> Result<SseStream, SseError> {
        self.sse.subscribe(topics.split('+')).await
    }
    #[sse("closed-own")]
    async fn closed_own(&self) -> Result<SseStream, SseError> {
        let s = SseStream::new();
        s.join("x").await?;
        s.send("last word").await?;
        s.close();
        Ok(s)
    }
    #[sse("closed-service")]
    async fn closed_service(&self) -> Result<SseStream, SseError> {
        let s = self.sse.create_connection();
        s.join("x").await?;
        s.send("last word").await?;
        s.close();
        Ok(s)
    }
    #[sse("producer")]
    async fn producer(&self, stream: SseStream) -> Result<(), SseError> {
        stream.join("orders").await?;
        stream.open();
        stream.closing().await;
        Ok(())
    }
    #[sse("from-service/{id}")]
    async fn service_from(&self, #[param] id: String) -> Result<SseStream, SseError> {
        let s = self.sse.create_connection();
        s.join_from("x", id.parse().unwrap()).await?;
        Ok(s)
    }
    #[sse("from-own/{id}")]
    async fn own_from(&self, #[param] id: String) -> Result<SseStream, SseError> {
        let s = SseStream::new();
        s.join_from("x", id.parse().unwrap()).await?;
        Ok(s)
    }
    #[sse("watch")]
    async fn watch(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("hello").await?;
        stream.closing().await;
        stream.send("bye").await
    }
}

#[derive(Injectable)]
struct Snap {
    sse: SseService,
    gate: Arc<Gate>,
}

#[controller(prefix = "s")]
impl Snap {
    #[sse("{topics}")]
    async fn topics(&self, #[param] topics: String) -> Result<SseStream, SseError> {
        self.sse.subscribe(topics.split('+')).await
    }
    #[on_sse_reset]
    async fn snapshot(&self, client: SseStream, reset: &SseReset) -> Result<(), SseError> {
        let _running = Running::new(&self.gate);
        assert_eq!(reset.reason, ResetReason::Epoch);
        self.gate.kept.lock().unwrap().push(client.clone());
        self.gate.go.acquire().await.unwrap().forget();
        client.send("snapshot").await
    }
}

#[server(controllers = [Plain, Snap], sse(enabled = true))]
struct App;

fn start(gate: &Arc<Gate>, change: impl FnOnce(&mut SseOptions)) -> TestApp {
    TestApp::start(
        Helios::new(App)
            .provide_as(Arc::clone(gate))
            .sse_options(change),
    )
    .unwrap()
}

/// The next event, or `None` if there is nothing to read now.
async fn soon(stream: &mut TestStream) -> Option<DecodedEvent> {
    timeout(Duration::from_millis(5), stream.next())
        .await
        .ok()
        .flatten()
}

async fn all_now(stream: &mut TestStream) -> Vec<DecodedEvent> {
    let mut all = Vec::new();
    while let Some(event) = soon(stream).await {
        all.push(event);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn an_end_while_the_reset_hook_runs_gives_no_position() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service();
    let mut first = app.sse("/s/a").last_event_id("dead-1").await;
    assert_eq!(all_now(&mut first).await.len(), 2);
    sse.publish("a", "a1").await.unwrap();
    sse.clients()[0].reconnect_after(Duration::from_secs(1));
    let got = all_now(&mut first).await;
    let last = got.last().unwrap().id.clone();
    let mut second = app.sse("/s/a").last_event_id(&last).await;
    let got = all_now(&mut second).await;
    assert!(
        last.is_empty() || got.iter().any(|e| e.event == "helios:reset"),
        "the snapshot never comes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_not_dropped_with_what_is_oldest() {
    let gate = Gate::new();
    let app = start(&gate, |o| {
        o.slow_clients = SlowClients::DropOldest;
        o.backlog = BacklogLimits {
            events: 10,
            bytes: 1 << 20,
        };
    });
    let sse = app.sse_service();
    let mut first = app.sse("/p/a").await;
    all_now(&mut first).await;
    for n in 1..=40 {
        sse.publish("a", format!("a{n}")).await.unwrap();
    }
    sleep(Duration::from_secs(4)).await;
    let id = sse.clients()[0].id();
    for n in 1..=20 {
        sse.send_to_client(id, format!("private {n}"))
            .await
            .unwrap();
    }
    let got = all_now(&mut first).await;
    assert!(!got.iter().any(|e| e.data == "a1"));
    assert!(
        got.iter()
            .any(|e| e.event == "helios:reset" && e.data.contains("\"a\"")),
        "never told of a1..a35"
    );
}

#[tokio::test(start_paused = true)]
async fn a_burst_larger_than_a_short_history_does_not_disconnect_healthy_readers() {
    let gate = Gate::new();
    let app = start(&gate, |o| {
        o.keep_topic(
            "prices:*",
            HistoryLimits {
                events: 16,
                age: Duration::from_secs(10),
            },
        );
    });
    let sse = app.sse_service().clone();
    let mut first = app.sse("/p/prices:x").await;
    all_now(&mut first).await;
    for n in 1..=20 {
        sse.publish("prices:x", format!("{n}")).await.unwrap();
    }
    assert_eq!(all_now(&mut first).await.len(), 20);
    assert_eq!(sse.stats().slow_closes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_history_still_delivers() {
    let gate = Gate::new();
    let app = start(&gate, |o| o.history.age = Duration::ZERO);
    let sse = app.sse_service().clone();
    let mut first = app.sse("/p/x").await;
    all_now(&mut first).await;
    sse.publish("x", "1").await.unwrap();
    tokio::time::advance(Duration::from_micros(2)).await;
    sse.publish("x", "2").await.unwrap();
    let got = all_now(&mut first).await;
    assert_eq!([&*got[0].data, &*got[1].data], ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_over_an_own_limit_takes_nothing_of_the_rate_of_all() {
    let gate = Gate::new();
    let app = start(&gate, |o| {
        o.connections.per_second = Some(1.0);
        o.connections.per_user = Some(1);
        o.connections.user = Some(Arc::new(|r| r.header("x-user").map(str::to_owned)));
    });
    let mut alice = app.sse("/p/x").header("x-user", "alice").await;
    assert_eq!(alice.next().await.unwrap().event, "helios:ready");
    tokio::time::advance(Duration::from_secs(2)).await;
    let mut again = app.sse("/p/x").header("x-user", "alice").await;
    assert_eq!(again.next().await.unwrap().event, "helios:overloaded");
    let mut bob = app.sse("/p/x").header("x-user", "bob").await;
    assert_eq!(bob.next().await.unwrap().event, "helios:ready");
}

#[tokio::test(start_paused = true)]
async fn a_handle_closed_before_it_is_attached_tells_its_last_word() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    for path in ["/p/closed-service", "/p/closed-own"] {
        let mut client = app.sse(path).await;
        let told = all_now(&mut client).await;
        assert!(told.iter().any(|event| event.data == "last word"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_by_id_reaches_a_client_that_reads() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service().clone();
    let mut first = app.sse("/p/x").await;
    all_now(&mut first).await;
    let id = sse.clients()[0].id();
    let large = "x".repeat(64 * 1024);
    for _ in 0..50 {
        sse.send_to_client(id, large.as_str()).await.unwrap();
    }
    assert_eq!(all_now(&mut first).await.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn reset_hooks_end_with_their_connection() {
    let gate = Gate::new();
    let service = Helios::new(App)
        .provide_as(Arc::clone(&gate))
        .sse_options(|o| o.connections.total = 1);
    let app = TestApp::start(service).unwrap();
    for _ in 0..50 {
        let mut stream = app.sse("/s/a").last_event_id("dead-1").await;
        all_now(&mut stream).await;
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(
        gate.running.load(Ordering::SeqCst),
        0,
        "hooks of dead connections run on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_kept_reset_handle_keeps_the_order() {
    let gate = Gate::new();
    gate.go.add_permits(1);
    let app = start(&gate, |_| {});
    let sse = app.sse_service().clone();
    let mut first = app.sse("/s/a").last_event_id("dead-1").await;
    all_now(&mut first).await;
    let kept = gate.kept.lock().unwrap()[0].clone();
    sse.publish("a", "1").await.unwrap();
    sse.clients()[0].send("2").await.unwrap();
    kept.send("3").await.unwrap();
    let got: Vec<_> = all_now(&mut first)
        .await
        .into_iter()
        .map(|e| e.data)
        .collect();
    assert_eq!(got, ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_producer_joins_before_its_head_is_resumed() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service().clone();
    let seen = sse.publish("orders", "o1").await.unwrap();
    sse.publish("orders", "o2").await.unwrap();
    let mut stream = app
        .sse("/p/producer")
        .last_event_id(&seen.to_string())
        .await;
    let got = all_now(&mut stream).await;
    assert!(
        got.iter()
            .any(|e| e.data == "o2" || e.event == "helios:reset"),
        "o2 is lost silently"
    );
}

/// Closing, DropOldest: a queued reset's id is written though another topic was overtaken before it.
#[tokio::test(start_paused = true)]
async fn a_closing_stream_gives_no_position_behind_a_hole() {
    let gate = Gate::new();
    let app = start(&gate, |o| {
        o.slow_clients = SlowClients::DropOldest;
        o.backlog = BacklogLimits {
            events: 10,
            bytes: 1 << 20,
        };
        o.keep_topic(
            "b",
            HistoryLimits {
                events: 2,
                age: Duration::from_secs(300),
            },
        );
    });
    let sse = app.sse_service();
    let mut first = app.sse("/p/a+b").await;
    all_now(&mut first).await;
    sse.publish("b", "b1").await.unwrap();
    sse.publish("b", "b2").await.unwrap();
    for n in 1..=20 {
        sse.publish("a", format!("a{n}")).await.unwrap();
    }
    sleep(Duration::from_secs(4)).await;
    sse.clients()[0].reconnect_after(Duration::from_secs(1));
    sse.publish("b", "b3").await.unwrap();
    sse.publish("b", "b4").await.unwrap();
    let got = all_now(&mut first).await;
    let mut second = app
        .sse("/p/a+b")
        .last_event_id(&got.last().unwrap().id)
        .await;
    let got2 = all_now(&mut second).await;
    let told = |name: &str| {
        got.iter()
            .chain(&got2)
            .any(|e| e.event == "helios:reset" && e.data.contains(name))
    };
    assert!(told("\"b\""), "b1, b2 are lost silently");
}

#[tokio::test(start_paused = true)]
async fn private_events_during_a_reset_hook_do_not_close_the_client() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service();
    let mut first = app.sse("/s/a").last_event_id("dead-1").await;
    all_now(&mut first).await;
    let client = sse.clients()[0].clone();
    sse.publish("a", "1").await.unwrap();
    let mut sent = 0;
    while sse.send_to_client(client.id(), "x").await.is_ok() {
        sent += 1;
    }
    assert!(sent > 1_000);
    assert!(!client.is_closed(), "it cannot read, and so is not slow");
    gate.go.add_permits(1);
    let got = all_now(&mut first).await;
    let private = got.iter().filter(|event| event.data == "x");
    assert_eq!(private.count(), sent);
}

#[tokio::test(start_paused = true)]
async fn unused_topics_disappear_also_before_the_first_connection() {
    let gate = Gate::new();
    let app = start(&gate, |o| o.max_topics = 100);
    let sse = app.sse_service();
    for n in 0..100 {
        drop(sse.subscribe([format!("x{n}")]).await.unwrap());
    }
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(sse.stats().topics, 0);
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_bounds_all_topics_together() {
    let gate = Gate::new();
    let app = start(&gate, |o| {
        o.slow_clients = SlowClients::DropOldest;
        o.backlog = BacklogLimits {
            events: 10,
            bytes: 1 << 20,
        };
    });
    let sse = app.sse_service();
    let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let mut first = app.sse(&format!("/p/{}", names.join("+"))).await;
    all_now(&mut first).await;
    for name in &names {
        for _ in 0..5 {
            sse.publish(name, "e").await.unwrap();
        }
    }
    sleep(Duration::from_secs(10)).await;
    let got = all_now(&mut first).await;
    assert!(got.len() <= 12);
}

#[tokio::test(start_paused = true)]
async fn a_failed_reset_hook_gives_no_position() {
    let gate = Gate::new();
    gate.go.close();
    let app = start(&gate, |_| {});
    let mut first = app.sse("/s/a").last_event_id("dead-1").await;
    let got = all_now(&mut first).await;
    assert!(
        got.iter().all(|e| ["", "dead-1"].contains(&e.id.as_str())),
        "no snapshot, and the next connection resumes behind it"
    );
}

/// join_from on a detached handle, history gone.
#[tokio::test(start_paused = true)]
async fn join_from_before_the_head_tells_that_history_is_gone() {
    let gate = Gate::new();
    let app = start(&gate, |o| o.history.events = 2);
    let sse = app.sse_service();
    let x1 = sse.publish("x", "x1").await.unwrap();
    for n in 2..=6 {
        sse.publish("x", format!("x{n}")).await.unwrap();
    }
    let mut first = app.sse(&format!("/p/from-service/{x1}")).await;
    let got = all_now(&mut first).await;
    assert!(got.iter().any(|e| e.event == "helios:reset"));
}

#[tokio::test(start_paused = true)]
async fn join_from_on_an_own_handle_begins_where_it_was_asked_to() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service();
    let x1 = sse.publish("x", "x1").await.unwrap();
    sse.publish("x", "x2").await.unwrap();
    for handle in ["service", "own"] {
        let mut client = app.sse(&format!("/p/from-{handle}/{x1}")).await;
        let got = all_now(&mut client).await;
        assert_eq!(got[0].event, "helios:ready", "{handle}");
        assert_eq!(got[1].data, "x2", "{handle}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_hooks_of_clients_that_are_gone() {
    let gate = Gate::new();
    let service = Helios::new(App)
        .provide_as(Arc::clone(&gate))
        .into_service()
        .unwrap();
    let request = http::Request::get("/s/a")
        .header("last-event-id", "dead-1")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    drop(response);
    let begun = tokio::time::Instant::now();
    service.shutdown(Duration::from_secs(60)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_closing_stream_that_is_not_polled_ends() {
    let gate = Gate::new();
    let app = start(&gate, |o| o.keep_alive = None);
    let sse = app.sse_service();
    let mut first = app.sse("/p/a").await;
    all_now(&mut first).await;
    sse.clients()[0].reconnect_after(Duration::from_secs(1));
    assert_eq!(first.next().await.unwrap().event, "helios:reconnect");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(sse.stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_missed_nothing_within_retention_is_not_reset() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service();
    let mut first = app
        .sse("/p/user:7")
        .await
        .with_deadline(Duration::from_secs(3600));
    let ready = first.next().await.unwrap();
    sse.publish("other", "x").await.unwrap();
    // The other topic disappears, six minutes later the client's connection breaks, and it is back in two seconds.
    let silence = timeout(Duration::from_secs(400), first.next()).await;
    assert!(silence.is_err());
    drop(first);
    sleep(Duration::from_secs(2)).await;
    let mut second = app.sse("/p/user:7").last_event_id(&ready.id).await;
    let got = all_now(&mut second).await;
    assert!(!got.iter().any(|e| e.event == "helios:reset"));
}
