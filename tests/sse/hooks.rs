//! Connection and close hooks: for which streams they run, and in which order.

use super::app::server;

#[tokio::test]
async fn hooks_run_for_own_and_nested_routes_in_order() {
    let (server, journal) = server().await;
    let client = server.sse("/s/nested").await;
    server.wait_for_connections(1).await;
    drop(client);
    journal.wait_for("outer closed: client_disconnected").await;
    assert_eq!(
        journal.notes(),
        [
            "outer opened /s/nested",
            "last None",
            "inner opened",
            "inner closed: client_disconnected",
            "outer closed: client_disconnected",
        ]
    );
}

#[tokio::test]
async fn they_never_run_for_the_streams_of_others() {
    let (server, journal) = server().await;
    let mut client = server.sse("/plain").await;
    client.next().await.unwrap();
    drop(client);
    server.wait_for_connections(0).await;
    let mut typed = server.sse("/typed").await;
    assert_eq!(typed.names().await.len(), 4);
    assert_eq!(journal.notes(), [""; 0]);
}

#[tokio::test]
async fn the_outer_hook_sees_the_inner_hooks_refusal_as_rejected() {
    let (server, journal) = server().await;
    let answer = server.get("/s/nested?refuse=inner").await;
    assert_eq!(answer.problem()["status"], 409);
    journal.wait_for("outer closed: rejected").await;
    assert_eq!(journal.count("inner closed: rejected"), 0);
    assert!(server.sse.clients().is_empty());
}

#[tokio::test]
async fn hook_arguments_that_do_not_bind_refuse_the_request() {
    let (server, _) = server().await;
    let answer = server.get("/s/generator?refuse=a&refuse=b").await;
    assert_eq!(answer.problem()["errors"][0]["name"], "refuse");
}
