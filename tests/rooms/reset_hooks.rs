//! Events during a reset hook, and clients that end or leave during it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::ResetReason;
use helios::testing::TestApp;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::app::all_now;

/// Holds reset hooks back, and counts the running ones.
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

/// Handles a reset when the gate permits it.
#[derive(Injectable)]
struct Rooms {
    sse: SseService,
    gate: Arc<Gate>,
}

#[controller(prefix = "r")]
impl Rooms {
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

#[server(controllers = [Rooms], sse(enabled = true))]
struct App;

fn start(gate: &Arc<Gate>, change: impl FnOnce(&mut SseOptions)) -> TestApp {
    TestApp::start(
        Helios::new(App)
            .provide_as(Arc::clone(gate))
            .sse_options(change),
    )
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_end_while_the_reset_hook_runs_gives_no_position() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service();
    let mut first = app.sse("/r/a").last_event_id("dead-1").await;
    assert_eq!(all_now(&mut first).await.len(), 2);
    sse.publish("a", "a1").await.unwrap();
    sse.clients()[0].reconnect_after(Duration::from_secs(1));
    let got = all_now(&mut first).await;
    let last = got.last().unwrap().id.clone();
    let mut second = app.sse("/r/a").last_event_id(&last).await;
    let got = all_now(&mut second).await;
    assert!(
        last.is_empty() || got.iter().any(|event| event.event == "helios:reset"),
        "the snapshot never comes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_reset_hook_gives_no_position() {
    let gate = Gate::new();
    gate.go.close();
    let app = start(&gate, |_| {});
    let mut first = app.sse("/r/a").last_event_id("dead-1").await;
    let got = all_now(&mut first).await;
    assert!(
        got.iter()
            .all(|event| ["", "dead-1"].contains(&event.id.as_str())),
        "no snapshot, and the next connection resumes behind it"
    );
}

#[tokio::test(start_paused = true)]
async fn private_events_during_a_reset_hook_close_no_client() {
    let gate = Gate::new();
    let app = start(&gate, |_| {});
    let sse = app.sse_service();
    let mut first = app.sse("/r/a").last_event_id("dead-1").await;
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
async fn a_kept_reset_handle_keeps_the_order() {
    let gate = Gate::new();
    gate.go.add_permits(1);
    let app = start(&gate, |_| {});
    let sse = app.sse_service().clone();
    let mut first = app.sse("/r/a").last_event_id("dead-1").await;
    all_now(&mut first).await;
    let kept = gate.kept.lock().unwrap()[0].clone();
    sse.publish("a", "1").await.unwrap();
    sse.clients()[0].send("2").await.unwrap();
    kept.send("3").await.unwrap();
    let got: Vec<_> = all_now(&mut first)
        .await
        .into_iter()
        .map(|event| event.data)
        .collect();
    assert_eq!(got, ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn reset_hooks_end_with_their_connection() {
    let gate = Gate::new();
    let service = Helios::new(App)
        .provide_as(Arc::clone(&gate))
        .sse_options(|sse| sse.connections.total = 1);
    let app = TestApp::start(service).unwrap();
    for _ in 0..50 {
        let mut stream = app.sse("/r/a").last_event_id("dead-1").await;
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
async fn a_shutdown_does_not_wait_for_hooks_of_lost_clients() {
    let gate = Gate::new();
    let service = Helios::new(App)
        .provide_as(Arc::clone(&gate))
        .into_service()
        .unwrap();
    let request = http::Request::get("/r/a")
        .header("last-event-id", "dead-1")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    drop(response);
    let begun = tokio::time::Instant::now();
    service.shutdown(Duration::from_secs(60)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}
