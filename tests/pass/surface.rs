//! Everything that can be written, without a warning.
#![deny(warnings)]
#![warn(rust_2018_idioms, unused_qualifications, single_use_lifetimes)]

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use helios::prelude::*;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};

trait Mailer: Send + Sync {
    fn send(&self, text: &str);
}

#[derive(Injectable)]
struct Clock;

#[derive(Injectable)]
struct Counter {
    clock: Arc<Clock>,
    #[inject(default)]
    calls: AtomicU64,
}

#[derive(Injectable)]
#[inject(on_start = connect, on_stop = Self::flush)]
struct Queue {
    clock: Arc<Clock>,
}

impl Queue {
    async fn connect(&self) -> Result<(), std::io::Error> {
        let _ = &self.clock;
        Ok(())
    }

    fn flush(&self) {}
}

#[derive(Debug, thiserror::Error, HttpError)]
enum QueueError {
    #[error("full at {0}")]
    #[http(status = 409, title = "The queue is full")]
    Full(usize),
    #[error(transparent)]
    #[http(transparent)]
    Other(#[from] HttpError),
}

#[derive(Injectable)]
struct Jobs(Arc<Queue>);

#[controller(prefix = "jobs")]
impl Jobs {
    #[post]
    fn add(
        &self,
        #[cookie] session: Option<String>,
        #[cookie("lang", default = "en")] lang: &str,
        #[body(unvalidated)] job: Draft,
    ) -> Result<(), QueueError> {
        let _ = (&self.0, session, lang, job.title);
        Err(QueueError::Full(7))
    }

    #[sse]
    async fn live(&self, stream: SseStream) {
        stream.close();
    }

    #[on_sse_connection]
    fn opened(&self, #[inject] queue: Arc<Queue>) -> Result<(), QueueError> {
        let _ = queue;
        Ok(())
    }

    #[on_sse_snapshot]
    async fn snapshot(&self, snapshot: &SseSnapshot, client: SseStream) -> Result<(), SseError> {
        client.send(format!("{:?}", snapshot.topics)).await
    }
}

#[derive(Injectable)]
struct AuthGuard(Arc<Counter>);

impl Guard for AuthGuard {
    async fn check(&self, _request: &mut RequestContext) -> Result<(), HttpError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Id(u64);

#[derive(Deserialize)]
struct Draft {
    title: String,
}

#[derive(Serialize)]
struct Post {
    title: String,
}

#[derive(Injectable)]
struct Posts {
    counter: Arc<Counter>,
    mailer: Arc<dyn Mailer>,
    sse: SseService,
}

fn wrapped(
    data: serde_json::Value,
    _request: &RequestContext,
    _response: &mut ResponseHead,
) -> serde_json::Value {
    data
}

/// A controller.
#[controller(
    prefix = "posts/{blog}",
    controllers = [Comments],
    guards = [AuthGuard],
    interceptor = |data, _req, _res| json!({ "data": data }),
    interceptors = [|data, req, res| {
        res.set_status(StatusCode::OK);
        json!({ "path": req.uri().path(), "data": data })
    }, |data, req, res| wrapped(data, req, res)],
)]
impl Posts {
    const PAGE: usize = 20;

    /// A helper method, which is not a route.
    fn page(&self, size: usize) -> usize {
        size.min(Self::PAGE)
    }

    #[get]
    fn list(
        &self,
        #[query(default = 20)] size: usize,
        #[query("tag")] tags: Vec<String>,
    ) -> String {
        format!("{} {}", self.page(size), tags.len())
    }

    /// Documented, with every kind of argument.
    #[get("{id}")]
    #[header("Cache-Control", "no-store")]
    #[use_guards(AuthGuard)]
    #[use_interceptors(|data, _, _| data)]
    #[allow(clippy::too_many_arguments)]
    async fn find(
        &self,
        #[param] blog: &str,
        #[param("id")] Id(id): Id,
        #[header] user_agent: Option<String>,
        #[header("x-lang", default = "en")] lang: &str,
        #[query] words: &[String],
        #[inject] mailer: Arc<dyn Mailer>,
        #[inject] counter: &Arc<Counter>,
        #[inject_sse] sse: SseService,
        #[req] req: &RequestContext,
        #[res] res: &mut ResponseHead,
        headers: &HeaderMap,
    ) -> Result<Post, HttpError> {
        let _ = (
            user_agent,
            words,
            sse,
            req.uri(),
            headers.get(header::ACCEPT),
            counter,
        );
        mailer.send(lang);
        res.set_status(StatusCode::ACCEPTED);
        Ok(Post {
            title: format!("{blog} {id}"),
        })
    }

    #[post]
    #[http_code(201)]
    async fn create(&self, #[body] draft: Draft) -> Post {
        Post { title: draft.title }
    }

    #[put("{id}")]
    async fn replace(&self, #[param] id: u64, mut headers: HeaderMap, body: Bytes) -> Option<Post> {
        headers.clear();
        (id > 0 && !body.is_empty()).then(|| Post {
            title: self.counter.clock.to_string(),
        })
    }

    #[delete("{id}")]
    #[deprecated]
    async fn remove(&self, #[param] id: u64) -> StatusCode {
        match id {
            0 => StatusCode::NOT_FOUND,
            _ => StatusCode::NO_CONTENT,
        }
    }

    #[any("files/{*rest}")]
    fn files<'a>(&'a self, #[param] rest: Cow<'a, str>, #[req] req: &'a RequestContext) -> &'a str {
        let _ = rest;
        req.route()
    }

    #[sse("updates")]
    fn updates(
        &self,
        #[header("Last-Event-ID")] last: Option<u64>,
    ) -> impl Stream<Item = SseEvent> {
        stream! {
            for i in last.map_or(0, |n| n.saturating_add(1))..10 {
                yield SseEvent::json(json!({ "count": i })).id(i);
            }
        }
    }

    #[sse("borrowed/{id}")]
    fn borrowed(
        &self,
        #[param] id: &str,
        #[req] req: &RequestContext,
    ) -> Result<impl Stream<Item = Result<String, HttpError>>, HttpError> {
        Ok(try_stream! {
            yield format!("{id} {} {}", req.route(), self.page(1));
        })
    }

    #[sse("ask", method = "POST", restart)]
    #[use_guards(AuthGuard)]
    async fn ask(
        &self,
        #[body] draft: Draft,
        #[res] res: &mut ResponseHead,
        stream: SseStream,
    ) -> Result<(), HttpError> {
        res.set_header(header::ETAG, header::HeaderValue::from_static("x"));
        stream.send(SseEvent::text(draft.title)).await?;
        Ok(())
    }

    #[sse("time")]
    fn time(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("subscribe")]
    async fn subscribe(&self) -> Result<SseStream, HttpError> {
        Ok(self.sse.create_connection())
    }

    #[on_sse_connection]
    async fn opened(
        &self,
        client: SseStream,
        #[param] blog: String,
        #[inject] mailer: Arc<dyn Mailer>,
        #[req] req: &RequestContext,
    ) -> Result<(), HttpError> {
        mailer.send(&format!("{blog} {} {}", client.id(), req.uri()));
        Ok(())
    }

    #[on_sse_error]
    fn failed(&self, client: SseStream, error: &SseError) {
        self.mailer.send(&format!("{} {error}", client.id()));
    }

    #[on_sse_reset]
    async fn missed(&self, client: SseStream, reset: &SseReset) -> Result<(), SseError> {
        client.send(format!("{:?} missed", reset.topics)).await
    }

    #[on_sse_close]
    async fn closed(&self, reason: CloseReason) {
        self.mailer.send(reason.as_str());
    }
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("now")
    }
}

#[derive(Injectable)]
struct Comments;

#[controller(prefix = "comments")]
impl Comments {
    #[get]
    fn list(&self, #[param(outer)] blog: String) -> Json<Vec<String>> {
        Json(vec![blog])
    }
}

#[server(
    controllers = [Jobs, Posts],
    guards = [AuthGuard],
    interceptor = |data, _, _| data,
    host = "127.0.0.1",
    port = 0,
    sse(enabled = true, keep_alive = "15s", retry = "500ms", welcome = true, control_prefix = "app:"),
)]
struct App;

#[derive(SseEvents)]
#[sse(rename_all = "snake_case")]
enum Progress {
    JobStarted,
    Step {
        done: u32,
        of: u32,
    },
    Pair(u32, String),
    #[sse(rename = "finish")]
    Done(Post),
}

fn main() {
    let _ = Helios::new(App);
    let names = [
        (Progress::JobStarted, "job_started", "null"),
        (
            Progress::Step { done: 1, of: 2 },
            "step",
            r#"{"done":1,"of":2}"#,
        ),
        (Progress::Pair(1, "a".into()), "pair", r#"[1,"a"]"#),
        (
            Progress::Done(Post { title: "x".into() }),
            "finish",
            r#"{"title":"x"}"#,
        ),
    ];
    for (progress, name, data) in names {
        let event = progress.into_sse_event();
        assert_eq!((event.name(), event.data()), (Some(name), Some(data)));
    }
}
