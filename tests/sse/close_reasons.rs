//! Each way in which a connection ends, and the reason that its close hook gets.

use helios::prelude::*;
use support::journal::Journal;
use support::{TestServer, within};
use tokio::io::AsyncReadExt;

use super::app::{app, server};

async fn closed(journal: &Journal, reason: &str) {
    journal.wait_for(&format!("outer closed: {reason}")).await;
    let closes = journal
        .notes()
        .into_iter()
        .filter(|note| note.starts_with("outer closed"));
    assert_eq!(closes.count(), 1, "exactly once");
}

#[tokio::test]
async fn completed() {
    let (server, journal) = server().await;
    let mut client = server.sse("/s/generator").await;
    assert_eq!(client.names().await.len(), 4);
    closed(&journal, "completed").await;
}

#[tokio::test]
async fn closed_by_the_server() {
    let (server, journal) = server().await;
    let mut client = server.sse("/s/closes").await;
    assert_eq!(client.names().await, ["message", "helios:end"]);
    closed(&journal, "server_closed").await;
}

#[tokio::test]
async fn a_fin_while_idle() {
    let (server, journal) = server().await;
    let client = server.sse("/s/forever").await;
    server.wait_for_connections(1).await;
    drop(client);
    closed(&journal, "client_disconnected").await;
    journal.wait_for("dropped forever").await;
    assert_eq!(server.sse.stats().connections, 0);
}

#[tokio::test]
async fn a_reset_while_writing() {
    let (server, journal) = server().await;
    let mut stream = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut some = [0; 4_096];
    within(stream.read_exact(&mut some)).await.unwrap();
    // Closing a socket with unread data sends a reset.
    drop(stream);
    closed(&journal, "client_disconnected").await;
    journal.wait_for("dropped flood").await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head() {
    let (server, journal) = server().await;
    let stream = server
        .raw("GET /s/silent-producer HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    journal.wait_for("outer opened /s/silent-producer").await;
    drop(stream);
    closed(&journal, "client_disconnected").await;
}

#[tokio::test]
async fn a_panic() {
    let (server, journal) = server().await;
    let mut client = server.sse("/s/panics").await;
    assert_eq!(client.next().await.unwrap().data, "first");
    assert_eq!(client.next().await.unwrap().event, "apology");
    let error = client.next().await.unwrap();
    assert_eq!(error.event, "error");
    assert!(!client.text().contains("secret"));
    assert!(client.next().await.is_none());
    closed(&journal, "error").await;
    assert_eq!(journal.count("outer failed: the handler panicked"), 1);
}

#[tokio::test]
async fn a_stream_error_has_no_internals_and_no_end_mark() {
    let (server, journal) = server().await;
    let mut client = server.sse("/s/fails-later").await;
    assert_eq!(client.next().await.unwrap().data, "first");
    assert_eq!(
        client.next().await.unwrap().event,
        "apology",
        "the error hook may still send"
    );
    let error = client.next().await.unwrap();
    assert_eq!((error.event.as_str(), error.id.as_str()), ("error", "1"));
    let problem: serde_json::Value = serde_json::from_str(&error.data).unwrap();
    assert_eq!(
        problem,
        json!({ "type": "about:blank", "title": "Internal Server Error", "status": 500 })
    );
    assert!(client.next().await.is_none());
    closed(&journal, "error").await;
}

#[tokio::test]
async fn a_stream_error_below_500_gives_its_reason() {
    let (server, _) = server().await;
    let mut client = server.sse("/s/fails-with-a-reason").await;
    client.next().await.unwrap();
    client.next().await.unwrap();
    let error = client.next().await.unwrap();
    assert!(
        error.data.contains("the source has dried up"),
        "{}",
        error.data
    );
}

#[tokio::test]
async fn a_panic_while_the_stream_is_dropped_leaks_no_connection() {
    let (server, journal) = server().await;
    let mut client = server.sse("/s/fails-twice").await;
    assert_eq!(client.names().await, ["message", "apology", "error"]);
    closed(&journal, "error").await;
    assert_eq!(server.sse.stats().connections, 0);
}

#[tokio::test]
async fn shutdown() {
    let (server, journal) = server().await;
    let mut client = server.sse("/s/forever").await;
    client.read().await.unwrap();
    server.stop().await.unwrap();
    let word = client.next().await.unwrap();
    assert_eq!(word.event, "helios:reconnect");
    assert_eq!(word.data, r#"{"reason":"shutdown"}"#);
    assert!(client.text().contains("\nretry: "));
    assert!(client.next().await.is_none());
    assert_eq!(
        journal.count("outer closed: shutdown"),
        1,
        "it ran before `listen` returned"
    );
}

#[tokio::test]
async fn a_slow_client_s_shutdown_is_cut_at_the_deadline() {
    let (app, journal) = app();
    let server = TestServer::start(app.drain_deadline(Duration::from_millis(300))).await;
    let _unread = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.wait_for_connections(1).await;
    server.stop().await.unwrap();
    closed(&journal, "shutdown").await;
}
