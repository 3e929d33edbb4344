//! Streams that join topics by a handle: in a producer, in a generator, or in a connection hook.

use helios::prelude::*;
use helios::testing::{TestApp, TestStream};
use serde_json::Value;

#[derive(SseEvents)]
enum Told {
    Said(String),
}

#[derive(Injectable)]
struct Rooms;

#[controller(prefix = "rooms")]
impl Rooms {
    #[sse("produced", events = Told)]
    async fn produced(&self, stream: SseStream) -> Result<(), SseError> {
        stream.join("room").await?;
        stream.send(Told::Said("hi".into())).await
    }

    #[sse("plain", plain, restart, events = Told)]
    async fn plain(&self, stream: SseStream) -> Result<(), SseError> {
        stream.join("room").await?;
        stream.send(Told::Said("hi".into())).await
    }

    #[sse("held")]
    async fn held(&self, stream: SseStream) -> Result<impl Stream<Item = Told>, SseError> {
        stream.join("room").await?;
        Ok(stream! { yield Told::Said("hi".into()); })
    }

    #[sse("alone")]
    fn alone(&self) -> impl Stream<Item = Told> {
        stream! { yield Told::Said("hi".into()); }
    }

    #[sse("alone-plain", plain, restart)]
    fn alone_plain(&self) -> impl Stream<Item = Told> {
        stream! { yield Told::Said("hi".into()); }
    }
}

#[server(controllers = [Rooms], sse(enabled = true))]
struct App;

fn app() -> Helios {
    Helios::new(App).sse_options(|sse| sse.presence = vec!["room".into()])
}

fn operation(path: &str) -> Value {
    app().openapi_document().unwrap().v3_2()["paths"][path]["get"].clone()
}

fn has(path: &str, event: &str) -> bool {
    let stream = &operation(path)["responses"]["200"]["content"]["text/event-stream"];
    stream["itemSchema"].to_string().contains(event)
}

async fn first(stream: &mut TestStream) -> String {
    stream.next().await.unwrap().event
}

#[tokio::test]
async fn a_producer_and_a_generator_with_a_handle_are_told_that_they_are_live() {
    let server = TestApp::start(app()).unwrap();
    for path in ["/rooms/produced", "/rooms/held"] {
        let mut stream = server.sse(path).await;
        let mut events = vec![first(&mut stream).await, first(&mut stream).await];
        events.sort();
        assert_eq!(events, ["Said", "helios:ready"], "{path}");
        for event in ["HeliosReady", "HeliosReset", "HeliosJoined"] {
            assert!(has(path, event), "{path} {event}");
        }
    }
    let mut alone = server.sse("/rooms/alone").await;
    assert_eq!(first(&mut alone).await, "Said");
    assert!(!has("/rooms/alone", "HeliosReady"));
}

#[tokio::test]
async fn a_plain_producer_may_send_a_client_away() {
    let plain = operation("/rooms/plain");
    for status in ["204", "410"] {
        assert!(plain["responses"][status].is_object(), "{status}");
    }
    assert_eq!(plain["parameters"][0]["name"], "Last-Event-ID");
    assert!(has("/rooms/plain", "HeliosJoined"));
    assert!(!has("/rooms/plain", "HeliosReady"));
    let alone = operation("/rooms/alone-plain");
    assert!(alone["responses"]["410"].is_null());
    assert!(alone["parameters"].is_null());
}
