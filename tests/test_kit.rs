//! What a test of an app can rely on.

use helios::prelude::*;
use helios::testing::TestApp;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Publishes a number a minute.
#[derive(Injectable)]
#[inject(on_start = start, on_stop = stop)]
struct Counter {
    sse: SseService,
    #[inject(default)]
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Counter {
    async fn start(&self) {
        let sse = self.sse.clone();
        let count = async move {
            for n in 1.. {
                sleep(Duration::from_secs(60)).await;
                let _ = sse.publish("count", SseEvent::json(n)).await;
            }
        };
        *self.task.lock().await = Some(tokio::spawn(count));
    }

    async fn stop(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.abort();
        }
    }
}

#[derive(Injectable)]
struct Counts {
    sse: SseService,
    counter: Arc<Counter>,
}

#[controller(prefix = "counts")]
impl Counts {
    #[get("running")]
    async fn running(&self) -> bool {
        self.counter.task.lock().await.is_some()
    }

    #[sse]
    async fn live(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["count"]).await
    }
}

#[server(controllers = [Counts], sse(enabled = true))]
struct App;

#[tokio::test(start_paused = true)]
async fn keep_alive_does_not_prolong_the_deadline_of_an_event() {
    let app = TestApp::start(App).unwrap();
    let silent = app.sse("/counts").await;
    let mut silent = silent.with_deadline(Duration::from_secs(60));
    assert_eq!(silent.next().await.unwrap().event, "helios:ready");
    let next = tokio::spawn(async move { silent.next().await });
    let waited = tokio::time::timeout(Duration::from_secs(61), next).await;
    assert!(waited.unwrap().unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn start_hooks_run_in_process() {
    let app = TestApp::start(App).unwrap();
    app.service().start().await.unwrap();
    let live = app.sse("/counts").await;
    let mut live = live.with_deadline(Duration::from_secs(61));
    assert_eq!(live.next().await.unwrap().event, "helios:ready");
    assert_eq!(live.next().await.unwrap().data, "1");
    assert_eq!(live.next().await.unwrap().data, "2");
}

#[tokio::test]
async fn shutdown_runs_in_process() {
    let app = TestApp::start(App).unwrap();
    app.service().start().await.unwrap();
    assert_eq!(app.get("/counts/running").await.text(), "true");
    let mut live = app.sse("/counts").await;
    assert_eq!(live.next().await.unwrap().event, "helios:ready");
    let shutdown = app.service().shutdown(Duration::from_secs(10));
    let (_, last) = tokio::join!(shutdown, live.rest()); // it waits until clients have read the end
    assert_eq!(last[0].event, "helios:reconnect");
    assert_eq!(app.get("/counts/running").await.text(), "false");
}
