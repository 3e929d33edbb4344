//! The guarantees of the kit for testing apps.

use std::convert::Infallible;
use std::future::ready;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use helios::http::Multipart;
use helios::prelude::*;
use helios::testing::{TestApp, TestMultipart};
use http::Request;
use http::header::CONTENT_TYPE;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tower::service_fn;

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

/// A stream of another library: each kind of content is asked for by its path.
async fn foreign(request: Request<Body>) -> Result<Response, Infallible> {
    let kind = match request.uri().path() {
        "/parameter" => "text/event-stream; charset=utf-8",
        "/case" => "Text/Event-Stream",
        _ => "application/x-ndjson",
    };
    let first = stream::once(ready(Ok::<_, Infallible>("data: 1\n\n")));
    let body = Body::from_stream(first.chain(stream::pending()));
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_known_by_its_media_type() {
    let app = Helios::new(App).mount("/m", service_fn(foreign));
    let app = TestApp::start(app).unwrap();
    for path in ["/m/parameter", "/m/case"] {
        assert_eq!(app.sse(path).await.next().await.unwrap().data, "1");
    }
    let other = app.clone();
    let refused = tokio::spawn(async move { drop(other.sse("/m/lines").await) });
    let panic = refused.await.unwrap_err().into_panic();
    let said = panic.downcast_ref::<String>().unwrap();
    assert_eq!(
        said,
        "not an event stream: 200 OK, and a body without an end"
    );
}

#[derive(Injectable)]
struct Desk;

#[controller(prefix = "desk")]
impl Desk {
    #[post]
    async fn upload(&self, mut parts: Multipart) -> Result<Json<Vec<[String; 4]>>, HttpError> {
        let mut seen = Vec::new();
        while let Some(part) = parts.next().await? {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let head = [part.name(), part.file_name(), part.content_type()].map(text);
            let [name, file, kind] = head;
            let content = String::from_utf8_lossy(&part.bytes().await?).into_owned();
            seen.push([name, file, kind, content]);
        }
        Ok(Json(seen))
    }

    #[get("visits")]
    fn visits(&self, #[cookie(default = 0)] visits: u32, #[res] res: &mut ResponseHead) -> u32 {
        res.set_cookie(Cookie::new("visits", visits.saturating_add(1)).secure(true));
        visits
    }

    #[sse("price")]
    fn price(&self) -> impl Stream<Item = SseEvent> {
        stream! { yield SseEvent::json("dear").event("price"); }
    }
}

#[server(controllers = [Desk], sse(enabled = true))]
struct Shop;

#[tokio::test]
async fn an_upload_is_read_as_it_was_put_together() {
    let app = TestApp::start(Shop).unwrap();
    let content = "--helios-test\r\n\r\nnot the end";
    let form = TestMultipart::new()
        .text("größe", "a=1&b")
        .file("f", "ä b;c.txt", "text/plain; charset=utf-8", content)
        .text("", "");
    let seen = app.post("/desk").multipart(form).await;
    assert_eq!(
        seen.json::<Vec<[String; 4]>>(),
        [
            ["größe", "", "", "a=1&b"],
            ["f", "ä b;c.txt", "text/plain; charset=utf-8", content],
            ["", "", "", ""],
        ]
    );
    let none = app.post("/desk").multipart(TestMultipart::new()).await;
    assert_eq!(none.text(), "[]");
}

#[tokio::test]
async fn each_client_keeps_its_own_cookies_and_clones_share_them() {
    let app = TestApp::start(Shop).unwrap();
    let ann = app.with_cookies();
    let visits = async |app: &TestApp| app.get("/desk/visits").await.text();
    assert_eq!([visits(&ann).await, visits(&ann).await], ["0", "1"]);
    assert_eq!(visits(&ann.clone()).await, "2");
    assert_eq!(visits(&ann.with_cookies()).await, "0");
    assert_eq!([visits(&app).await, visits(&app).await], ["0", "0"]);
    let own = ann.get("/desk/visits").header("cookie", "visits=40").await;
    assert_eq!(own.text(), "40", "the test's own comes first");
    assert_eq!(visits(&ann).await, "41");
}

#[tokio::test]
async fn the_error_for_malformed_event_json_shows_the_event() {
    let app = TestApp::start(Shop).unwrap();
    let price = app.sse("/desk/price").await.next().await.unwrap();
    assert_eq!(price.json::<String>().unwrap(), "dear");
    let error = price.json::<f64>().unwrap_err().to_string();
    assert!(
        error.contains("the event `price`") && error.contains(r#"its data is "dear""#),
        "{error}"
    );
}
