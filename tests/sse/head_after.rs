//! `head_after`: how long the response head waits for a stream's first event, on any route.

use helios::prelude::*;
use helios::testing::TestApp;
use tokio::time::Instant;

#[derive(Injectable)]
struct Waits;

#[controller(prefix = "w")]
impl Waits {
    #[sse("generator", head_after = "2s")]
    fn generator(&self, #[query] after: u64) -> impl Stream<Item = SseEvent> {
        stream! {
            sleep(Duration::from_millis(after)).await;
            yield SseEvent::text("first");
        }
    }

    #[sse("producer", head_after = "2s")]
    async fn producer(&self, #[query] after: u64, _stream: SseStream) -> Result<(), HttpError> {
        sleep(Duration::from_millis(after)).await;
        Err(HttpError::conflict("not today"))
    }

    #[sse("handle", head_after = "2s")]
    fn handle(&self, #[query] after: u64) -> SseStream {
        let stream = SseStream::new();
        let driver = stream.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(after)).await;
            driver.send("first").await
        });
        stream
    }

    /// It may fail, but has to be open at once.
    #[sse("at-once", head_after = "0s")]
    fn at_once(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
        try_stream! {
            sleep(Duration::from_millis(10)).await;
            Err(HttpError::conflict("too late"))?;
            yield SseEvent::text("never");
        }
    }

    #[sse("as-the-server-says")]
    fn as_the_server_says(&self, #[query] after: u64) -> impl Stream<Item = SseEvent> {
        self.generator(after)
    }
}

#[server(controllers = [Waits], sse(enabled = true))]
struct App;

fn app() -> TestApp {
    let app = Helios::new(App).sse_options(|sse| sse.head_after = Some(Duration::from_secs(1)));
    TestApp::start(app).unwrap()
}

/// Returns the time until the head arrives, in hundredths of a second.
async fn head_of(path: &str) -> u128 {
    let start = Instant::now();
    let _stream = app().sse(path).await;
    start.elapsed().as_millis() / 10
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_the_first_event_within_limits() {
    for kind in ["generator", "handle"] {
        for (after, head) in [(300, 30), (60_000, 200)] {
            assert_eq!(
                head_of(&format!("/w/{kind}?after={after}")).await,
                head,
                "{kind}"
            );
        }
    }
    assert_eq!(head_of("/w/producer?after=60000").await, 200);
}

#[tokio::test(start_paused = true)]
async fn an_error_within_that_time_is_an_ordinary_answer() {
    let answer = app().get("/w/producer?after=1900").await;
    assert_eq!(answer.status(), 409);
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_an_error_gets_no_status() {
    let mut stream = app().sse("/w/at-once").await;
    assert_eq!(stream.next().await.unwrap().event, "error");
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_wait_is_the_default_for_routes() {
    assert_eq!(head_of("/w/as-the-server-says?after=60000").await, 100);
}

/// A waiting head must not delay a shutdown, or go on after its client has left.
#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_the_head_leaves_nothing() {
    let app = app();
    let asked = tokio::time::timeout(Duration::from_secs(1), app.get("/w/generator?after=60000"));
    assert!(asked.await.is_err());
    assert_eq!(app.sse_service().stats().connections, 0);
}
