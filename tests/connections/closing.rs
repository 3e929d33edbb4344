//! A response that is sent before its request has been read arrives, and a client that does not read is reset.

use std::io::ErrorKind;

use helios::prelude::*;
use support::{TestServer, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[derive(Injectable)]
struct Uploads;

#[controller(prefix = "uploads")]
impl Uploads {
    #[post]
    fn upload(&self, #[body] text: String) -> String {
        format!("{} bytes", text.len())
    }

    #[post("ignored")]
    fn ignored(&self) -> &'static str {
        "whatever it is"
    }

    #[sse("flood")]
    fn flood(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            loop {
                yield SseEvent::text("x".repeat(10_000));
            }
        }
    }
}

#[server(controllers = [Uploads], sse(enabled = true))]
struct App;

/// Sends the whole request before it reads anything, as most clients do.
async fn ask(server: &TestServer, request: &[u8]) -> String {
    let mut client = TcpStream::connect(server.addr).await.unwrap();
    // The server may close its side meanwhile.
    within(client.write_all(request)).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    within(client.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_answer_to_a_body_that_nobody_reads_arrives() {
    let server = TestServer::start(Helios::new(App).body_limit(1_000)).await;
    let body = "x".repeat(8 << 20);
    let length = format!("content-length: {}\r\n\r\n{body}", body.len());
    let chunked = format!(
        "transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    for (path, status) in [
        ("/uploads", "413"),
        ("/uploads/ignored", "200"),
        ("/none", "404"),
    ] {
        for (body, close) in [
            (&length, ""),
            (&length, "connection: close\r\n"),
            (&chunked, ""),
        ] {
            let head =
                format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
            let answer = ask(&server, format!("{head}{close}{body}").as_bytes()).await;
            let begin = format!("HTTP/1.1 {status}");
            assert!(answer.starts_with(&begin), "{path} {close}: {answer}");
        }
    }
}

#[tokio::test]
async fn the_answer_to_what_is_no_request_arrives() {
    let server = TestServer::start(Helios::new(App)).await;
    let junk = [
        "\u{16}\u{3}\u{1} no HTTP\r\n\r\n",
        "GET / HTTP/1.1\r\nno header\r\n\r\n",
    ];
    for junk in junk.map(|begin| begin.to_owned() + &"x".repeat(8 << 20)) {
        let answer = ask(&server, junk.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let long = format!("GET / HTTP/1.1\r\nlong: {}", "x".repeat(8 << 20));
    let answer = ask(&server, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

/// Otherwise the kernel would keep the unread bytes, and try to send them for a long time.
#[tokio::test]
async fn a_client_that_does_not_read_is_reset() {
    let app = Helios::new(App).sse_options(|sse| sse.stuck_after = Duration::from_millis(300));
    let server = TestServer::start(app).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut client = socket.connect(server.addr).await.unwrap();
    let request = "GET /uploads/flood HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    server.wait_for_connections(1).await;
    server.wait_for_connections(0).await;
    let mut read = Vec::new();
    let ended = within(client.read_to_end(&mut read)).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
