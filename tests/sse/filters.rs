//! Filters decide how a stream ends that fails after its head was sent.

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::http::StreamAnswer;
use helios::prelude::*;
use helios::testing::TestApp;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::journal::Journal;
use support::{TestServer, read_to_end, within};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Returns what the request asks the filters to do.
fn wish(request: &RequestContext) -> &str {
    request.uri().query().unwrap_or_default()
}

/// Decides for streams alone.
#[derive(Injectable)]
struct Decides(Arc<Journal>);

struct Dropped(Journal);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note("filter dropped");
    }
}

impl Filter for Decides {
    type Error = HttpError;

    async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
        Err(error.clone())
    }

    async fn catch_in_stream(
        &self,
        error: &HttpError,
        request: &RequestContext,
    ) -> Result<StreamAnswer, HttpError> {
        self.0.note(format!("filter: {}", error.detail()));
        Ok(match wish(request) {
            "named" => StreamAnswer::Event(SseEvent::text("no more").event("failed")),
            "unnamed" => StreamAnswer::Event(SseEvent::json(json!({ "error": "no more" }))),
            "reserved" => StreamAnswer::Event(SseEvent::text("").event("helios:end")),
            "break" => StreamAnswer::BreakOff,
            "other" => return Err(HttpError::gone("as if it had never been")),
            "secret" => return Err(HttpError::internal("the secret is 42")),
            "panic" => panic!("the secret is 42"),
            _ => {
                let _dropped = Dropped(Journal::clone(&self.0));
                self.0.note("filter waits");
                std::future::pending().await
            }
        })
    }
}

/// Handles requests, and leaves the choice for streams to the default.
#[derive(Injectable)]
struct Answers;

impl Filter for Answers {
    type Error = HttpError;

    async fn catch(
        &self,
        error: &HttpError,
        request: &RequestContext,
    ) -> Result<Response, HttpError> {
        let status = error.status();
        Ok(match wish(request) {
            "json" => (status, Json(json!({ "answered": true }))).into_response(),
            "text" => (status, "two\nlines").into_response(),
            "large" => (status, "x".repeat(2 << 20)).into_response(),
            "binary" => (status, vec![0_u8, 1]).into_response(),
            "empty" => status.into_response(),
            _ => return Err(HttpError::gone("as if it had never been")),
        })
    }
}

#[derive(Injectable)]
struct Failing {
    journal: Arc<Journal>,
}

#[controller(filters = [Answers])]
impl Failing {
    #[sse("decided")]
    #[use_filters(Decides)]
    fn decided(&self) -> impl Stream<Item = Result<&'static str, HttpError>> {
        try_stream! {
            yield "first";
            Err(HttpError::conflict("taken"))?;
        }
    }

    #[sse("panics")]
    #[use_filters(Decides)]
    fn panics(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("first");
            panic!("the secret is 42");
        }
    }

    #[sse("by-default")]
    async fn by_default(&self, stream: SseStream) -> Result<(), HttpError> {
        stream.send("first").await?;
        Err(HttpError::conflict("taken"))
    }

    #[on_sse_error]
    fn failed(&self, client: SseStream, error: &SseError) {
        self.journal.note(format!("hook: {error}"));
        client.try_send("sorry").unwrap();
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(format!("closed: {reason}"));
    }
}

#[server(controllers = [Failing], sse(enabled = true))]
struct App;

fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

/// Returns the event that reports the failure.
async fn told(app: &TestApp, path: &str) -> (String, String) {
    let mut stream = app.sse(path).await.with_deadline(Duration::from_secs(60));
    let events = stream.rest().await;
    let data: Vec<_> = events.iter().map(|event| event.data.as_str()).collect();
    assert_eq!(data[..2], ["first", "sorry"], "{path}");
    assert_eq!(events.len(), 3, "{path}");
    assert!(!stream.broke_off(), "{path}");
    let event = events.into_iter().next_back().unwrap();
    assert!(!event.data.contains("secret"), "{path}");
    (event.event, event.data)
}

fn problem(status: u16) -> impl Fn(&(String, String)) -> bool {
    move |(event, data)| {
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        event == "error" && data["status"] == status
    }
}

#[tokio::test]
async fn a_filter_gives_the_final_event_or_another_error() {
    let (app, journal) = app();
    let app = TestApp::start(app).unwrap();
    let named = told(&app, "/decided?named").await;
    assert_eq!(named, ("failed".to_owned(), "no more".to_owned()));
    journal.wait_for("closed: error").await;
    assert_eq!(
        journal.notes(),
        [
            "hook: 409 Conflict: taken",
            "filter: taken",
            "closed: error"
        ],
        "hooks before filters"
    );
    let unnamed = told(&app, "/decided?unnamed").await;
    assert_eq!(
        unnamed,
        ("message".to_owned(), r#"{"error":"no more"}"#.to_owned())
    );
    assert!(problem(410)(&told(&app, "/decided?other").await));
    assert!(problem(500)(&told(&app, "/decided?secret").await));
    assert_eq!(told(&app, "/panics?unnamed").await.0, "message");
}

#[tokio::test(start_paused = true)]
async fn if_a_filter_fails_the_error_itself_is_sent() {
    let (app, journal) = app();
    let app = TestApp::start(app).unwrap();
    for wish in ["reserved", "panic", "wait"] {
        let (event, data) = told(&app, &format!("/decided?{wish}")).await;
        assert!(problem(409)(&(event, data.clone())), "{wish}");
        assert!(data.contains("taken"), "{wish}");
    }
    assert_eq!(
        journal.count("filter dropped"),
        1,
        "it has no longer than a hook"
    );
}

#[tokio::test]
async fn a_filters_response_to_requests_becomes_an_error_event() {
    let (app, _) = app();
    let app = TestApp::start(app).unwrap();
    for (wish, data) in [("json", r#"{"answered":true}"#), ("text", "two\nlines")] {
        let answer = told(&app, &format!("/by-default?{wish}")).await;
        assert_eq!(answer, ("error".to_owned(), data.to_owned()));
    }
    for (wish, status) in [
        ("large", 409),
        ("binary", 409),
        ("empty", 409),
        ("error", 410),
    ] {
        let answer = told(&app, &format!("/by-default?{wish}")).await;
        assert!(problem(status)(&answer), "{wish}: {answer:?}");
    }
}

#[tokio::test]
async fn a_filter_is_dropped_with_its_client() {
    let (app, journal) = app();
    let app = TestApp::start(app).unwrap();
    let mut stream = app.sse("/decided?wait").await;
    for data in ["first", "sorry"] {
        assert_eq!(stream.next().await.unwrap().data, data);
    }
    tokio::select! {
        _ = stream.next() => panic!("the filter never answers"),
        () = journal.wait_for("filter waits") => {}
    }
    assert_eq!(journal.count("filter dropped"), 0);
    drop(stream);
    assert_eq!(journal.count("filter dropped"), 1);
    journal.wait_for("closed: client_disconnected").await;
}

#[tokio::test]
async fn a_broken_off_stream_has_earlier_events_and_no_end() {
    let (app, journal) = app();
    let app = TestApp::start(app).unwrap();
    let mut stream = app.sse("/decided?break").await;
    let events = stream.rest().await;
    assert_eq!(events.len(), 2);
    assert!(stream.broke_off());
    journal.wait_for("closed: error").await;
}

#[tokio::test]
async fn http_1_breaks_off_without_the_last_chunk() {
    let (app, _) = app();
    let server = TestServer::start(app).await;
    let mut socket = server
        .raw("GET /decided?break HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let text = read_to_end(&mut socket).await;
    assert!(text.ends_with("data: sorry\n\n\r\n"), "{text}");
    let mut socket = server
        .raw("GET /decided?named HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    let text = read_to_end(&mut socket).await;
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn http_1_0_breaks_off_by_resetting_the_connection() {
    let (app, _) = app();
    let server = TestServer::start(app).await;
    for (wish, is_whole) in [("break", false), ("named", true)] {
        let request = format!("GET /decided?{wish} HTTP/1.0\r\n\r\n");
        let mut socket = server.raw(&request).await;
        let read = within(socket.read_to_end(&mut Vec::new())).await;
        assert_eq!(read.is_ok(), is_whole, "{wish}: {read:?}");
    }
}

#[tokio::test]
async fn over_http_2_a_stream_that_breaks_off_is_reset() {
    let (app, _) = app();
    let server = TestServer::start(app).await;
    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    for (wish, is_whole) in [("break", false), ("named", true)] {
        let url = format!("http://{}/decided?{wish}", server.addr);
        let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
        let response = within(client.send_request(request)).await.unwrap();
        let body = within(response.into_body().collect()).await;
        assert_eq!(body.is_ok(), is_whole, "{wish}");
    }
}
