//! The server notices a client that leaves, whatever the client has sent before.

use std::future::pending;

use axum_core::body::Body;
use helios::prelude::*;
use support::journal::Journal;
use support::{TestServer, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Injectable)]
struct Feed {
    journal: Arc<Journal>,
}

#[controller(prefix = "feed")]
impl Feed {
    #[sse]
    fn silent(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("first");
            pending::<()>().await;
        }
    }

    #[sse("asked", method = "POST", plain = false)]
    fn asked(&self) -> SseStream {
        self.short()
    }

    #[sse("read", method = "POST", plain = false)]
    fn read(&self, #[body] _text: String) -> SseStream {
        self.short()
    }

    #[sse("held", method = "POST", plain = false)]
    fn held(&self, body: Body) -> impl Stream<Item = SseEvent> {
        stream! {
            let _unread = body;
            yield SseEvent::text("first");
        }
    }

    #[get("forged")]
    fn forged(&self) {
        self.journal.note("forged");
    }

    #[get("next")]
    fn next(&self) -> &'static str {
        "the next answer"
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
    }
}

impl Feed {
    fn short(&self) -> SseStream {
        let stream = SseStream::new();
        stream.close();
        stream
    }
}

#[server(controllers = [Feed], sse(enabled = true, keep_alive = false))]
struct App;

async fn start() -> (TestServer, Journal) {
    let journal = Journal::default();
    let server = TestServer::start(Helios::new(App).provide(journal.clone())).await;
    (server, journal)
}

async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut read = String::new();
    within(async {
        while !read.contains(end) {
            read.push(char::from(socket.read_u8().await.unwrap()));
        }
    })
    .await;
    read
}

#[tokio::test]
async fn a_client_that_leaves_after_too_much_data_is_noticed() {
    for head in ["", "connection: close\r\n"] {
        let (server, journal) = start().await;
        let request = format!("GET /feed HTTP/1.1\r\nhost: x\r\n{head}\r\n");
        let mut client = server.raw(&request).await;
        read_until(&mut client, "data: first").await;
        within(client.write_all(&[b'x'; 1 << 20])).await.unwrap();
        drop(client);
        journal.wait_for("client_disconnected").await;
        server.wait_for_connections(0).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_with_an_unread_body_is_noticed() {
    let (server, journal) = start().await;
    let head = "GET /feed HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nbegin";
    let mut client = server.raw(head).await;
    let answer = read_until(&mut client, "data: first").await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    drop(client);
    journal.wait_for("client_disconnected").await;
}

#[tokio::test]
async fn a_client_that_leaves_after_a_chunked_request_is_noticed() {
    let (server, journal) = start().await;
    let head = "GET /feed HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut client = server.raw(head).await;
    read_until(&mut client, "data: first").await;
    within(client.write_all(&[b'x'; 1 << 16])).await.unwrap();
    drop(client);
    journal.wait_for("client_disconnected").await;
}

/// The bytes after the head may be a body whose end is not known.
#[tokio::test]
async fn what_nobody_has_read_is_never_taken_for_a_request() {
    let forged = "GET /feed/forged HTTP/1.1\r\nhost: x\r\n\r\n";
    let (server, journal) = start().await;
    for path in ["/feed/asked", "/feed/held"] {
        for body in [
            format!("content-length: {}\r\n\r\n{forged}", forged.len()),
            format!(
                "transfer-encoding: chunked\r\n\r\n{:x}\r\n{forged}",
                forged.len()
            ),
        ] {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{body}");
            let mut client = server.raw(&head).await;
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = within(client.read_to_end(&mut answer)).await;
            let answer = String::from_utf8_lossy(&answer);
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
    }
    assert_eq!(journal.count("forged"), 0);
}

#[tokio::test]
async fn a_request_after_a_stream_with_a_read_body_succeeds() {
    let (server, _) = start().await;
    let next = "GET /feed/next HTTP/1.1\r\nhost: x\r\n\r\n";
    let head = "POST /feed/read HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";
    let mut client = server.raw(&format!("{head}{next}")).await;
    let answer = read_until(&mut client, "the next answer").await;
    assert!(!answer.contains("connection: close"), "{answer}");
}
