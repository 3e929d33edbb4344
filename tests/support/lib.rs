//! A server on a real socket, and clients that connect to it.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::unwrap_used
)]

pub mod backplane;
pub mod browser;
pub mod folder;
pub mod journal;
pub mod network;
pub mod program;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use helios::prelude::*;
use helios::sse::{Decoded, DecodedEvent, Decoder};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longer than anything here takes on a loaded machine. A test that waits this long has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// An app that listens on a free port of the loopback interface.
pub struct TestServer {
    pub addr: SocketAddr,
    pub sse: SseService,
    server: helios::testing::TestServer,
}

impl TestServer {
    pub async fn start(app: Helios) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(app, listener)
    }

    pub fn start_on(app: Helios, listener: TcpListener) -> Self {
        let server = helios::testing::TestServer::start_on(app, listener).unwrap();
        Self {
            addr: server.addr(),
            sse: server.sse_service().clone(),
            server,
        }
    }

    /// Shuts down, and returns the result of `listen_on`.
    pub async fn stop(self) -> Result<(), helios::Error> {
        within(self.server.stop()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("content-type", content_type)];
        self.send(Method::POST, path, &headers, body).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let (head, body) = self.call(method, path, headers, body).await.into_parts();
        let body = within(body.collect()).await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        call(self.addr, method, path, headers, body).await
    }

    /// Opens a stream, which must get a 200.
    pub async fn sse(&self, path: &str) -> SseClient {
        self.sse_with(Method::GET, path, &[], "").await
    }

    pub async fn sse_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> SseClient {
        let response = self.call(method, path, headers, body).await;
        assert_eq!(response.status(), 200, "{path}");
        SseClient::of(response)
    }

    /// Opens a stream that may be refused.
    pub async fn try_sse(&self, path: &str, headers: &[(&str, &str)]) -> Option<SseClient> {
        let response = self.call(Method::GET, path, headers, "").await;
        (response.status() == 200).then(|| SseClient::of(response))
    }

    /// Opens a socket, for requests that no HTTP client would send.
    pub async fn raw(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until the app counts this many open streams.
    pub async fn wait_for_connections(&self, count: usize) {
        eventually(|| self.sse.stats().connections == count).await;
    }
}

/// Sends a request over a connection of its own, to any server.
pub async fn call(
    server: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Incoming> {
    let answered = try_call(server, method, path, headers, body).await;
    answered.unwrap()
}

/// Sends a request like [`call`], but the server may be down or end meanwhile.
pub async fn try_call(
    server: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(server).await?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http1::handshake(io).await?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into()))?;
    Ok(within(sender.send_request(request)).await?)
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[expect(clippy::disallowed_methods, reason = "it is what Helios sent")]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the body, which must be problem JSON of the response's own status.
    pub fn problem(&self) -> serde_json::Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        problem
    }
}

/// A stream over a socket of its own. Dropping it closes the socket.
pub struct SseClient {
    pub headers: HeaderMap,
    body: Incoming,
    decoder: Decoder,
    /// Every byte read so far.
    pub raw: Vec<u8>,
}

impl SseClient {
    pub fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            headers: head.headers,
            body,
            decoder: Decoder::new(),
            raw: Vec::new(),
        }
    }

    /// Returns the next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<DecodedEvent> {
        loop {
            if let Decoded::Event(event) = self.next_item().await? {
                return Some(event);
            }
        }
    }

    pub async fn next_item(&mut self) -> Option<Decoded> {
        loop {
            if let Some(item) = self.decoder.next_item() {
                return Some(item);
            }
            self.read().await?;
        }
    }

    /// Reads one more chunk, without decoding it.
    pub async fn read(&mut self) -> Option<()> {
        let frame = within(self.body.frame()).await?.ok()?;
        let bytes = frame.into_data().unwrap();
        self.raw.extend_from_slice(&bytes);
        self.decoder.feed(&bytes).unwrap();
        Some(())
    }

    /// Reads to the end of the response. Returns an error if it did not end as its framing requires.
    pub async fn finish(&mut self) -> Result<(), hyper::Error> {
        while let Some(frame) = within(self.body.frame()).await {
            let bytes = frame?.into_data().unwrap();
            self.raw.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// Returns the names of the events up to the end of the stream.
    pub async fn names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(event) = self.next().await {
            names.push(event.event);
        }
        names
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.raw.clone()).unwrap()
    }
}

/// Returns everything that the server sends until it closes the connection.
pub async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the response is an end too.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a future, but fails the test after a deadline instead of hanging.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future)
        .await
        .expect("nothing happened within the deadline")
}

/// Polls until the condition holds.
pub async fn eventually(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
