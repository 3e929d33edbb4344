//! Clients that do not read, or vanish.

use helios::prelude::*;
use support::{TestServer, eventually, read_to_end};

use super::app::{app, server};

/// Returns the memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[tokio::test]
async fn a_client_that_never_reads_costs_little_memory() {
    let (server, journal) = server().await;
    let mut reader = server.sse("/s/forever").await;
    let _unread = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.wait_for_connections(2).await;
    let before = resident();
    for n in 0..2_000 {
        server.sse.broadcast("y".repeat(1_000)).await.unwrap();
        assert_eq!(reader.next().await.unwrap().data.len(), 1_000, "{n}");
    }
    assert!(resident() < before + (32 << 20));
    assert_eq!(
        journal.count("dropped flood"),
        0,
        "the generator waits, it is not polled on"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_as_slow() {
    let (app, journal) = app();
    let app = app.sse_options(|sse| sse.stuck_after = Duration::from_millis(200));
    let server = TestServer::start(app).await;
    let mut unread = server.raw("GET /s/flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.wait_for_connections(1).await;
    journal.wait_for("outer closed: slow_client").await;
    journal.wait_for("dropped flood").await;
    assert_eq!(server.sse.stats().slow_closes, 1);
    read_to_end(&mut unread).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_clients_that_vanish_in_writes_leave_nothing() {
    let (server, journal) = server().await;
    let (mut rounds, mut grown) = (0, usize::MAX);
    // The tests that run beside this one have memory of their own. A leak would show in every round.
    while rounds < 4 || grown > 1 << 20 {
        let before = resident();
        vanish(&server).await;
        rounds += 1;
        grown = resident().saturating_sub(before);
        assert!(rounds < 20, "each 500 clients leave {grown} bytes and more");
    }
    let notes = |text: &str| journal.count(text);
    eventually(|| notes("outer closed: client_disconnected") == 500 * rounds).await;
    eventually(|| notes("dropped flood") == 50 * rounds).await;
    assert!(server.sse.clients().is_empty());
}

/// 500 clients connect, and vanish in the middle of writes.
async fn vanish(server: &TestServer) {
    let mut clients = Vec::new();
    for n in 0..500 {
        let path = if n % 10 == 0 { "flood" } else { "forever" };
        let request = format!("GET /s/{path} HTTP/1.1\r\nhost: x\r\n\r\n");
        clients.push(server.raw(&request).await);
    }
    server.wait_for_connections(500).await;
    server.sse.broadcast("to all").await.unwrap();
    drop(clients);
    server.wait_for_connections(0).await;
}
