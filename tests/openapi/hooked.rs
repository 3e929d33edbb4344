//! Connection hooks, which every stream below their controllers passes.

use helios::prelude::*;
use helios::testing::TestApp;
use serde_json::Value;

#[derive(Debug, HttpError, thiserror::Error)]
enum Refused {
    #[error("the house is full")]
    #[http(status = 409)]
    Full,
}

#[derive(SseEvents)]
enum Told {
    Said(String),
}

#[derive(Injectable)]
struct House;

#[controller(prefix = "house/{number}", controllers = [Room])]
impl House {
    #[on_sse_connection]
    async fn enter(
        &self,
        client: SseStream,
        #[param] number: u8,
        #[query] name: String,
        #[header("x-hat")] hat: Option<u32>,
    ) -> Result<(), Refused> {
        client
            .join(format!("house:{number}"))
            .await
            .map_err(|_| Refused::Full)?;
        match name.is_empty() && hat.is_none() {
            true => Err(Refused::Full),
            false => Ok(()),
        }
    }

    #[get]
    fn number(&self, #[param] number: u8) -> Json<u8> {
        Json(number)
    }
}

#[derive(Injectable)]
struct Room;

#[controller(prefix = "room")]
impl Room {
    #[on_sse_connection]
    fn opened(&self, #[query] seat: u8) {
        assert!(seat < u8::MAX);
    }

    #[sse("live")]
    fn live(&self, #[query] name: Option<String>) -> impl Stream<Item = Told> {
        stream! { yield Told::Said(name.unwrap_or_default()); }
    }
}

/// Its hook has no handle.
#[derive(Injectable)]
struct Yard;

#[controller(prefix = "yard")]
impl Yard {
    #[on_sse_connection]
    fn opened(&self, #[query] seat: u8) {
        assert!(seat < u8::MAX);
    }

    #[sse("live")]
    fn live(&self) -> impl Stream<Item = Told> {
        stream! { yield Told::Said("hi".into()); }
    }
}

#[server(controllers = [House, Yard], sse(enabled = true))]
struct App;

fn operation(path: &str) -> Value {
    let document = Helios::new(App).openapi_document().unwrap();
    assert!(document.unknown().is_empty(), "{:?}", document.unknown());
    document.v3_2()["paths"][path]["get"].clone()
}

#[test]
fn a_stream_has_the_parameters_of_the_hooks_around_it() {
    let live = operation("/house/{number}/room/live");
    let parameters = live["parameters"].as_array().unwrap();
    let parameter = |it: &Value| (it["name"].clone(), it["required"] == true);
    let parameters: Vec<_> = parameters.iter().map(parameter).collect();
    let expected = [
        ("number", true),
        ("name", true),
        ("x-hat", false),
        ("seat", true),
    ];
    let expected = expected.map(|(name, required)| (json!(name), required));
    assert_eq!(parameters[..4], expected);
    assert_eq!(live["parameters"][0]["schema"]["format"], "uint8");
    let plain = operation("/house/{number}");
    assert_eq!(plain["parameters"].as_array().unwrap().len(), 1);
    assert!(plain["responses"]["409"].is_null());
}

#[tokio::test]
async fn a_stream_has_the_errors_of_the_hooks_around_it() {
    let live = &operation("/house/{number}/room/live")["responses"];
    let server = TestApp::start(App).unwrap();
    for (path, status) in [
        ("?seat=1", 400),
        ("?name=ann&seat=x", 400),
        ("?name=&seat=1", 409),
    ] {
        let answer = server.get(&format!("/house/1/room/live{path}")).await;
        assert_eq!(answer.status(), status, "{path}");
        assert!(live[status.to_string()].is_object(), "{live:#}");
    }
}

#[tokio::test]
async fn a_hook_with_a_handle_may_join_topics() {
    let server = TestApp::start(App).unwrap();
    let mut live = server.sse("/house/1/room/live?name=ann&seat=1").await;
    let mut events = [
        live.next().await.unwrap().event,
        live.next().await.unwrap().event,
    ];
    events.sort();
    assert_eq!(events, ["Said", "helios:ready"]);
    let live = operation("/house/{number}/room/live").to_string();
    assert!(live.contains("HeliosReady"));

    let mut without = server.sse("/yard/live?seat=1").await;
    assert_eq!(without.next().await.unwrap().event, "Said");
    assert!(!operation("/yard/live").to_string().contains("HeliosReady"));
}
