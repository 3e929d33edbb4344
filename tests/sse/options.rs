//! Options that show on the wire.

use helios::prelude::*;
use helios::sse::Decoded;
use helios::testing::TestApp;
use support::TestServer;
use support::journal::Journal;

use super::app::Streams;

#[server(controllers = [Streams], sse(enabled = true, keep_alive = "500ms", retry = "2s", welcome = true, control_prefix = "ctl."))]
struct Tuned;

#[tokio::test(start_paused = true)]
async fn a_comment_is_sent_after_silence_and_not_on_a_fixed_beat() {
    let app = Helios::new(Tuned).provide(Journal::default());
    let sse = app.sse();
    let app = TestApp::start(app).unwrap();
    let mut stream = app.sse("/s/service").await;
    while stream.next().await.unwrap().data != "hello" {}
    let start = tokio::time::Instant::now();
    sleep(Duration::from_millis(400)).await;
    sse.broadcast("x").await.unwrap();
    assert_eq!(stream.next().await.unwrap().data, "x");
    assert_eq!(
        stream.next_item().await,
        Some(Decoded::Comment(String::new()))
    );
    let silence = start.elapsed();
    assert!((850..1_100).contains(&silence.as_millis()), "{silence:?}");
    assert_eq!(
        stream.next_item().await,
        Some(Decoded::Comment(String::new()))
    );
}

#[tokio::test]
async fn welcome_retry_and_prefix_are_as_set() {
    let server = TestServer::start(Helios::new(Tuned).provide(Journal::default())).await;
    let mut client = server.sse("/s/closes").await;
    assert_eq!(client.names().await, ["welcome", "message", "ctl.end"]);
    let text = client.text();
    assert!(
        text.starts_with(":\nretry: 2000\nevent: welcome\ndata: {\"uuid\":\""),
        "{text}"
    );
}
