//! A peer that neither reads nor sends is cut, in every protocol. One that is merely slow is not.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::http::{BoxedRoutes, Listener};
use helios::prelude::*;
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::journal::Journal;
use support::{eventually, within};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tower::layer::layer_fn;
use tower::service_fn;

/// Short, because the tests wait for it, but longer than a busy machine keeps a client from reading.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// More than a client accepts unread and the kernel's buffers hold together.
const LARGE: usize = 16 << 20;

/// Records when it is dropped.
struct Noted(Journal, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// A body that never ends and is always ready.
struct Flood {
    _noted: Noted,
}

impl hyper::body::Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = Bytes::from_static(b"data: and on\n\n");
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

/// A large text, which records when its memory is freed.
struct Text {
    text: Vec<u8>,
    _noted: Noted,
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[derive(Injectable)]
struct Site {
    journal: Arc<Journal>,
}

impl Site {
    fn noted(&self, note: &'static str) -> Noted {
        Noted(Journal::clone(&self.journal), note)
    }
}

#[controller(prefix = "site")]
impl Site {
    #[sse("flood")]
    fn flood(&self) -> impl Stream<Item = SseEvent> {
        let source = self.noted("the source is dropped");
        stream! {
            let _source = source;
            loop {
                yield SseEvent::text("x".repeat(1_000));
            }
        }
    }

    #[sse("greeting")]
    fn greeting(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("welcome");
            pending::<()>().await;
        }
    }

    #[get("large")]
    fn large(&self) -> Response {
        let text = Text {
            text: vec![b'x'; LARGE],
            _noted: self.noted("the answer is freed"),
        };
        Bytes::from_owner(text).into_response()
    }

    #[get("endless")]
    fn endless(&self) -> Response {
        let _noted = self.noted("the answer is freed");
        Body::new(Flood { _noted }).into_response()
    }

    #[get("small")]
    fn small(&self) -> &'static str {
        "still here"
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
    }
}

#[server(controllers = [Site], sse(enabled = true))]
struct App;

/// A service that knows nothing of Helios: a stream, and an upload.
async fn mounted(journal: Journal, request: Request<Body>) -> Result<Response, Infallible> {
    if request.uri().path() == "/upload" {
        let answered = match request.into_body().collect().await {
            Ok(_) => "the upload is complete",
            Err(_) => "the upload broke off",
        };
        journal.note(answered);
        return Ok(answered.into_response());
    }
    let _noted = Noted(journal, "the source is dropped");
    let body = Body::new(Flood { _noted });
    Ok(([("content-type", "text/event-stream")], body).into_response())
}

/// A TCP listener that records when the server closes a socket.
struct Noting(TcpListener, Journal);

struct Socket {
    io: TcpStream,
    _noted: Noted,
}

impl Listener for Noting {
    type Io = Socket;

    async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        let (io, addr) = Listener::accept(&self.0).await?;
        let _noted = Noted(self.1.clone(), "the socket is closed");
        Ok((Socket { io, _noted }, addr))
    }

    fn address(&self) -> io::Result<String> {
        self.0.address()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

struct Server {
    addr: SocketAddr,
    sse: SseService,
    journal: Journal,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(STUCK_AFTER, |app| app).await
    }

    /// Starts a server that runs until the end of the test's runtime.
    async fn start_with(stuck_after: Duration, change: impl FnOnce(Helios) -> Helios) -> Self {
        let journal = Journal::default();
        let service = {
            let journal = journal.clone();
            service_fn(move |request| mounted(journal.clone(), request))
        };
        let app = Helios::new(App)
            .provide(journal.clone())
            .mount("/m", service);
        let app = app.banner(false).shutdown_on(pending());
        let app = app.body_timeout(Duration::from_millis(200));
        let app = change(app.sse_options(|sse| sse.stuck_after = stuck_after));
        let sse = app.sse();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(app.listen_on(Noting(listener, journal.clone())));
        Self { addr, sse, journal }
    }

    /// Opens an HTTP/1.1 client whose socket buffers little.
    async fn http1(&self, request: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut socket = socket.connect(self.addr).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    /// Opens an HTTP/2 client whose window is at most this far ahead of what is read.
    async fn http2(&self, window: u32) -> SendRequest<Body> {
        let io = TokioIo::new(TcpStream::connect(self.addr).await.unwrap());
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (client, connection) = builder.handshake(io).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn get(&self, client: &mut SendRequest<Body>, path: &str) -> Incoming {
        self.ask(client, path, Body::empty()).await
    }

    async fn ask(&self, client: &mut SendRequest<Body>, path: &str, body: Body) -> Incoming {
        let url = format!("http://{}{path}", self.addr);
        let method = match body.is_end_stream() {
            true => Method::GET,
            false => Method::POST,
        };
        let request = Request::builder().method(method).uri(url);
        let response = client.send_request(request.body(body).unwrap());
        let response = within(response).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body()
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// A body that sends a first chunk, and then nothing.
struct Stopped(Option<Bytes>);

impl hyper::body::Body for Stopped {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Poll::Pending,
        }
    }
}

/// Reads the rest, and returns whether the body broke off.
async fn broke_off(mut body: Incoming) -> bool {
    within(async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return true;
            }
        }
        false
    })
    .await
}

#[tokio::test]
async fn an_unread_http2_stream_frees_its_seat_and_its_source() {
    let server = Server::start_with(STUCK_AFTER, |app| {
        app.sse_options(|sse| sse.connections.total = 1)
    })
    .await;
    let mut client = server.http2(1_000).await;
    let unread = server.get(&mut client, "/site/flood").await;
    server.journal.wait_for("the source is dropped").await;
    server.journal.wait_for("slow_client").await;
    eventually(|| server.sse.stats().connections == 0).await;
    assert_eq!(server.sse.stats().slow_closes, 1);

    let mut greeted = server.get(&mut client, "/site/greeting").await;
    let mut read = Vec::new();
    while !read.ends_with(b"data: welcome\n\n") {
        let frame = within(greeted.frame()).await.unwrap().unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    assert!(broke_off(unread).await, "its stream is reset");
}

#[tokio::test]
async fn an_unread_http2_response_is_reset_alone() {
    for path in ["/site/large", "/site/endless", "/m/flood"] {
        let server = Server::start().await;
        let mut client = server.http2(1_000).await;
        let unread = server.get(&mut client, path).await;
        let freed = match path {
            "/m/flood" => "the source is dropped",
            _ => "the answer is freed",
        };
        server.journal.wait_for(freed).await;
        let other = server.get(&mut client, "/site/small").await;
        let other = within(other.collect()).await.unwrap().to_bytes();
        assert_eq!(other, "still here", "{path}");
        assert!(broke_off(unread).await, "{path}");
        assert_eq!(server.journal.count("the socket is closed"), 0, "{path}");
    }
}

#[tokio::test]
async fn an_http2_stream_whose_window_is_never_opened_is_cut() {
    let server = Server::start().await;
    let mut client = server.http2(0).await;
    let unread = server.get(&mut client, "/site/flood").await;
    server.journal.wait_for("slow_client").await;
    assert!(broke_off(unread).await);
}

#[tokio::test]
async fn an_unread_http1_answer_is_cut() {
    for path in ["/site/large", "/site/endless", "/site/flood", "/m/flood"] {
        let server = Server::start().await;
        let _unread = server.http1(&get(path)).await;
        server.journal.wait_for("the socket is closed").await;
        match path {
            "/site/endless" => server.journal.wait_for("the answer is freed").await,
            "/site/large" => {}
            _ => server.journal.wait_for("the source is dropped").await,
        }
    }
}

#[tokio::test]
async fn an_unread_http1_stream_is_closed_as_slow_once() {
    // The second one ends its connection, because its request is chunked.
    let chunked =
        "GET /site/flood HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for request in [&*get("/site/flood"), chunked] {
        let server = Server::start().await;
        let _unread = server.http1(request).await;
        server.journal.wait_for("slow_client").await;
        server.journal.wait_for("the source is dropped").await;
        assert_eq!(server.sse.stats().slow_closes, 1);
        let closed = ["slow_client", "client_disconnected"];
        assert_eq!(closed.map(|reason| server.journal.count(reason)), [1, 0]);
    }
}

/// The client reads all the time, at about 80 KiB a second. By default the kernel would hold more than it can read
/// before the deadline, and its windows open in steps of 64 KiB. Other kernels cannot be made to hold less.
#[cfg(any(target_os = "android", target_os = "linux"))]
#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_not_cut() {
    const BYTES: usize = 512 << 10;
    let server = Server::start_with(2 * STUCK_AFTER, |app| app).await;
    let http1 = async |path| {
        let mut socket = server.http1(&get(path)).await;
        let (mut piece, mut read) = (vec![0; 4 * 1024], 0);
        while read < BYTES {
            let count = within(socket.read(&mut piece)).await.unwrap();
            assert!(count > 0, "{path} is cut after {read} bytes");
            read += count;
            sleep(Duration::from_millis(50)).await;
        }
        // A client can still read what the kernel holds after a cut, so this asks the server instead.
        let closed = server.journal.count("the socket is closed");
        assert_eq!(closed, 0, "{path}");
        socket
    };
    let http2 = async |path| {
        let mut client = server.http2(16 * 1024).await;
        let (mut body, mut read) = (server.get(&mut client, path).await, 0);
        while read < BYTES {
            let frame = within(body.frame()).await.unwrap();
            let frame = frame.unwrap_or_else(|error| panic!("{path}, {read} bytes: {error}"));
            let count = frame.into_data().unwrap().len();
            read += count;
            sleep(Duration::from_millis(count as u64 / 80)).await;
        }
        (client, body)
    };
    let _open = tokio::join!(
        http1("/site/flood"),
        http1("/site/large"),
        http1("/m/flood"),
        http2("/site/flood"),
        http2("/site/large"),
    );
}

#[tokio::test]
async fn a_body_that_stops_breaks_off_in_a_mounted_service() {
    let server = Server::start().await;
    let head = "POST /m/upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc";
    let _stopped = server.http1(head).await;
    server.journal.wait_for("the upload broke off").await;

    let mut client = server.http2(1 << 16).await;
    let stopped = Body::new(Stopped(Some(Bytes::from_static(b"abc"))));
    let answer = server.ask(&mut client, "/m/upload", stopped).await;
    let answer = within(answer.collect()).await.unwrap().to_bytes();
    assert_eq!(answer, "the upload broke off");
}

#[tokio::test]
async fn a_body_that_stops_breaks_off_in_a_layer() {
    let (read, mut is_read) = mpsc::channel(1);
    let server = Server::start_with(STUCK_AFTER, |app| {
        app.layer(layer_fn(move |_routes: BoxedRoutes| {
            let read = read.clone();
            service_fn(move |request: Request<Body>| {
                let read = read.clone();
                async move {
                    let whole = request.into_body().collect().await;
                    let _ = read.send(whole.is_ok()).await;
                    Ok::<Response, Infallible>("read".into_response())
                }
            })
        }))
    })
    .await;
    let head = "POST /site/small HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc";
    let _stopped = server.http1(head).await;
    assert_eq!(within(is_read.recv()).await, Some(false));
}
