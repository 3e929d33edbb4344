//! Streams as bytes on a socket, and the connection around them.

use std::convert::Infallible;
use std::sync::Mutex;

use axum_core::body::Body;
use bytes::Bytes;
use helios::prelude::*;
use http::{Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tower::util::MapResponseLayer;

use support::journal::Journal;
use support::{TestServer, eventually, read_to_end, within};

#[derive(Injectable)]
struct Wire {
    journal: Arc<Journal>,
}

#[controller(prefix = "wire")]
impl Wire {
    #[sse("count/{count}")]
    fn count(&self, #[param] count: u64) -> impl Stream<Item = String> {
        stream! {
            for n in 0..count {
                yield n.to_string();
            }
        }
    }

    #[sse("large/{count}")]
    fn large(&self, #[param] count: usize) -> impl Stream<Item = String> {
        stream! {
            for n in 0..count {
                yield n.to_string().repeat(100_000);
            }
        }
    }

    #[sse("open")]
    fn open(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("posted", method = "POST")]
    fn posted(&self, #[body] text: String) -> impl Stream<Item = String> {
        stream! { yield text; }
    }

    /// Responds without reading the body.
    #[sse("unread", method = "POST")]
    fn unread(&self) -> impl Stream<Item = String> {
        stream! { yield "not read".to_owned(); }
    }

    #[get("plain")]
    fn plain(&self) -> &'static str {
        "plain"
    }

    #[get("big")]
    fn big(&self) -> String {
        "b".repeat(BIG)
    }

    #[on_sse_close]
    async fn closed(&self, reason: CloseReason) {
        self.journal.note(format!("closed: {reason}"));
    }
}

/// More than any socket holds.
const BIG: usize = 16 << 20;

#[server(controllers = [Wire], sse(enabled = true))]
struct WireApp;

fn app() -> (Helios, Journal) {
    let journal = Journal::default();
    (Helios::new(WireApp).provide(journal.clone()), journal)
}

async fn server() -> (TestServer, Journal) {
    let (app, journal) = app();
    (TestServer::start(app).await, journal)
}

fn get(path: &str, headers: &str) -> String {
    format!("GET /wire/{path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
}

/// A response head, which tells how its body is framed.
#[derive(Debug)]
struct Head(Vec<String>);

impl Head {
    fn has(&self, line: &str) -> bool {
        self.0.iter().any(|own| own == line)
    }
}

/// Reads up to the empty line that ends it.
async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> Head {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(within(stream.read_u8()).await.unwrap());
    }
    let text = String::from_utf8(text).unwrap();
    Head(text.trim_end().split("\r\n").map(str::to_owned).collect())
}

async fn line(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n") {
        text.push(within(stream.read_u8()).await.unwrap());
    }
    text.truncate(text.len() - 2);
    String::from_utf8(text).unwrap()
}

/// Reads the next chunk, exactly as RFC 9112, section 7.1 defines it. The last one is empty.
async fn chunk(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let size = line(stream).await;
    let mut data = vec![0; usize::from_str_radix(&size, 16).unwrap()];
    within(stream.read_exact(&mut data)).await.unwrap();
    assert_eq!(line(stream).await, "");
    String::from_utf8(data).unwrap()
}

/// Reads all chunks and joins them.
async fn body(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut text = String::new();
    loop {
        match chunk(stream).await {
            last if last.is_empty() => return text,
            more => text += &more,
        }
    }
}

async fn send(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn assert_plain(stream: &mut (impl AsyncReadExt + Unpin)) {
    assert!(head(stream).await.has("content-length: 5"));
    let mut plain = [0; 5];
    within(stream.read_exact(&mut plain)).await.unwrap();
    assert_eq!(&plain, b"plain");
}

/// Checks that the server closes the connection without sending more.
async fn assert_over(stream: &mut TcpStream) {
    assert_eq!(read_to_end(stream).await, "");
}

#[tokio::test]
async fn a_stream_is_chunks_after_the_usual_response_head() {
    let (server, _) = server().await;
    let mut stream = server.raw(&get("count/2", "")).await;
    let head = head(&mut stream).await;
    assert_eq!(head.0[0], "HTTP/1.1 200 OK");
    let date = head.0.iter().find(|line| line.starts_with("date: "));
    assert!(date.is_some_and(|date| date.ends_with(" GMT")), "{head:?}");
    for line in [
        "content-type: text/event-stream",
        "cache-control: no-cache, no-transform",
        "x-accel-buffering: no",
        "connection: keep-alive",
        "transfer-encoding: chunked",
    ] {
        assert!(head.has(line), "{line} in {head:?}");
    }
    assert_eq!(head.0.len(), 7, "{head:?}");
    let text = body(&mut stream).await;
    assert!(text.starts_with(":\nretry: 3000\n"), "{text}");
    assert!(text.contains("data: 0\n\ndata: 1\n\n"), "{text}");
    assert!(text.contains("event: helios:end\n"), "{text}");
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_there() {
    let (server, _) = server().await;
    let mut stream = server.raw(&get("open", "")).await;
    head(&mut stream).await;
    assert!(chunk(&mut stream).await.starts_with(":\n"));
    server.wait_for_connections(1).await;
    for n in 0..3 {
        server.sse.broadcast(format!("event {n}")).await.unwrap();
        let text = chunk(&mut stream).await;
        assert!(text.contains(&format!("data: event {n}\n\n")), "{text}");
    }
}

#[tokio::test]
async fn a_connection_lives_on_when_its_stream_is_over() {
    let (server, journal) = server().await;
    let mut stream = server.raw(&get("count/1", "")).await;
    for _ in 0..3 {
        head(&mut stream).await;
        assert!(body(&mut stream).await.contains("data: 0\n"));
        send(&mut stream, &get("plain", "")).await;
        assert_plain(&mut stream).await;
        send(&mut stream, &get("count/1", "")).await;
    }
    assert!(journal.count("closed: completed") >= 3);
}

#[tokio::test]
async fn a_request_during_a_stream_is_answered_after_it() {
    let (server, journal) = server().await;
    let mut stream = server.raw(&get("open", "")).await;
    head(&mut stream).await;
    chunk(&mut stream).await;
    server.wait_for_connections(1).await;
    let (one, other) = (get("plain", ""), get("count/1", "connection: close\r\n"));
    send(&mut stream, &one).await;
    // Half of it now, and half when the stream has been read to its end.
    send(&mut stream, &other[..20]).await;
    server.sse.broadcast("still here").await.unwrap();
    assert!(chunk(&mut stream).await.contains("data: still here\n"));
    server.sse.clients()[0].close();
    body(&mut stream).await;
    assert_plain(&mut stream).await;
    send(&mut stream, &other[20..]).await;
    head(&mut stream).await;
    assert!(body(&mut stream).await.contains("data: 0\n"));
    assert_over(&mut stream).await;
    assert_eq!(journal.count("closed: server_closed"), 1);
}

#[tokio::test]
async fn requests_beyond_a_streams_buffer_stay_in_the_socket() {
    let (server, _) = server().await;
    let mut stream = server.raw(&get("open", "")).await;
    head(&mut stream).await;
    chunk(&mut stream).await;
    server.wait_for_connections(1).await;
    const REQUESTS: usize = 400;
    send(&mut stream, &get("plain", "").repeat(REQUESTS)).await;
    server.sse.broadcast("still here").await.unwrap();
    assert!(chunk(&mut stream).await.contains("data: still here\n"));
    server.sse.clients()[0].close();
    body(&mut stream).await;
    for _ in 0..REQUESTS {
        assert_plain(&mut stream).await;
    }
}

#[tokio::test]
async fn a_stream_after_an_unread_response_is_whole() {
    let (server, journal) = server().await;
    let requests = [get("big", ""), get("count/2", ""), get("plain", "")];
    let mut stream = server.raw(&requests.concat()).await;
    // The first response fills the socket. Nobody has read any of it when the second request arrives.
    let length = format!("content-length: {BIG}");
    assert!(head(&mut stream).await.has(&length));
    let mut big = vec![0; BIG];
    within(stream.read_exact(&mut big)).await.unwrap();
    assert!(big.iter().all(|byte| *byte == b'b'));
    head(&mut stream).await;
    assert!(body(&mut stream).await.contains("data: 1\n"));
    assert_plain(&mut stream).await;
    journal.wait_for("closed: completed").await;
}

#[tokio::test]
async fn a_layer_sees_every_frame_of_a_body() {
    let (app, _) = app();
    let seen = Arc::new(Mutex::new(String::new()));
    let note = Arc::clone(&seen);
    let layer = MapResponseLayer::new(move |response: Response<Body>| {
        let note = Arc::clone(&note);
        response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                frame.map_data(|data| {
                    *note.lock().unwrap() += &String::from_utf8_lossy(&data);
                    Bytes::from(String::from_utf8_lossy(&data).replace("data", "date"))
                })
            }))
        })
    });
    let server = TestServer::start(app.layer(layer)).await;
    let mut stream = server.raw(&get("count/50", "")).await;
    head(&mut stream).await;
    let text = body(&mut stream).await;
    assert!(text.contains("date: 49\n"), "{text}");
    assert_eq!(seen.lock().unwrap().replace("data", "date"), text);
}

#[tokio::test]
async fn a_client_that_leaves_with_pipelined_requests_is_noticed() {
    let (server, journal) = server().await;
    let mut stream = server.raw(&get("open", "")).await;
    head(&mut stream).await;
    chunk(&mut stream).await;
    server.wait_for_connections(1).await;
    send(&mut stream, &get("plain", "")).await;
    stream.shutdown().await.unwrap();
    journal.wait_for("closed: client_disconnected").await;
    assert_over(&mut stream).await;
    server.wait_for_connections(0).await;
}

#[tokio::test]
async fn a_clients_connection_close_ends_it_with_the_stream() {
    let (server, _) = server().await;
    let mut stream = server.raw(&get("count/1", "connection: close\r\n")).await;
    let head = head(&mut stream).await;
    assert!(head.has("connection: close"), "{head:?}");
    assert!(head.has("transfer-encoding: chunked"), "{head:?}");
    body(&mut stream).await;
    assert_over(&mut stream).await;
}

#[tokio::test]
async fn a_response_with_connection_close_ends_the_connection() {
    let (app, _) = app();
    let layer = MapResponseLayer::new(|mut response: Response<Body>| {
        let close = "close".parse().unwrap();
        response.headers_mut().insert(header::CONNECTION, close);
        response
    });
    let server = TestServer::start(app.layer(layer)).await;
    let mut stream = server.raw(&get("count/1", "")).await;
    assert!(head(&mut stream).await.has("connection: close"));
    body(&mut stream).await;
    assert_over(&mut stream).await;
}

#[tokio::test]
async fn an_http_1_0_stream_ends_with_its_connection() {
    let (server, _) = server().await;
    let request = "GET /wire/count/2 HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n";
    let mut stream = server.raw(request).await;
    let head = head(&mut stream).await;
    assert_eq!(head.0[0], "HTTP/1.0 200 OK");
    assert!(!head.has("transfer-encoding: chunked"), "{head:?}");
    assert!(
        !head.has("connection: keep-alive"),
        "it ends with the stream: {head:?}"
    );
    let text = read_to_end(&mut stream).await;
    assert!(text.starts_with(":\nretry: 3000\n"), "{text}");
    assert!(text.contains("data: 0\n\ndata: 1\n\n"), "{text}");
}

#[tokio::test]
async fn a_head_request_gets_no_body_and_keeps_the_connection() {
    let (server, _) = server().await;
    let request = get("count/2", "").replace("GET", "HEAD");
    let mut stream = server.raw(&(request + &get("plain", ""))).await;
    assert!(
        head(&mut stream)
            .await
            .has("content-type: text/event-stream")
    );
    assert_plain(&mut stream).await;
}

#[tokio::test]
async fn a_posted_body_is_read_and_the_next_request_follows() {
    let (server, _) = server().await;
    let posted = |path: &str, headers: &str| {
        format!(
            "POST /wire/{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: 6\r\n{headers}\r\n"
        )
    };
    let mut stream = server.raw(&posted("posted", "")).await;
    send(&mut stream, "\"post\"").await;
    send(&mut stream, &get("plain", "")).await;
    head(&mut stream).await;
    assert!(body(&mut stream).await.contains("data: post\n"));
    assert_plain(&mut stream).await;

    send(&mut stream, &posted("posted", "expect: 100-continue\r\n")).await;
    assert!(head(&mut stream).await.has("HTTP/1.1 100 Continue"));
    send(&mut stream, "\"post\"").await;
    head(&mut stream).await;
    assert!(body(&mut stream).await.contains("data: post\n"));

    // Nobody reads this body, but it must not be taken for a request.
    send(&mut stream, &posted("unread", "")).await;
    head(&mut stream).await;
    let (rest, other) = ("GET / ", get("plain", ""));
    send(&mut stream, &format!("{rest}{other}")).await;
    let text = body(&mut stream).await;
    assert!(text.contains("data: not read\n"), "{text}");
    let after = read_to_end(&mut stream).await;
    assert!(after.is_empty() || after.ends_with("plain"), "{after}");
}

#[tokio::test]
async fn large_events_arrive_whole_at_a_slow_client() {
    let (server, _) = server().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.addr).await.unwrap();
    send(&mut stream, &get("large/10", "")).await;
    head(&mut stream).await;
    let text = body(&mut stream).await;
    for n in 0..10 {
        assert!(text.contains(&format!("data: {}\n\n", n.to_string().repeat(100_000))));
    }
    send(&mut stream, &get("plain", "")).await;
    assert_plain(&mut stream).await;
}

#[tokio::test]
async fn a_failing_body_ends_the_connection_without_last_chunk() {
    let (app, _) = app();
    let fails = tower::service_fn(|_: http::Request<Body>| async {
        let frames = stream! {
            yield Ok(Frame::data(Bytes::from_static(b"data: one\n\n")));
            yield Err("it broke");
        };
        let body = Body::new(StreamBody::new(Box::pin(frames)));
        let kind = [(header::CONTENT_TYPE, "Text/Event-Stream; charset=utf-8")];
        let mut response = Response::new(body);
        for (name, value) in kind {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        Ok::<_, Infallible>(response)
    });
    let server = TestServer::start(app.mount("/fails", fails)).await;
    let request = "GET /fails HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = server.raw(request).await;
    head(&mut stream).await;
    assert_eq!(read_to_end(&mut stream).await, "b\r\ndata: one\n\n\r\n");
}

mod at_shutdown {
    use super::*;

    #[tokio::test]
    async fn connections_without_a_request_end() {
        let (server, _) = server().await;
        let mut silent = TcpStream::connect(server.addr).await.unwrap();
        let mut idle = server.raw(&get("count/1", "")).await;
        head(&mut idle).await;
        body(&mut idle).await;
        let mut plain = server.raw(&get("plain", "")).await;
        assert_plain(&mut plain).await;
        server.stop().await.unwrap();
        for stream in [&mut silent, &mut idle, &mut plain] {
            assert_over(stream).await;
        }
    }

    #[tokio::test]
    async fn a_stream_gets_its_last_word_and_its_last_chunk() {
        let (server, journal) = server().await;
        let mut stream = server.raw(&get("open", "")).await;
        head(&mut stream).await;
        chunk(&mut stream).await;
        server.wait_for_connections(1).await;
        // The server reads it before the end but does not respond, because the connection ends.
        send(&mut stream, &get("plain", "")).await;
        for _ in 0..2 {
            server.sse.broadcast("still here").await.unwrap();
            chunk(&mut stream).await;
        }
        server.stop().await.unwrap();
        let text = body(&mut stream).await;
        assert!(text.contains("event: helios:reconnect\n"), "{text}");
        assert_over(&mut stream).await;
        assert_eq!(journal.notes(), ["closed: shutdown"]);
    }

    #[tokio::test]
    async fn a_stream_that_never_ends_is_cut_in_time() {
        let (app, _) = app();
        let endless = tower::service_fn(|_: http::Request<Body>| async {
            let frames = stream! {
                yield Ok::<_, Infallible>(Frame::data(Bytes::from_static(b": here\n")));
                std::future::pending::<()>().await;
            };
            let mut response = Response::new(Body::new(StreamBody::new(Box::pin(frames))));
            let kind = "text/event-stream".parse().unwrap();
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            Ok::<_, Infallible>(response)
        });
        let app = app.drain_deadline(Duration::from_millis(300));
        // A mounted service would end by itself.
        let app = app.layer(tower::layer::layer_fn(move |_| endless));
        let server = TestServer::start(app).await;
        let mut stream = server.raw("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
        head(&mut stream).await;
        assert_eq!(chunk(&mut stream).await, ": here\n");
        server.stop().await.unwrap();
        assert_over(&mut stream).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_carries_streams() {
    let (app, _) = app();
    let folder = std::env::temp_dir().join(format!("helios-wire-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let app = app.banner(false).shutdown_on(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(app.listen_on(listener));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    for _ in 0..2 {
        send(&mut stream, &get("large/3", "")).await;
        head(&mut stream).await;
        assert!(body(&mut stream).await.contains("data: 2222"));
    }
    stop.send(()).unwrap();
    within(server).await.unwrap().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

/// As `nc -N` does.
#[tokio::test]
async fn a_half_closed_client_still_gets_what_is_ready() {
    let (server, journal) = server().await;
    let requests = [get("count/3", ""), get("count/2", ""), get("plain", "")];
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    send(&mut stream, &requests.concat()).await;
    stream.shutdown().await.unwrap();
    head(&mut stream).await;
    assert!(body(&mut stream).await.contains("data: 2\n"));
    head(&mut stream).await;
    assert!(body(&mut stream).await.contains("data: 1\n"));
    assert_plain(&mut stream).await;
    assert_over(&mut stream).await;
    eventually(|| journal.count("closed: completed") == 2).await;
}
