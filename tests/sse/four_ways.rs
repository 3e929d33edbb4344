//! The four ways to write a stream, as they look on the socket.

use helios::prelude::*;
use http::Method;

use super::app::{end, server};

#[tokio::test]
async fn a_generator_is_written_byte_by_byte_as_documented() {
    let (server, _) = server().await;
    let mut client = server.sse("/s/generator").await;
    while client.read().await.is_some() {}
    assert_eq!(
        client.text(),
        ":\nretry: 3000\n\
         event: update\nid: 0\ndata: {\"count\":0}\n\n\
         event: update\nid: 1\ndata: {\"count\":1}\n\n\
         event: update\nid: 2\ndata: {\"count\":2}\n\n\
         event: helios:end\nid: helios:end\ndata: \n\n"
    );
    let headers = [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("connection", "keep-alive"),
    ];
    for (name, value) in headers {
        assert_eq!(client.headers[name], value);
    }
}

#[tokio::test]
async fn a_generator_resumes_after_an_id_and_ignores_bad_ones() {
    let (server, _) = server().await;
    for (id, first) in [("1", "2"), ("", "0"), ("garbage", "0")] {
        let headers = [("last-event-id", id)];
        let mut client = server
            .sse_with(Method::GET, "/s/generator", &headers, "")
            .await;
        assert_eq!(client.next().await.unwrap().id, first, "after {id:?}");
    }
    let mut client = server.sse("/s/generator?lastEventId=1").await;
    assert_eq!(client.next().await.unwrap().id, "2");
}

#[tokio::test]
async fn a_producer_is_held_back_by_a_full_connection() {
    let (server, _) = server().await;
    let mut client = server.sse("/s/producer/5000").await;
    for i in 0..5_000 {
        assert_eq!(client.next().await.unwrap().data, i.to_string());
    }
    end(&mut client).await;
}

#[tokio::test]
async fn a_handle_is_driven_from_another_task() {
    let (server, _) = server().await;
    let mut client = server.sse("/s/handle").await;
    assert_eq!(client.next().await.unwrap().data, "one");
    let last = client.next().await.unwrap();
    assert_eq!((last.event.as_str(), last.data.as_str()), ("last", "two"));
    end(&mut client).await;
}

#[tokio::test]
async fn the_service_reaches_clients_before_and_after_they_are_attached() {
    let (server, _) = server().await;
    let mut client = server.sse("/s/service").await;
    assert_eq!(client.next().await.unwrap().event, "welcome");
    let id = server.sse.clients()[0].id();
    server.sse.send_to_client(id, "again").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "again");
    drop(client);
    server.wait_for_connections(0).await;
    let gone = server.sse.send_to_client(id, "gone").await;
    assert!(matches!(gone, Err(SseError::NoSuchClient(missing)) if missing == id));
}

#[tokio::test]
async fn a_stream_may_answer_a_post_and_use_its_body() {
    let (server, _) = server().await;
    let headers = [("content-type", "application/json")];
    let mut client = server
        .sse_with(Method::POST, "/s/posted", &headers, r#"["a","b"]"#)
        .await;
    assert_eq!(client.next().await.unwrap().data, "a");
    assert_eq!(client.next().await.unwrap().data, "b");
    assert!(client.next().await.is_none());
    let bad = server.post("/s/posted", "application/json", "{}").await;
    assert_eq!(bad.problem()["status"], 422);
}

#[tokio::test]
async fn the_variants_of_an_enum_are_named_events() {
    let (server, _) = server().await;
    let mut client = server.sse("/typed").await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event = client.next().await.unwrap();
        seen.push((event.event, event.data));
    }
    let expected = [
        ("started", "null"),
        ("step-done", r#"{"step":1,"of":2}"#),
        ("failed", r#""no""#),
    ];
    assert_eq!(
        seen,
        expected.map(|(name, data)| (name.to_owned(), data.to_owned()))
    );
}
