//! Events from the injected service, and their receivers.

use helios::prelude::*;

use super::app::server;

#[tokio::test]
async fn a_broadcast_reaches_every_connection_as_it_was_published() {
    let (server, _) = server().await;
    let mut plain = server.sse("/plain").await;
    let mut other = server.sse("/s/forever").await;
    server.wait_for_connections(2).await;
    assert_eq!(
        plain.next().await.unwrap().data,
        r#"{"at":"/plain","data":1}"#
    );
    assert_eq!(
        plain.next().await.unwrap().data,
        r#"{"at":"/plain","data":"text"}"#
    );
    server
        .sse
        .broadcast(SseEvent::json(json!(2)).event("all"))
        .await
        .unwrap();
    for client in [&mut plain, &mut other] {
        let event = client.next().await.unwrap();
        assert_eq!(
            (event.event.as_str(), event.data.as_str()),
            ("all", "2"),
            "interceptors do not see it"
        );
    }
    let stats = server.sse.stats();
    assert_eq!(
        (stats.connections, stats.published, stats.delivered),
        (2, 1, 4)
    );
}

#[tokio::test]
async fn private_events_and_broadcasts_except_one_keep_their_order() {
    let (server, _) = server().await;
    let mut client = server.sse("/s/service").await;
    client.next().await.unwrap();
    let id = server.sse.clients()[0].id();
    server.sse.broadcast("1").await.unwrap();
    server.sse.send_to_client(id, "2").await.unwrap();
    server
        .sse
        .broadcast_except(id, "not for you")
        .await
        .unwrap();
    server.sse.broadcast("3").await.unwrap();
    for expected in ["1", "2", "3"] {
        assert_eq!(client.next().await.unwrap().data, expected);
    }
}

#[tokio::test]
async fn two_apps_in_one_process_do_not_share_connections() {
    let (one, _) = server().await;
    let (two, _) = server().await;
    let _client = one.sse("/s/forever").await;
    one.wait_for_connections(1).await;
    assert!(two.sse.clients().is_empty());
    let id = one.sse.clients()[0].id();
    assert!(two.sse.client(id).is_none());
}
