//! An event for one client finds it on any server.

use helios::prelude::*;
use support::backplane::Log;

use super::local::Local;

#[tokio::test(start_paused = true)]
async fn an_event_for_a_client_elsewhere_arrives_in_its_place() {
    let log = Log::new(100);
    let (one, two) = (Local::start(&log, 1).await, Local::start(&log, 2).await);
    let (mut client, id) = one.client(&["x"]).await;
    let (mut other, _) = one.client(&["x"]).await;
    assert!(id.node().is_some());
    two.sse().publish("x", "before").await.unwrap();
    let private = SseEvent::text("for you").event("private");
    two.sse().send_to_client(id, private).await.unwrap();
    two.sse().publish("x", "after").await.unwrap();
    for (data, name) in [
        ("before", "message"),
        ("for you", "private"),
        ("after", "message"),
    ] {
        let event = client.next().await;
        assert_eq!((&*event.data, &*event.event), (data, name));
    }
    assert_eq!(other.data().await, "before");
    assert_eq!(other.data().await, "after");
}

#[tokio::test(start_paused = true)]
async fn a_client_of_an_ended_server_is_no_longer_known() {
    let log = Log::new(100);
    let (one, two) = (Local::start(&log, 1).await, Local::start(&log, 2).await);
    let (_client, id) = one.client(&["x"]).await;
    let unknown = ClientId::from_random_bytes([7; 16]);
    let gone = two.sse().send_to_client(unknown, "x").await;
    assert!(matches!(gone, Err(SseError::NoSuchClient(of)) if of == unknown));
    one.hub.shutdown(Duration::ZERO).await;
    let gone = two.sse().send_to_client(id, "x").await;
    assert!(
        matches!(gone, Err(SseError::NoSuchClient(of)) if of == id),
        "{gone:?}"
    );
    // This client has left a server that is still running.
    let (client, id) = two.client(&["x"]).await;
    drop(client);
    let gone = two.sse().send_to_client(id, "x").await;
    assert!(
        matches!(gone, Err(SseError::NoSuchClient(of)) if of == id),
        "{gone:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_event_for_one_client_is_fetched() {
    let log = Log::new(100);
    let (one, two) = (Local::start(&log, 1).await, Local::start(&log, 2).await);
    let (mut client, id) = one.client(&["x"]).await;
    one.link.lose(true);
    two.sse().send_to_client(id, "lost").await.unwrap();
    one.link.flush().await;
    one.link.lose(false);
    two.sse().send_to_client(id, "next").await.unwrap();
    assert_eq!(client.data().await, "lost");
    assert_eq!(client.data().await, "next");
}

#[tokio::test(start_paused = true)]
async fn messages_between_servers_belong_to_no_topic_of_an_app() {
    let one = Local::start(&Log::new(100), 1).await;
    let (_client, id) = one.client(&["x"]).await;
    let own = format!("helios:node:{}", id.node().unwrap());
    for name in ["helios:", &own] {
        let published = one.sse().publish(name, "x").await;
        assert!(
            matches!(published, Err(SseError::InvalidTopic(_))),
            "{name}"
        );
        let joined = one.sse().subscribe([name]).await;
        assert!(matches!(joined, Err(SseError::InvalidTopic(_))), "{name}");
    }
    assert_eq!(one.sse().stats().topics, 1);
}
