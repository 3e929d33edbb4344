//! The events of a reset hook count as part of the reset.

use helios::prelude::*;
use helios::testing::TestApp;

#[derive(Injectable)]
struct Room {
    sse: SseService,
}

#[controller(prefix = "room")]
impl Room {
    #[sse]
    async fn enter(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["room"]).await
    }

    #[on_sse_reset]
    async fn reset(&self, client: SseStream) -> Result<(), SseError> {
        client.send(SseEvent::text("all").event("snapshot")).await
    }
}

#[server(controllers = [Room], sse(enabled = true))]
struct App;

/// The client reads this many events, is cut, and resumes with the last id that it has seen.
async fn is_reset_again_when_cut_after(events: usize) {
    let app = TestApp::start(App).unwrap();
    let mut last = "1234-9".to_owned(); // of another run
    let mut stream = app.sse("/room").last_event_id(&last).await;
    for _ in 0..events {
        let event = stream.next().await.unwrap();
        if !event.id.is_empty() {
            last = event.id;
        }
    }
    drop(stream);
    let mut stream = app.sse("/room").last_event_id(&last).await;
    app.sse_service().publish("room", "live").await.unwrap();
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "message") {
        names.push(stream.next().await.unwrap().event);
    }
    assert!(names.contains(&"snapshot".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_client_cut_before_its_reset_is_reset_again() {
    is_reset_again_when_cut_after(1).await;
}

#[tokio::test]
async fn a_client_cut_before_its_snapshot_is_reset_again() {
    is_reset_again_when_cut_after(2).await;
}
