//! Events and errors before the response head is sent.

use helios::prelude::*;
use helios::testing::TestApp;
use http::Method;
use support::eventually;

use super::app::{app, server};

#[tokio::test]
async fn an_error_is_an_ordinary_response_with_its_status() {
    let (server, journal) = server().await;
    for (path, status) in [
        ("/s/fails-at-once", 403),
        ("/s/fails-after-a-moment", 409),
        ("/s/fails-in-handler", 404),
        ("/s/producer/0", 409),
        ("/s/producer/x", 400),
        ("/s/panics-at-once", 500),
        ("/s/generator?refuse=outer", 403),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.problem()["status"], status, "{path}");
        assert!(!answer.text().contains("secret"));
    }
    assert_eq!(server.sse.stats().connections, 0);
    eventually(|| journal.count("outer closed: error") == 4).await;
    assert_eq!(
        journal.count("outer closed: rejected"),
        0,
        "it never accepted"
    );
}

#[tokio::test]
async fn the_head_of_a_silent_stream_leaves_at_once() {
    let (server, _) = server().await;
    let mut client = server.sse("/s/forever").await;
    client.read().await.unwrap();
    assert_eq!(client.text(), ":\nretry: 3000\n");
}

#[tokio::test(start_paused = true)]
async fn a_silent_producers_head_leaves_after_a_grace() {
    let (app, _) = app();
    let app = TestApp::start(app).unwrap();
    let start = tokio::time::Instant::now();
    let _opened = app.sse("/s/opens").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let _silent = app.sse("/s/silent-producer").await;
    assert_eq!(start.elapsed().as_millis() / 10, 25);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_fallible_generator_waits_at_first() {
    let (app, _) = app();
    let app = TestApp::start(app).unwrap();
    for (first, waits) in [("open", 0), ("yield", 0), ("sent", 100), ("nothing", 250)] {
        let start = tokio::time::Instant::now();
        let _stream = app.sse(&format!("/s/may-fail?first={first}")).await;
        assert_eq!(start.elapsed().as_millis() / 10, waits / 10, "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_generator_without_an_item_is_a_finished_stream() {
    let (app, _) = app();
    let app = TestApp::start(app).unwrap();
    let start = tokio::time::Instant::now();
    let mut stream = app.sse("/s/finds-nothing").await;
    assert_eq!(start.elapsed().as_millis() / 10, 10);
    assert_eq!(stream.next().await.unwrap().event, "helios:end");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn head_never_calls_the_handler() {
    let (server, journal) = server().await;
    let head = server.send(Method::HEAD, "/s/forever", &[], "").await;
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, "text/event-stream")
    );
    assert!(journal.notes().is_empty());
}

#[tokio::test]
async fn attaching_one_handle_twice_is_a_500_without_harm() {
    let (server, _) = server().await;
    let mut first = server.sse("/s/service").await;
    first.next().await.unwrap();
    assert_eq!(server.get("/s/returns-twice").await.status, 500);
    server.sse.broadcast("still here").await.unwrap();
    assert_eq!(first.next().await.unwrap().data, "still here");
}

#[tokio::test]
async fn a_fixed_header_of_the_route_is_sent() {
    let (server, _) = server().await;
    let client = server.sse("/s/headed").await;
    assert_eq!(client.headers["x-kind"], "stream");
}

#[tokio::test]
async fn a_handler_sets_headers_but_not_the_content_type() {
    let (server, _) = server().await;
    let client = server.sse("/plain").await;
    assert_eq!(client.headers["set-cookie"], "seen=1");
    assert_eq!(client.headers["content-type"], "text/event-stream");
}
