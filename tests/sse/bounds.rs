//! Limits that hold for a single connection.

use helios::prelude::*;
use helios::testing::TestApp;
use support::TestServer;

use super::app::app;

#[tokio::test]
async fn a_generator_waits_for_a_small_backlog() {
    let (app, _) = app();
    let server = TestServer::start(app.sse_options(|sse| sse.backlog.bytes = 50)).await;
    let mut client = server.sse("/s/generator").await;
    assert_eq!(
        client.names().await,
        ["update", "update", "update", "helios:end"]
    );
}

#[tokio::test(start_paused = true)]
async fn events_sent_before_a_close_are_written_despite_publishes() {
    let (app, _) = app();
    let sse = app.sse();
    let app = TestApp::start(app).unwrap();
    let mut stream = app.sse("/s/service").await;
    while stream.next().await.unwrap().data != "hello" {}
    let client = sse.clients().remove(0);
    client.send("last words").await.unwrap();
    client.close();
    for _ in 0..5_000 {
        sse.broadcast("for others").await.unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    let rest: Vec<_> = stream
        .rest()
        .await
        .into_iter()
        .map(|event| event.data)
        .collect();
    assert_eq!(rest, ["last words", ""]);
    assert_eq!(sse.stats().slow_closes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_too_far_behind_is_told_to_come_back() {
    let (app, journal) = app();
    let sse = app.sse();
    let app = TestApp::start(app).unwrap();
    let mut stream = app.sse("/s/service").await;
    while stream.next().await.unwrap().data != "hello" {}
    for _ in 0..5_000 {
        sse.broadcast("much").await.unwrap();
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(
        stream.rest().await.last().unwrap().event,
        "helios:reconnect"
    );
    journal.wait_for("outer closed: slow_client").await;
    assert_eq!(sse.stats().slow_closes, 1);
}

#[tokio::test]
async fn options_hold_although_something_was_published_before_the_start() {
    let (app, _) = app();
    app.sse().broadcast("to nobody").await.unwrap();
    let app = app.sse_options(|sse| sse.control_prefix = "early.".into());
    let server = TestServer::start(app).await;
    assert_eq!(
        server.sse("/s/closes").await.names().await,
        ["message", "early.end"]
    );
}

#[tokio::test]
async fn options_with_which_nothing_could_be_sent_are_refused() {
    let change: [fn(&mut helios::SseOptions); 15] = [
        |sse| sse.backlog.events = 0,
        |sse| sse.stuck_after = Duration::ZERO,
        |sse| sse.retry = Duration::MAX,
        |sse| sse.control_prefix = "a\nb".into(),
        |sse| sse.keep_alive = Some(Duration::ZERO),
        |sse| sse.hook_timeout = Duration::ZERO,
        |sse| sse.history_bytes = 0,
        |sse| sse.max_age = Some(Duration::ZERO),
        |sse| sse.max_age = Some(Duration::MAX),
        |sse| sse.closing_grace = Some(Duration::MAX),
        |sse| sse.finish_within = Some(Duration::MAX),
        |sse| sse.head_after = Some(Duration::MAX),
        |sse| sse.connections.retry = Duration::MAX,
        |sse| sse.connections.per_second = Some(f64::NAN),
        |sse| sse.connections.per_second = Some(0.0),
    ];
    for change in change {
        let refused = app().0.sse_options(change).into_service();
        assert!(matches!(refused, Err(helios::Error::Setting { .. })));
    }
}
