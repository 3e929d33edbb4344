//! The server for all clients. It is a process of its own, which can be killed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use helios::sse::HistoryLimits;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use tower_http::cors::CorsLayer;
use tower_http::services::ServeDir;

use super::kit::TYPESCRIPT;

/// The environment variable with the origin of pages that may read the streams if they send the cookie. Without it the
/// server requires no cookie, and pages of other origins cannot read.
pub(crate) const ORIGIN: &str = "ORIGIN_OF_THE_PAGE";
/// The cookie that a page of another origin has to send.
pub(crate) const COOKIE: (&str, &str) = ("session", "ann");
/// How long clients wait before they reconnect, by default.
const RETRY: Duration = Duration::from_millis(200);

/// Serves until it is killed.
pub(crate) async fn serve() -> Result<(), helios::Error> {
    let origin = std::env::var(ORIGIN).ok();
    let state = Arc::new(State {
        guarded: origin.is_some(),
        ..State::default()
    });
    let full = Arc::clone(&state);
    let app = Helios::new(Site).provide_as(state).mount("/kit", kit());
    let app = app.sse_options(|sse| {
        sse.retry = RETRY;
        sse.backlog.events = 16; // young events are kept for their readers, up to this number
        let events = 4;
        sse.keep_topic(
            "brief",
            HistoryLimits {
                events,
                ..sse.history
            },
        );
        sse.connections.per_user = Some(0);
        sse.connections.user = Some(Arc::new(move |_| full.user()));
        sse.connections.retry = RETRY;
    });
    let Some(origin) = origin else {
        return app.listen().await;
    };
    let origin: HeaderValue = origin.parse().expect("an origin");
    let cors = CorsLayer::new().allow_origin(origin);
    let cors = cors
        .allow_headers([HeaderName::from_static("last-event-id"), CONTENT_TYPE])
        .expose_headers([HeaderName::from_static("helios-position"), RETRY_AFTER]);
    app.layer(cors.allow_credentials(true)).listen().await
}

#[server(controllers = [Streams, Control], port = 0, sse(enabled = true))]
struct Site;

#[derive(Default)]
struct State {
    /// Whether a cookie is required.
    guarded: bool,
    /// Whether the server refuses all new streams.
    full: AtomicBool,
    /// The newest number that was published.
    newest: AtomicU64,
}

impl State {
    fn user(&self) -> Option<String> {
        let full = self.full.load(Ordering::Relaxed);
        full.then(|| "one too many".to_owned())
    }
}

impl Guard for State {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        let (name, value) = COOKIE;
        if self.guarded && request.cookie(name).as_deref() != Some(value) {
            return Err(HttpError::unauthorized("a page brings its cookie"));
        }
        Ok(())
    }
}

/// Prints each request for a stream, in one line of JSON.
#[derive(Injectable)]
struct Log;

impl Interceptor for Log {
    async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
        let last_event_id = request.last_event_id();
        let came = now();
        let reply = next.run(request).await?;
        let status = reply.status().as_u16();
        let told = json!({ "last_event_id": last_event_id, "came": came, "status": status });
        println!("{told}");
        Ok(reply)
    }
}

/// Returns the time in milliseconds.
fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed();
    since.expect("a clock").as_millis() as u64
}

#[derive(Injectable)]
struct Streams {
    sse: SseService,
    state: Arc<State>,
}

#[controller(prefix = "streams", guards = [State], interceptors = [Log])]
impl Streams {
    #[sse("topics/{topic}")]
    async fn topic(&self, #[param] topic: String) -> Result<SseStream, SseError> {
        self.sse.subscribe([topic]).await
    }

    #[on_sse_reset]
    async fn missed(&self, client: SseStream) -> Result<(), SseError> {
        let newest = self.state.newest.load(Ordering::Relaxed);
        client.send(SseEvent::json(newest).event("snapshot")).await
    }

    #[sse("plain/{topic}", method = "POST")]
    async fn plain(
        &self,
        #[param] topic: String,
        #[body] text: String,
    ) -> Result<SseStream, HttpError> {
        match &*text {
            "a body" => Ok(self.sse.subscribe([topic]).await?),
            _ => Err(HttpError::bad_request("another body")),
        }
    }

    /// Sends an event without an id first on every connection.
    #[sse("greeted")]
    fn greeted(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("hello");
            yield SseEvent::json(0).event("count").id(0);
            std::future::pending::<()>().await;
        }
    }

    /// Holds the first connection at `hold` until its server is killed, so that a slow client cannot see the end
    /// before.
    #[sse("count/{end}")]
    fn count(
        &self,
        #[param] end: u64,
        #[query] hold: Option<u64>,
        #[header("last-event-id")] last: Option<u64>,
    ) -> impl Stream<Item = SseEvent> {
        stream! {
            for n in last.map_or(0, |n| n.saturating_add(1))..end {
                if last.is_none() && hold == Some(n) {
                    std::future::pending::<()>().await;
                }
                yield SseEvent::json(n).event("count").id(n);
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[derive(Injectable)]
struct Control {
    sse: SseService,
    state: Arc<State>,
}

#[controller(prefix = "control")]
impl Control {
    /// Returns a page of the same origin.
    #[get("page")]
    fn page(&self) -> Response {
        page().into_response()
    }

    /// Publishes these numbers and returns their ids.
    #[post("publish/{topic}/{first}/{last}")]
    async fn publish(
        &self,
        #[param] topic: String,
        #[param] first: u64,
        #[param] last: u64,
    ) -> Result<Vec<String>, SseError> {
        let mut ids = Vec::new();
        for n in first..=last {
            self.state.newest.fetch_max(n, Ordering::Relaxed);
            let event = SseEvent::json(n).event("news");
            ids.push(self.sse.publish(&topic, event).await?.to_string());
        }
        Ok(ids)
    }

    #[post("finish/{topic}")]
    async fn finish(&self, #[param] topic: String) -> Result<(), SseError> {
        self.sse.finish(&topic).await.map(drop)
    }

    /// Makes all clients reconnect after some milliseconds, and returns the time.
    #[post("reconnect/{after}")]
    fn reconnect(&self, #[param] after: u64) -> Json<u64> {
        let sent_away = now();
        for client in self.sse.clients() {
            client.reconnect_after(Duration::from_millis(after));
        }
        Json(sent_away)
    }

    #[post("full/{full}")]
    fn full(&self, #[param] full: bool) {
        self.state.full.store(full, Ordering::Relaxed);
    }
}

/// Serves the modules that a page can import.
pub(crate) fn kit() -> ServeDir {
    ServeDir::new(TYPESCRIPT.folder())
}

/// Returns the page for the browsers.
pub(crate) fn page() -> impl IntoResponse {
    let html = [("content-type", "text/html")];
    (html, include_str!("page.html"))
}
