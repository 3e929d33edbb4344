//! Feeds arbitrary bytes to an app with every binder. The server may refuse them with a short error, but must not fail.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use garde::Validate;
use helios::prelude::*;
use helios::http::{HeliosService, Multipart};
use http::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

#[derive(Deserialize, Debug)]
struct Body {
    id: u64,
    name: Option<String>,
    tags: Vec<f64>,
}

#[derive(Deserialize, Validate, Debug)]
struct Account {
    #[garde(length(min = 2, max = 5), ascii)]
    name: String,
    #[garde(dive)]
    address: Option<Address>,
    #[garde(length(max = 3), inner(length(min = 1)))]
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize, Validate, Debug)]
struct Address {
    #[garde(range(min = 1, max = 99))]
    zip: i64,
}

#[derive(Deserialize, Debug)]
struct Page {
    size: Option<u16>,
    #[serde(flatten)]
    range: Range,
    #[serde(default)]
    tag: Vec<String>,
}

#[derive(Deserialize, Debug)]
struct Range {
    from: i64,
    to: Option<f64>,
}

#[derive(Deserialize, Debug)]
enum Sort {
    Up,
    Down,
}

#[derive(Injectable)]
struct Everything;

#[controller(prefix = "a", interceptor = |data, _req, _res| json!([data]))]
impl Everything {
    #[get("{id}/{name}")]
    fn values(
        &self,
        #[param] id: i32,
        #[param] name: String,
        #[query] sort: Option<Sort>,
        #[query] tags: Vec<u8>,
        #[query(default = 1.5)] ratio: f32,
        #[header] x_count: Option<u16>,
    ) -> serde_json::Value {
        json!([id, name, format!("{sort:?}"), tags, ratio, x_count])
    }

    #[get("cookies")]
    fn cookies(
        &self,
        #[cookie] visits: Option<u16>,
        #[cookie] sort: Vec<Sort>,
        #[cookie(default = "dark")] theme: &str,
        #[req] req: &RequestContext,
    ) -> String {
        format!("{visits:?} {sort:?} {theme} {:?}", req.cookie("visits"))
    }

    #[post("account")]
    fn account(&self, page: Result<Query<Address>, HttpError>, #[body] account: Account) -> String {
        format!("{account:?} {page:?}")
    }

    #[get("account/{zip}")]
    fn found(&self, at: Path<Address>, #[body(allow_get)] account: Vec<Account>) -> String {
        format!("{account:?} {at:?}")
    }

    #[post("body")]
    fn body(&self, #[body(json, form)] body: Body) -> String {
        format!("{body:?}")
    }

    #[post("page")]
    fn page(&self, query: Result<Query<Page>, HttpError>, #[body(form)] page: Option<Page>) -> String {
        format!("{query:?} {page:?}")
    }

    #[get("größe%20{n}/.x/~/{*rest}")]
    fn escaped(&self, #[param] n: char, #[param] rest: String, #[header] accept_language: Vec<String>) -> String {
        format!("{n} {rest} {accept_language:?}")
    }

    #[put("whole/{a}/{b}")]
    fn whole(
        &self,
        Path((a, b)): Path<(u8, char)>,
        Query(query): Query<std::collections::HashMap<String, String>>,
        Json(json): Json<serde_json::Value>,
    ) -> Json<serde_json::Value> {
        Json(json!([a, b, query, json]))
    }

    #[patch("form")]
    fn form(&self, Form(form): Form<Body>) -> String {
        format!("{form:?}")
    }

    #[post("parts")]
    async fn parts(&self, mut parts: Multipart) -> Result<usize, HttpError> {
        let mut bytes = 0;
        while let Some(part) = parts.next().await? {
            bytes += part.bytes().await?.len();
        }
        Ok(bytes)
    }

    #[get("files/{*rest}")]
    fn files(&self, #[param] rest: &str, #[req] req: &RequestContext) -> String {
        format!("{rest} {:?}", req.last_event_id())
    }

    #[sse("stream/{n}")]
    fn stream(&self, #[param] n: u8, #[header("last-event-id")] last: Option<u8>) -> impl Stream<Item = SseEvent> {
        stream! {
            for i in last.unwrap_or(0)..n.min(20) {
                yield SseEvent::json(i).id(i);
            }
        }
    }
}

#[derive(Injectable)]
struct News;

#[controller(prefix = "news")]
impl News {
    #[sse("{topic}")]
    async fn follow(&self, #[param] topic: &str, stream: SseStream) -> Result<SseStream, SseError> {
        stream.join_from(topic, Replay::Last(3)).await?;
        stream.close();
        Ok(stream)
    }

    #[post("{topic}")]
    async fn tell(&self, #[param] topic: &str, text: String, #[inject_sse] sse: SseService) -> Result<(), SseError> {
        sse.publish(topic, SseEvent::text(text)).await?;
        Ok(())
    }
}

#[server(controllers = [Everything, News], body_limit = 4096, sse(enabled = true))]
struct App;

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
});

static SERVICE: LazyLock<HeliosService> =
    LazyLock::new(|| Helios::new(App).into_service().expect("an app"));

/// The most bytes that the head of an error may have, and likewise its body.
const LONGEST_ERROR: usize = 4 * 1024;

fn judge<B: http_body::Body>(response: Response<B>) -> Response<B> {
    let (status, body) = (response.status(), response.body());
    assert!(!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{status} {:?}", response.headers());
    if status.is_client_error() {
        let head: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        assert!(head <= LONGEST_ERROR, "{status} has a head of {head} bytes");
        assert!(length.is_some_and(|length| length <= LONGEST_ERROR), "{status} has a body of {length:?} bytes");
    }
    response
}

async fn answer(bytes: &[u8]) {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
        let answer = SERVICE.clone().oneshot(request);
        async { answer.await.map(judge) }
    });
    let http = auto::Builder::new(TokioExecutor::new());
    let served = async {
        let _ = http.serve_connection(TokioIo::new(server), service).await;
    };
    let talk = async {
        let mut answer = Vec::new();
        let _ = client.write_all(bytes).await;
        let _ = client.shutdown().await;
        let read = client.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    };
    tokio::select! {
        () = talk => {}
        () = async { served.await; std::future::pending().await } => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    RUNTIME.block_on(answer(bytes));
});
