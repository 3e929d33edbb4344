//! Runs an app in process, without a socket, and reads its streams event by event.

use std::time::Duration;

use axum_core::body::Body;
use bytes::Bytes;
use helios_core::decode::{Decoded, DecodedEvent, Decoder};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_service::Service;

use crate::error::Error;
use crate::{Helios, HeliosService};

/// How long [`TestStream::next`] waits. Paused tokio time passes at once.
const DEADLINE: Duration = Duration::from_secs(10);

/// An app without a socket.
#[derive(Clone)]
pub struct TestApp {
    service: HeliosService,
}

impl TestApp {
    /// Assembles the app.
    ///
    /// # Errors
    ///
    /// As [`Helios::into_service`].
    pub fn new(app: Helios) -> Result<Self, Error> {
        let service = app.into_service()?;
        Ok(Self { service })
    }

    /// Sends a request and reads the whole response.
    pub async fn send(&self, request: Request<Body>) -> TestResponse {
        let (head, body) = self.call(request).await.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        TestResponse {
            status: head.status,
            headers: head.headers,
            body: body.unwrap_or_default(),
        }
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> TestResponse {
        self.send(request(Method::GET, path, Body::empty())).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, json: &impl Serialize) -> TestResponse {
        let body = Body::from(serde_json::to_vec(json).unwrap_or_default());
        self.send(request(Method::POST, path, body)).await
    }

    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// The response, if it is not an event stream.
    pub async fn sse(&self, path: &str) -> Result<TestStream, TestResponse> {
        self.sse_with(request(Method::GET, path, Body::empty()))
            .await
    }

    /// Opens a stream as a client that reconnects after this event.
    ///
    /// # Errors
    ///
    /// The response, if it is not an event stream.
    pub async fn sse_after(&self, path: &str, id: &str) -> Result<TestStream, TestResponse> {
        let mut request = request(Method::GET, path, Body::empty());
        if let Ok(id) = id.parse() {
            request.headers_mut().insert("last-event-id", id);
        }
        self.sse_with(request).await
    }

    /// Opens a stream with a request of your own.
    ///
    /// # Errors
    ///
    /// The response, if it is not an event stream.
    pub async fn sse_with(&self, request: Request<Body>) -> Result<TestStream, TestResponse> {
        let (head, body) = self.call(request).await.into_parts();
        let kind = head.headers.get(CONTENT_TYPE);
        if kind.is_some_and(|kind| kind == "text/event-stream") {
            return Ok(TestStream {
                headers: head.headers,
                body,
                decoder: Decoder::new(),
                written: Vec::new(),
            });
        }
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        Err(TestResponse {
            status: head.status,
            headers: head.headers,
            body: body.unwrap_or_default(),
        })
    }

    async fn call(&self, request: Request<Body>) -> http::Response<Body> {
        match self.service.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// A path that is no URI gives a request for `/`.
fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.uri_mut() = path.parse().unwrap_or_default();
    if method == Method::POST {
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
    }
    *request.method_mut() = method;
    request
}

/// A response, read whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TestResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl TestResponse {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// If the body is not JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}

/// A stream in the hands of a client. Dropping it is the client's going away.
pub struct TestStream {
    headers: HeaderMap,
    body: Body,
    decoder: Decoder,
    written: Vec<u8>,
}

impl TestStream {
    /// The headers of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The bytes read so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// The next event; `None` at the end of the stream, or if none comes within 10 s.
    pub async fn next(&mut self) -> Option<DecodedEvent> {
        loop {
            if let Decoded::Event(event) = self.next_item().await? {
                return Some(event);
            }
        }
    }

    /// The next event, comment or retry time; `None` as for [`TestStream::next`].
    pub async fn next_item(&mut self) -> Option<Decoded> {
        loop {
            if let Some(item) = self.decoder.next_item() {
                return Some(item);
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await;
            let bytes = frame.ok()??.ok()?.into_data().ok()?;
            self.written.extend_from_slice(&bytes);
            self.decoder.feed(&bytes).ok()?;
        }
    }

    /// All events up to the end of the stream.
    pub async fn rest(&mut self) -> Vec<DecodedEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
