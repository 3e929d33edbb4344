//! A hub without an app, on plain hyper.

use std::convert::Infallible;
use std::net::SocketAddr;

use helios::SseHub;
use helios::axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use support::journal::Journal;
use support::{SseClient, call, within};

/// Responds to `/topic/{name}` with what is published to it, and to all other paths with a handle that a task keeps for
/// ever.
async fn answer(hub: &SseHub, journal: &Journal, request: Request<Incoming>) -> Response {
    let (head, _) = request.into_parts();
    if let Some(topic) = head.uri.path().strip_prefix("/topic/") {
        return match hub.sse().subscribe([topic]).await {
            Ok(client) => hub.respond(head, client).await,
            Err(error) => HttpError::from(error).into_response(),
        };
    }
    let stream = SseStream::new();
    stream.send("hello").await.unwrap();
    let notes = journal.clone();
    stream.on_close(move |reason| notes.note(reason.to_string()));
    let driver = stream.clone();
    tokio::spawn(async move {
        let _driver = driver;
        std::future::pending::<()>().await;
    });
    hub.respond(head, stream).await
}

async fn serve(hub: &SseHub, journal: &Journal) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (hub, journal) = (hub.clone(), journal.clone());
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (hub, journal) = (hub.clone(), journal.clone());
            let service = service_fn(move |request| {
                let (hub, journal) = (hub.clone(), journal.clone());
                async move { Ok::<_, Infallible>(answer(&hub, &journal, request).await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
        }
    });
    addr
}

async fn get(server: SocketAddr, path: &str, last: &str) -> http::Response<Incoming> {
    call(server, Method::GET, path, &[("last-event-id", last)], "").await
}

#[tokio::test]
async fn a_stream_without_an_app_has_the_usual_head() {
    let server = serve(&SseHub::new(), &Journal::default()).await;
    let response = get(server, "/", "").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(
        response.headers()["cache-control"],
        "no-cache, no-transform"
    );
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.headers()["connection"], "keep-alive");
    let mut client = SseClient::of(response);
    assert_eq!(client.next().await.unwrap().data, "hello");
    assert_eq!(client.text(), ":\nretry: 3000\ndata: hello\n\n");
}

#[tokio::test]
async fn topics_are_resumed_without_an_app() {
    let hub = SseHub::new();
    let server = serve(&hub, &Journal::default()).await;
    let mut client = SseClient::of(get(server, "/topic/news", "").await);
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    let one = hub.sse().publish("news", "one").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "one");
    drop(client);
    hub.sse().publish("news", "two").await.unwrap();

    let mut client = SseClient::of(get(server, "/topic/news", &one.to_string()).await);
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    assert_eq!(client.next().await.unwrap().data, "two");
}

#[tokio::test]
async fn a_handle_whose_request_gets_no_stream_is_closed() {
    let hub = SseHub::with_options(|sse| sse.connections.total = 0).unwrap();
    let journal = Journal::default();
    let server = serve(&hub, &journal).await;
    let mut overloaded = SseClient::of(get(server, "/", "").await);
    assert_eq!(overloaded.next().await.unwrap().event, "helios:overloaded");
    assert_eq!(get(server, "/", "helios:end").await.status(), 204);
    let head = call(server, Method::HEAD, "/", &[], "").await;
    assert_eq!(head.headers()["content-type"], "text/event-stream");
    assert_eq!(journal.notes(), ["rejected", "rejected", "rejected"]);
}

#[tokio::test]
async fn a_handle_is_answered_with_once() {
    let hub = SseHub::new();
    let stream = SseStream::new();
    let head = || Request::new(()).into_parts().0;
    let first = hub.respond(head(), stream.clone()).await;
    let second = hub.respond(head(), stream.clone()).await;
    assert_eq!(
        (first.status(), second.status()),
        (StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR)
    );
    assert!(stream.send("the first goes on").await.is_ok());
}

#[tokio::test]
async fn a_handle_of_another_hub_is_refused() {
    let (hub, other) = (SseHub::new(), SseHub::new());
    let stream = other.sse().create_connection();
    let (head, ()) = Request::new(()).into_parts();
    assert_eq!(hub.respond(head, stream.clone()).await.status(), 500);
    assert!(stream.is_closed());
}

#[tokio::test]
async fn a_handle_that_is_over_is_refused() {
    let (hub, other) = (SseHub::new(), SseHub::new());
    let stream = hub.sse().create_connection();
    let head = || Request::new(()).into_parts().0;
    assert_eq!(other.respond(head(), stream.clone()).await.status(), 500);
    assert_eq!(hub.respond(head(), stream.clone()).await.status(), 500);
    assert_eq!(within(stream.closed()).await, CloseReason::Rejected);
    within(hub.shutdown(Duration::from_secs(10))).await;
}

#[tokio::test]
async fn shutdown_sends_clients_away_and_opens_no_more() {
    let hub = SseHub::new();
    let journal = Journal::default();
    let server = serve(&hub, &journal).await;
    let mut client = SseClient::of(get(server, "/", "").await);
    assert_eq!(client.next().await.unwrap().data, "hello");
    let ((), names) = tokio::join!(
        within(hub.shutdown(Duration::from_secs(10))),
        client.names()
    );
    assert_eq!(names, ["helios:reconnect"]);
    let mut late = SseClient::of(get(server, "/", "").await);
    assert_eq!(late.names().await, ["message", "helios:reconnect"]);
    assert_eq!(journal.notes(), ["shutdown", "shutdown"]);
}
