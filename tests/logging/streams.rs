//! The end of each stream is one line of log, for every reason.

use std::time::SystemTime;

use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use helios::prelude::*;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::journal::Journal;
use support::{TestServer, read_to_end, within};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tower::util::MapResponseLayer;
use tracing_subscriber::filter::LevelFilter;

use super::log::Log;

#[derive(Injectable)]
struct Streams {
    journal: Arc<Journal>,
}

#[controller(prefix = "streams")]
impl Streams {
    #[sse("three")]
    fn three(&self) -> impl Stream<Item = String> {
        stream! {
            for n in 0..3 {
                yield n.to_string();
            }
        }
    }

    #[sse("forever")]
    fn forever(&self) -> impl Stream<Item = String> {
        stream! {
            yield "first".to_owned();
            std::future::pending::<()>().await;
        }
    }

    #[sse("flood/{id}")]
    fn flood(&self, #[param] id: u64) -> impl Stream<Item = String> {
        stream! {
            loop {
                yield format!("{id:0>1000}");
            }
        }
    }

    #[sse("fails")]
    fn fails(&self) -> impl Stream<Item = Result<String, HttpError>> {
        try_stream! {
            yield "first".to_owned();
            Err(HttpError::internal("it fell down"))?;
        }
    }

    #[sse("panics")]
    fn panics(&self) -> impl Stream<Item = String> {
        stream! {
            yield "first".to_owned();
            panic!("it fell down");
        }
    }

    #[sse("breaks", plain, restart)]
    fn breaks(&self) -> impl Stream<Item = Result<String, HttpError>> {
        try_stream! {
            yield "first".to_owned();
            Err(HttpError::internal("it fell down"))?;
        }
    }

    #[sse("expires")]
    fn expires(&self) -> SseStream {
        let stream = SseStream::new();
        stream.expire_at(SystemTime::now() + Duration::from_millis(50));
        stream
    }

    #[sse("topic")]
    async fn topic(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
        sse.subscribe(["tea"]).await
    }

    #[sse("closes")]
    async fn closes(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send("first").await?;
        stream.close();
        Ok(())
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
    }
}

#[server(controllers = [Streams], sse(enabled = true))]
struct App;

fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(App).provide(journal.clone()), journal)
}

/// An app that soon gives up on clients that do not read.
fn hasty() -> (Helios, Journal) {
    let (app, journal) = app();
    let app = app.sse_options(|sse| {
        sse.stuck_after = Duration::from_millis(200);
        sse.keep_alive = Some(Duration::from_millis(100));
    });
    (app, journal)
}

/// Waits for the line, checks its route and reason, and returns its bytes.
async fn ended(log: &Log, route: &str, reason: &str) -> u64 {
    let line = log.line("stream closed").await;
    let route = format!("route=\"/streams/{route}\"");
    for part in [&*route, "method=GET", " client=", " duration_ms="] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(line.contains(&format!(" reason={reason} ")), "{line}");
    let (_, bytes) = line.split_once(" bytes=").unwrap();
    bytes.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_finished_stream_is_logged_with_its_bytes() {
    let log = Log::start();
    let server = TestServer::start(app().0).await;
    let request = "GET /streams/three HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let text = read_to_end(&mut server.raw(request).await).await;
    assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
    assert_eq!(ended(&log, "three", "completed").await, text.len() as u64);
    assert!(
        log.lines("stream opened").is_empty(),
        "that is for debugging"
    );
}

#[tokio::test]
async fn every_reason_is_one_line() {
    for (path, reason) in [
        ("closes", "server_closed"),
        ("fails", "error"),
        ("panics", "error"),
        ("breaks", "error"),
        ("expires", "credential_expired"),
    ] {
        let log = Log::start();
        let server = TestServer::start(app().0).await;
        let mut client = server.sse(&format!("/streams/{path}")).await;
        let _ = client.finish().await;
        assert!(ended(&log, path, reason).await > 0, "{path}");
    }
}

#[tokio::test]
async fn ends_by_topic_and_by_age_are_logged() {
    let log = Log::start();
    let server = TestServer::start(app().0).await;
    let client = server.sse("/streams/topic").await;
    server.wait_for_connections(1).await;
    server.sse.finish("tea").await.unwrap();
    ended(&log, "topic", "completed").await;
    drop((log, client, server));

    let log = Log::start();
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.max_age = Some(Duration::from_millis(100)));
    let server = TestServer::start(app).await;
    let _client = server.sse("/streams/forever").await;
    ended(&log, "forever", "max_age").await;
}

#[tokio::test]
async fn a_client_that_goes_away_or_resets_is_told() {
    for path in ["forever", "flood/7"] {
        let log = Log::start();
        let server = TestServer::start(app().0).await;
        let request = format!("GET /streams/{path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut client = server.raw(&request).await;
        within(client.read_u8()).await.unwrap();
        // Closing a socket with unread data sends a reset.
        drop(client);
        let route = path.replace('7', "{id}");
        assert!(ended(&log, &route, "client_disconnected").await > 0);
    }
}

#[tokio::test]
async fn an_unread_stream_that_is_cut_is_logged() {
    let log = Log::start();
    let (app, journal) = hasty();
    let server = TestServer::start(app).await;
    let _unread = server
        .raw("GET /streams/flood/7 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    journal.wait_for("slow_client").await;
    assert!(ended(&log, "flood/{id}", "slow_client").await > 16 * 1024);
    drop((log, server));

    let log = Log::start();
    let (app, journal) = hasty();
    let server = TestServer::start(app).await;
    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{}/streams/flood/7", server.addr));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let _unread = within(client.send_request(request)).await.unwrap();
    journal.wait_for("slow_client").await;
    assert!(ended(&log, "flood/{id}", "slow_client").await > 16 * 1024);
}

#[tokio::test]
async fn in_another_server_a_stream_is_logged_when_dropped() {
    let log = Log::start();
    let (app, journal) = hasty();
    let service = app.into_service().unwrap();
    let request = Request::get("/streams/flood/7");
    let request = request.body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(service, request).await.unwrap();
    let mut body = response.into_body();
    within(http_body_util::BodyExt::frame(&mut body)).await;
    // Nobody polls it any more.
    journal.wait_for("slow_client").await;
    drop(body);
    ended(&log, "flood/{id}", "slow_client").await;
}

#[tokio::test]
async fn a_stream_that_a_shutdown_ends_or_cuts_is_told() {
    for path in ["forever", "flood/7"] {
        let log = Log::start();
        let (app, _) = app();
        let server = TestServer::start(app.drain_deadline(Duration::from_millis(300))).await;
        let request = format!("GET /streams/{path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let _unread = server.raw(&request).await;
        server.wait_for_connections(1).await;
        server.stop().await.unwrap();
        ended(&log, &path.replace('7', "{id}"), "shutdown").await;
    }
}

#[tokio::test]
async fn a_stream_behind_a_layer_counts_what_its_body_gave() {
    let log = Log::start();
    let layer = MapResponseLayer::new(|response: Response| response);
    let server = TestServer::start(app().0.layer(layer)).await;
    let mut client = server.sse("/streams/three").await;
    client.finish().await.unwrap();
    let bytes = ended(&log, "three", "completed").await;
    assert_eq!(bytes, client.text().len() as u64);
}

#[tokio::test]
async fn the_opening_of_a_stream_is_told_to_whoever_debugs() {
    let log = Log::at(LevelFilter::DEBUG);
    let server = TestServer::start(app().0).await;
    let _client = server.sse("/streams/forever").await;
    let line = log.line("stream opened").await;
    assert!(line.contains("DEBUG"), "{line}");
}
