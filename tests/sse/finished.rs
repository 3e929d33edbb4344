//! The end mark. A finished stream stays finished.

use helios::prelude::*;
use helios::sse::Decoded;
use http::Method;

use super::app::server;

#[tokio::test]
async fn a_client_that_returns_the_end_mark_gets_a_204() {
    let (server, journal) = server().await;
    for path in ["/s/generator", "/s/producer/not-a-number"] {
        let headers = [("last-event-id", helios::sse::END_MARK)];
        let answer = server.send(Method::GET, path, &headers, "").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
    }
    assert!(journal.notes().is_empty(), "neither bound nor called");
}

#[tokio::test]
async fn a_restarting_route_has_no_end() {
    let (server, _) = server().await;
    let headers = [("last-event-id", helios::sse::END_MARK)];
    let mut client = server
        .sse_with(Method::GET, "/s/restart", &headers, "")
        .await;
    assert_eq!(client.names().await, ["message"]);
}

#[tokio::test]
async fn reconnect_after_ends_the_connection_but_not_the_stream() {
    let (server, journal) = server().await;
    let mut client = server.sse("/s/service").await;
    client.next().await.unwrap();
    server.sse.clients()[0].reconnect_after(Duration::from_millis(1_500));
    let items = [
        client.next_item().await.unwrap(),
        client.next_item().await.unwrap(),
    ];
    assert_eq!(items[0], Decoded::Retry(Duration::from_millis(1_500)));
    assert!(
        matches!(&items[1], Decoded::Event(event) if event.event == "helios:reconnect" && event.id.is_empty())
    );
    assert!(client.next().await.is_none());
    journal.wait_for("outer closed: server_closed").await;
}
