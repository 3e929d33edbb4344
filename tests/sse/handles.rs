//! Tests for a handle before its stream is attached and after it has ended.

use std::sync::atomic::{AtomicBool, Ordering};

use helios::prelude::*;
use support::journal::Journal;
use support::within;

use super::app::server;

#[tokio::test]
async fn after_the_end_every_method_still_answers() {
    let (server, _) = server().await;
    let client = server.sse("/s/service").await;
    server.wait_for_connections(1).await;
    let handle = server.sse.clients().remove(0);
    drop(client);
    assert_eq!(
        within(handle.closed()).await,
        CloseReason::ClientDisconnected
    );
    assert!(handle.is_closed());
    assert!(matches!(
        handle.try_send("x"),
        Err(SseError::Closed(CloseReason::ClientDisconnected))
    ));
    assert!(matches!(
        handle.send_data(1).await,
        Err(SseError::Closed(_))
    ));
    assert!(matches!(
        handle.send_comment("x").await,
        Err(SseError::Closed(_))
    ));
    handle.open();
    handle.close();
    handle.reconnect_after(Duration::ZERO);
    let late = Arc::new(AtomicBool::new(false));
    let called = Arc::clone(&late);
    handle.on_close(move |reason| {
        called.store(reason == CloseReason::ClientDisconnected, Ordering::Relaxed);
    });
    assert!(late.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_detached_handle_queues_to_its_limit_until_discarded() {
    let handle = SseStream::new();
    let journal = Journal::default();
    let note = journal.clone();
    handle.on_close(move |reason| note.note(reason.as_str()));
    for _ in 0..1_000 {
        handle.send("x").await.unwrap();
    }
    assert!(matches!(handle.send("x").await, Err(SseError::Full)));
    let clone = handle.clone();
    drop(handle);
    assert!(journal.notes().is_empty());
    drop(clone);
    assert_eq!(journal.notes(), ["rejected"]);
}

#[tokio::test]
async fn events_that_cannot_be_written_are_errors_at_the_send() {
    let (server, _) = server().await;
    let handle = SseStream::new();
    for bad in [
        SseEvent::text("x").event("a\nevil: 1"),
        SseEvent::text("x").event("a\r"),
        SseEvent::text("x").id("1\nevil: 1"),
        SseEvent::text("x").id("1\0"),
        SseEvent::default(),
    ] {
        assert!(
            matches!(handle.try_send(bad.clone()), Err(SseError::Event(_))),
            "{bad:?}"
        );
        assert!(matches!(
            server.sse.broadcast(bad.clone()).await,
            Err(SseError::Event(_))
        ));
    }
    let large = SseEvent::text("x".repeat(300 * 1024));
    assert!(matches!(
        server.sse.broadcast(large).await,
        Err(SseError::TooLarge { .. })
    ));
    for reserved in [
        SseEvent::text("x").event("helios:end"),
        SseEvent::text("x").id(helios::sse::END_MARK),
    ] {
        assert!(matches!(
            server.sse.broadcast(reserved).await,
            Err(SseError::Reserved(_))
        ));
    }
}

#[tokio::test]
async fn a_newline_in_a_name_ends_the_stream_uninjected() {
    let (server, _) = server().await;
    for name in ["a%0Ainjected:%201", "a%0D", "a%0D%0Adata:%20evil"] {
        let mut client = server.sse(&format!("/s/bad-event?name={name}")).await;
        assert_eq!(client.names().await, ["message", "apology", "error"]);
        assert!(!client.text().contains("injected") && !client.text().contains("evil"));
    }
    let mut client = server.sse("/s/bad-event?name=a%00b").await;
    assert_eq!(client.names().await, ["message", "a\0b", "helios:end"]);
}
