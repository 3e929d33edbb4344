//! Handles that join, send and close before the response head is sent.

use helios::prelude::*;
use helios::testing::TestApp;
use helios::{EventId, SseOptions};

use super::app::all_now;

/// Streams that are used before they are attached.
#[derive(Injectable)]
struct Handles {
    sse: SseService,
}

#[controller(prefix = "h")]
impl Handles {
    #[sse("closed-own")]
    async fn closed_own(&self) -> Result<SseStream, SseError> {
        let stream = SseStream::new();
        stream.join("x").await?;
        stream.send("last word").await?;
        stream.close();
        Ok(stream)
    }

    #[sse("closed-service")]
    async fn closed_service(&self) -> Result<SseStream, SseError> {
        let stream = self.sse.create_connection();
        stream.join("x").await?;
        stream.send("last word").await?;
        stream.close();
        Ok(stream)
    }

    #[sse("producer")]
    async fn producer(&self, stream: SseStream) -> Result<(), SseError> {
        stream.join("orders").await?;
        stream.open();
        stream.closing().await;
        Ok(())
    }

    #[sse("from-service/{id}")]
    async fn service_from(&self, #[param] id: String) -> Result<SseStream, SseError> {
        let stream = self.sse.create_connection();
        stream
            .join_from("x", id.parse::<EventId>().unwrap())
            .await?;
        Ok(stream)
    }

    #[sse("from-own/{id}")]
    async fn own_from(&self, #[param] id: String) -> Result<SseStream, SseError> {
        let stream = SseStream::new();
        stream
            .join_from("x", id.parse::<EventId>().unwrap())
            .await?;
        Ok(stream)
    }
}

#[server(controllers = [Handles], sse(enabled = true))]
struct App;

fn start(change: impl FnOnce(&mut SseOptions)) -> TestApp {
    TestApp::start(Helios::new(App).sse_options(change)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handle_closed_before_it_is_attached_sends_its_event() {
    let app = start(|_| {});
    for path in ["/h/closed-service", "/h/closed-own"] {
        let mut client = app.sse(path).await;
        let told = all_now(&mut client).await;
        assert!(told.iter().any(|event| event.data == "last word"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_producer_joins_before_its_head_is_resumed() {
    let app = start(|_| {});
    let sse = app.sse_service().clone();
    let seen = sse.publish("orders", "o1").await.unwrap();
    sse.publish("orders", "o2").await.unwrap();
    let mut stream = app
        .sse("/h/producer")
        .last_event_id(&seen.to_string())
        .await;
    let got = all_now(&mut stream).await;
    assert!(
        got.iter()
            .any(|event| event.data == "o2" || event.event == "helios:reset"),
        "o2 is lost silently"
    );
}

#[tokio::test(start_paused = true)]
async fn join_from_before_the_head_tells_that_history_is_gone() {
    let app = start(|sse| sse.history.events = 2);
    let sse = app.sse_service();
    let x1 = sse.publish("x", "x1").await.unwrap();
    for n in 2..=6 {
        sse.publish("x", format!("x{n}")).await.unwrap();
    }
    let mut first = app.sse(&format!("/h/from-service/{x1}")).await;
    let got = all_now(&mut first).await;
    assert!(got.iter().any(|event| event.event == "helios:reset"));
}

#[tokio::test(start_paused = true)]
async fn join_from_on_an_own_handle_begins_after_the_id() {
    let app = start(|_| {});
    let sse = app.sse_service();
    let x1 = sse.publish("x", "x1").await.unwrap();
    sse.publish("x", "x2").await.unwrap();
    for handle in ["service", "own"] {
        let mut client = app.sse(&format!("/h/from-{handle}/{x1}")).await;
        let got = all_now(&mut client).await;
        assert_eq!(got[0].event, "helios:ready", "{handle}");
        assert_eq!(got[1].data, "x2", "{handle}");
    }
}
