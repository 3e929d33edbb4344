//! WebSockets of controllers and of mounted services, with axum's extractor.

use std::time::Instant;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::routing::any;
use axum_core::response::Response;
use futures_util::{SinkExt, StreamExt};
use helios::prelude::*;
use helios::{Guard, RequestContext};
use support::journal::Journal;
use support::{TestServer, read_to_end, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message as ClientMessage};
use tokio_tungstenite::{WebSocketStream, client_async};

#[derive(Injectable)]
struct HasKey;

impl Guard for HasKey {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        match request.query("key") {
            Some(_) => Ok(()),
            None => Err(HttpError::forbidden("no key")),
        }
    }
}

#[derive(Injectable)]
struct Sockets {
    journal: Arc<Journal>,
}

#[controller(prefix = "sockets")]
impl Sockets {
    #[get("echo")]
    fn echo(&self, socket: WebSocketUpgrade) -> Response {
        let journal = Journal::clone(&self.journal);
        socket.on_upgrade(|socket| echo(socket, journal))
    }

    #[get("guarded")]
    #[use_guards(HasKey)]
    fn guarded(&self, socket: WebSocketUpgrade) -> Response {
        self.echo(socket)
    }

    /// Writes without end, and reads nothing.
    #[get("flood")]
    fn flood(&self, socket: WebSocketUpgrade) -> Response {
        let journal = Journal::clone(&self.journal);
        socket.on_upgrade(async move |mut socket| {
            let text = "x".repeat(100_000);
            while socket.send(Message::from(text.clone())).await.is_ok() {}
            journal.note("flood ended");
        })
    }

    /// Neither reads nor writes.
    #[get("idle")]
    fn idle(&self, socket: WebSocketUpgrade) -> Response {
        let journal = Journal::clone(&self.journal);
        socket.on_upgrade(async move |socket| {
            let _open = socket;
            journal.note("idles");
            std::future::pending::<()>().await;
        })
    }

    /// Closes the WebSocket of a client that sends a long message.
    #[get("short")]
    fn short(&self, socket: WebSocketUpgrade) -> Response {
        socket.max_frame_size(100).on_upgrade(async |mut socket| {
            while let Some(Ok(_)) = socket.recv().await {}
            let (code, reason) = (close_code::SIZE, "too long".into());
            let _ = socket
                .send(Message::Close(Some(CloseFrame { code, reason })))
                .await;
        })
    }

    #[sse("events")]
    fn events(&self) -> SseStream {
        SseStream::new()
    }
}

async fn echo(mut socket: WebSocket, journal: Journal) {
    while let Some(Ok(message)) = socket.recv().await {
        let closed = matches!(message, Message::Close(_));
        journal.note(if closed { "closed" } else { "message" });
        if !closed && socket.send(message).await.is_err() {
            break;
        }
    }
    journal.note("echo ended");
}

#[server(controllers = [Sockets], sse(enabled = true))]
struct App;

async fn start() -> (TestServer, Journal) {
    start_with(|app| app).await
}

async fn start_with(change: impl FnOnce(Helios) -> Helios) -> (TestServer, Journal) {
    let journal = Journal::default();
    let mounted = {
        let journal = journal.clone();
        let upgrade =
            async move |socket: WebSocketUpgrade| socket.on_upgrade(|socket| echo(socket, journal));
        Router::new().route("/echo", any(upgrade))
    };
    let app = Helios::new(App)
        .provide(journal.clone())
        .mount("/mounted", mounted);
    (TestServer::start(change(app)).await, journal)
}

async fn connect(server: &TestServer, path: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let socket = TcpStream::connect(server.addr).await.unwrap();
    let connected = client_async(format!("ws://x{path}"), socket);
    within(connected).await.map(|(socket, _)| socket)
}

async fn says(socket: &mut WebSocketStream<TcpStream>, text: &str) -> ClientMessage {
    socket.send(ClientMessage::text(text)).await.unwrap();
    within(socket.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_websocket_of_a_controller_or_a_mounted_router_echoes() {
    let (server, journal) = start().await;
    for path in ["/sockets/echo", "/mounted/echo", "/sockets/guarded?key=7"] {
        let mut socket = connect(&server, path).await.unwrap();
        for text in ["hello", &"x".repeat(100_000)] {
            assert_eq!(
                says(&mut socket, text).await,
                ClientMessage::text(text),
                "{path}"
            );
        }
        socket.close(None).await.unwrap();
        let end = within(socket.next()).await;
        assert!(
            matches!(end, Some(Ok(ClientMessage::Close(_))) | None),
            "{end:?}"
        );
    }
    support::eventually(|| journal.count("echo ended") == 3).await;
    // The shutdown does not wait for WebSockets that have ended.
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_guard_refuses_an_upgrade_before_it_is_made() {
    let (server, journal) = start().await;
    let refused = connect(&server, "/sockets/guarded").await;
    let Err(Error::Http(answer)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(answer.status(), 403);
    let body = answer.body().as_deref().unwrap_or_default();
    assert!(String::from_utf8_lossy(body).contains("no key"));
    assert_eq!(journal.notes(), [""; 0]);
}

#[tokio::test]
async fn bytes_sent_with_the_request_come_first_on_a_websocket() {
    let (server, _) = start().await;
    let head = "GET /sockets/echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let hello = b"\x81\x85\0\0\0\0hello";
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    client
        .write_all(&[head.as_bytes(), hello].concat())
        .await
        .unwrap();
    let mut read = Vec::new();
    within(async {
        while !read.ends_with(b"\r\n\r\n\x81\x05hello") {
            read.push(client.read_u8().await.unwrap());
        }
    })
    .await;
    assert!(read.starts_with(b"HTTP/1.1 101"));
}

#[tokio::test]
async fn the_client_of_a_websocket_learns_of_the_shutdown() {
    for path in ["/sockets/echo", "/mounted/echo"] {
        let (server, journal) = start().await;
        let mut socket = connect(&server, path).await.unwrap();
        says(&mut socket, "hello").await;
        let stopped = tokio::spawn(server.stop());
        let told = within(socket.next()).await.unwrap().unwrap();
        let away = CloseCode::Away;
        assert!(
            matches!(&told, ClientMessage::Close(Some(frame)) if frame.code == away),
            "{told:?}"
        );
        // The library answers the close by itself, and then the connection ends.
        assert!(within(socket.next()).await.is_none());
        stopped.await.unwrap().unwrap();
        assert_eq!(
            journal.notes(),
            ["message", "closed", "echo ended"],
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_client_in_mid_message_learns_why_it_was_closed() {
    let (server, _) = start().await;
    let mut socket = connect(&server, "/sockets/short").await.unwrap();
    // More than the kernel accepts before the server reads it.
    let sent = within(socket.send(ClientMessage::text("x".repeat(10_000_000)))).await;
    assert!(sent.is_ok(), "{sent:?}");
    let told = within(socket.next()).await;
    let size = CloseCode::Size;
    assert!(
        matches!(&told, Some(Ok(ClientMessage::Close(Some(frame)))) if frame.code == size),
        "{told:?}"
    );
    // It answers. Nobody reads the answer, but the connection ends all the same.
    assert!(within(socket.next()).await.is_none());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_websocket_that_only_writes_ends_with_the_server() {
    let (server, journal) = start().await;
    let mut socket = connect(&server, "/sockets/flood").await.unwrap();
    within(socket.next()).await.unwrap().unwrap();
    let stopped = tokio::spawn(server.stop());
    let told = within(async {
        loop {
            match socket.next().await {
                Some(Ok(ClientMessage::Text(_))) => {}
                other => break other,
            }
        }
    });
    let told = told.await;
    assert!(
        matches!(told, Some(Ok(ClientMessage::Close(Some(_))))),
        "{told:?}"
    );
    // The server cuts it at the deadline, or notices that the client has left.
    drop(socket);
    stopped.await.unwrap().unwrap();
    journal.wait_for("flood ended").await;
}

#[tokio::test]
async fn a_websocket_whose_app_does_nothing_is_cut_in_time() {
    let (server, journal) = start_with(|app| app.drain_deadline(Duration::from_millis(300))).await;
    let mut socket = connect(&server, "/sockets/idle").await.unwrap();
    journal.wait_for("idles").await;
    let begin = Instant::now();
    server.stop().await.unwrap();
    assert!(begin.elapsed() < support::DEADLINE);
    let _ = socket.close(None).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_websocket_is_cut() {
    let (server, journal) =
        start_with(|app| app.sse_options(|sse| sse.stuck_after = Duration::from_millis(300))).await;
    let _unread = connect(&server, "/sockets/flood").await.unwrap();
    journal.wait_for("flood ended").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_for_no_websocket_is_answered_as_such() {
    let (server, _) = start().await;
    assert_eq!(server.get("/sockets/echo").await.status, 400);
    let head = "GET /sockets/echo HTTP/1.0\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut old = server.raw(head).await;
    let answer = read_to_end(&mut old).await;
    assert!(
        answer.starts_with("HTTP/1.0 4") || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    // Streams and upgrades share the server.
    let _stream = server.sse("/sockets/events").await;
}
