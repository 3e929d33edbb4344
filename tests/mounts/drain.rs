//! The responses of a mounted service at shutdown.

use std::convert::Infallible;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::prelude::*;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::journal::Journal;
use support::{TestServer, read_to_end, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

#[server(controllers = [], sse(enabled = true))]
struct App;

/// Sends what the test passes in, as the type that the path names. At `/late` it holds the head back.
fn relay(journal: &Journal) -> (UnboundedSender<&'static str>, axum::Router) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let route = |kind: &'static str, encoding: Option<&'static str>| {
        let receiver = Arc::clone(&receiver);
        axum::routing::any(async move || body(receiver.lock_owned().await, kind, encoding))
    };
    let (late, journal) = (Arc::clone(&receiver), journal.clone());
    let late = axum::routing::any(async move || {
        let mut receiver = late.lock_owned().await;
        journal.note("asked");
        receiver.recv().await.unwrap()
    });
    let router = axum::Router::new()
        .route("/events", route("text/event-stream; charset=utf-8", None))
        .route("/gzip", route("text/event-stream", Some("gzip")))
        .route("/download", route("application/octet-stream", None))
        .route("/late", late);
    (sender, router)
}

fn body(
    mut receiver: tokio::sync::OwnedMutexGuard<UnboundedReceiver<&'static str>>,
    kind: &'static str,
    encoding: Option<&'static str>,
) -> Response {
    let frames = stream! {
        while let Some(text) = receiver.recv().await {
            yield Ok::<_, Infallible>(Frame::data(Bytes::from_static(text.as_bytes())));
        }
    };
    let mut response = Response::new(Body::new(StreamBody::new(Box::pin(frames))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Returns a server with a drain deadline of an hour, and the sender.
async fn server(finish_within: Duration) -> (TestServer, UnboundedSender<&'static str>) {
    let (server, sender, _) = server_with_journal(finish_within).await;
    (server, sender)
}

async fn server_with_journal(
    finish_within: Duration,
) -> (TestServer, UnboundedSender<&'static str>, Journal) {
    let journal = Journal::default();
    let (sender, router) = relay(&journal);
    let app = Helios::new(App)
        .mount("/m", router)
        .drain_deadline(Duration::from_secs(3600))
        .sse_options(move |sse| sse.finish_within = Some(finish_within));
    (TestServer::start(app).await, sender, journal)
}

const LONG: Duration = Duration::from_secs(1800);
const SHORT: Duration = Duration::from_millis(50);

async fn open(server: &TestServer, request: &str) -> TcpStream {
    server.raw(&format!("{request}\r\nhost: x\r\n\r\n")).await
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    while !seen.ends_with(end) {
        let byte = within(stream.read_u8()).await.unwrap();
        seen.push(char::from(byte));
    }
    seen
}

#[tokio::test]
async fn an_idle_event_stream_ends_whole_without_delay() {
    for last in ["data: a\n\n", ": here\n", "retry: 5\n", "data: a\r\n\r\n"] {
        let (server, sender) = server(LONG).await;
        let mut stream = open(&server, "GET /m/events HTTP/1.1").await;
        sender.send(last).unwrap();
        read_until(&mut stream, &format!("{last}\r\n")).await;
        server.stop().await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "0\r\n\r\n");
    }
}

#[tokio::test]
async fn a_busy_event_stream_ends_after_a_whole_event() {
    let endless = tower::service_fn(async |_: Request<Body>| {
        let frames = stream! {
            loop {
                for part in ["id: 1\n", "data: a", "b\n", "\n"] {
                    yield Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes())));
                    tokio::task::yield_now().await;
                }
            }
        };
        let body = Body::new(StreamBody::new(Box::pin(frames)));
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        Ok::<_, Infallible>((kind, body).into_response())
    });
    let app = Helios::new(App).mount("/m", endless);
    let app = app.drain_deadline(Duration::from_secs(3600));
    let server = TestServer::start(app).await;
    let mut stream = open(&server, "GET /m HTTP/1.0").await;
    read_until(&mut stream, "\r\n\r\n").await;
    let (text, stopped) = tokio::join!(read_to_end(&mut stream), server.stop());
    stopped.unwrap();
    assert!(
        text.ends_with("data: ab\n\n"),
        "{}",
        &text[text.len() - 40..]
    );
}

#[tokio::test]
async fn an_event_that_has_begun_is_sent_to_its_end() {
    let (server, sender) = server(LONG).await;
    let mut stream = open(&server, "GET /m/events HTTP/1.1").await;
    sender.send("data: a\n\ndata: half").unwrap();
    read_until(&mut stream, "half\r\n").await;
    let addr = server.addr;
    let rest = async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
        sender.send(" and half\n").unwrap();
        sender.send("\n").unwrap();
        let _ = sender.send("data: too late\n\n");
        read_to_end(&mut stream).await
    };
    let (text, stopped) = tokio::join!(rest, server.stop());
    stopped.unwrap();
    assert_eq!(text, "a\r\n and half\n\r\n1\r\n\n\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_event_that_never_ends_breaks_off() {
    let (server, sender) = server(SHORT).await;
    let mut stream = open(&server, "GET /m/events HTTP/1.1").await;
    sender.send("data: half").unwrap();
    read_until(&mut stream, "half\r\n").await;
    // It ends the connection without a last chunk.
    within(server.stop()).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_compressed_event_stream_breaks_off_when_it_is_silent() {
    let (server, sender) = server(LONG).await;
    let mut stream = open(&server, "GET /m/gzip HTTP/1.1").await;
    sender.send("compressed").unwrap();
    read_until(&mut stream, "compressed\r\n").await;
    server.stop().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn other_responses_may_finish_including_event_streams_by_post() {
    for request in [
        "GET /m/download HTTP/1.1",
        "POST /m/events HTTP/1.1\r\ncontent-length: 0",
    ] {
        let (server, sender) = server(LONG).await;
        let mut stream = open(&server, request).await;
        sender.send("data: a\n\n").unwrap();
        read_until(&mut stream, "a\n\n\r\n").await;
        let addr = server.addr;
        let rest = async {
            while TcpStream::connect(addr).await.is_ok() {
                tokio::task::yield_now().await;
            }
            sender.send("data: b\n\n").unwrap();
            drop(sender);
            read_to_end(&mut stream).await
        };
        let (text, stopped) = tokio::join!(rest, server.stop());
        stopped.unwrap();
        assert_eq!(text, "9\r\ndata: b\n\n\r\n0\r\n\r\n", "{request}");
    }
}

#[tokio::test]
async fn unfinished_responses_break_off_in_every_http_version() {
    let (server, sender) = server(SHORT).await;
    let mut stream = open(&server, "GET /m/download HTTP/1.1").await;
    sender.send("part").unwrap();
    read_until(&mut stream, "part\r\n").await;
    server.stop().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "", "no last chunk");

    let (server, sender) = self::server(SHORT).await;
    let mut stream = open(&server, "GET /m/download HTTP/1.0").await;
    sender.send("part").unwrap();
    read_until(&mut stream, "part").await;
    server.stop().await.unwrap();
    let end = within(stream.read_u8()).await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);

    let (server, sender) = self::server(SHORT).await;
    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let url = format!("http://{}/m/download", server.addr);
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    let mut answer = within(client.send_request(request)).await.unwrap();
    sender.send("part").unwrap();
    let part = within(answer.frame()).await.unwrap().unwrap();
    assert_eq!(part.into_data().unwrap(), "part");
    let (end, stopped) = tokio::join!(within(answer.frame()), server.stop());
    stopped.unwrap();
    assert!(end.unwrap().is_err(), "the stream was reset");
}

#[tokio::test]
async fn a_request_that_waits_for_its_head_may_finish_too() {
    let (server, sender, journal) = server_with_journal(LONG).await;
    let mut stream = open(&server, "GET /m/late HTTP/1.1").await;
    let addr = server.addr;
    journal.wait_for("asked").await;
    let rest = async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
        sender.send("late, but here").unwrap();
        read_to_end(&mut stream).await
    };
    let (text, stopped) = tokio::join!(rest, server.stop());
    stopped.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.ends_with("late, but here"), "{text}");
}

#[tokio::test]
async fn a_request_that_has_no_head_in_time_is_503() {
    let (server, _sender, journal) = server_with_journal(SHORT).await;
    let mut stream = open(&server, "GET /m/late HTTP/1.1").await;
    journal.wait_for("asked").await;
    let (text, stopped) = tokio::join!(read_to_end(&mut stream), server.stop());
    stopped.unwrap();
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert!(text.contains(r#""status":503"#), "{text}");
}

#[tokio::test]
async fn an_app_inside_another_server_drains_its_mounts_too() {
    let (sender, router) = relay(&Journal::default());
    let app = Helios::new(App).mount("/m", router);
    let service = app.into_service().unwrap();
    let outer = axum::Router::new().fallback_service(service.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, outer).await });
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = "GET /m/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    sender.send("data: a\n\n").unwrap();
    read_until(&mut stream, "a\n\n\r\n").await;
    within(service.shutdown(Duration::from_secs(3600))).await;
    assert_eq!(read_to_end(&mut stream).await, "0\r\n\r\n");
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_a_drain_waits_longer_for_responses() {
    let slow = tower::service_fn(async |_: Request<Body>| {
        let frames = stream! {
            yield Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"part")));
            sleep(Duration::from_secs(15)).await;
            yield Ok(Frame::data(Bytes::from_static(b"rest")));
        };
        Ok::<_, Infallible>(Response::new(Body::new(StreamBody::new(Box::pin(frames)))))
    });
    let server = TestServer::start(Helios::new(App).mount("/m", slow)).await;
    let mut stream = open(&server, "GET /m HTTP/1.1").await;
    read_until(&mut stream, "part\r\n").await;
    let (rest, stopped) = tokio::join!(read_to_end(&mut stream), server.stop());
    stopped.unwrap();
    assert_eq!(rest, "4\r\nrest\r\n0\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn an_unread_event_stream_does_not_prolong_a_drain() {
    let endless = tower::service_fn(async |_: Request<Body>| {
        let event = Bytes::from(format!("data: {}\n\n", "x".repeat(100_000)));
        let frames = stream! {
            loop {
                yield Ok::<_, Infallible>(Frame::data(event.clone()));
            }
        };
        let body = Body::new(StreamBody::new(Box::pin(frames)));
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        Ok::<_, Infallible>((kind, body).into_response())
    });
    let server = TestServer::start(Helios::new(App).mount("/m", endless)).await;
    let mut stream = open(&server, "GET /m HTTP/1.1").await;
    read_until(&mut stream, "\r\n\r\n").await;
    // The client does not read, and is cut within 20 s, although `finish_within` is 25 s.
    server.stop().await.unwrap();
}
