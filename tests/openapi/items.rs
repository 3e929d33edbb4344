//! The items of streams whose events share names, or of which there are none.

use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use helios::testing::TestApp;
use serde_json::Value;

#[derive(SseEvents)]
enum Mixed {
    #[sse(rename = "error")]
    Failed { why: String },
    #[sse(rename = "other")]
    Other(),
    #[sse(rename = "helios:end")]
    Ended(u8),
}

#[derive(SseEvents)]
enum Nothing {}

#[derive(Injectable)]
struct Items;

#[controller]
impl Items {
    #[sse("mixed")]
    fn mixed(&self) -> impl Stream<Item = Mixed> {
        stream! {
            yield Mixed::Failed { why: "full".to_owned() };
            yield Mixed::Other();
            yield Mixed::Ended(1);
        }
    }

    #[sse("plain", plain, restart, on_error = "event")]
    fn plain(&self) -> impl Stream<Item = Result<&'static str, HttpError>> {
        stream! {
            yield Ok("a");
            yield Err(HttpError::conflict("enough"));
        }
    }

    #[sse("nothing", plain, events = Nothing)]
    fn nothing(&self) -> SseStream {
        SseStream::new()
    }
}

#[server(controllers = [Items], sse(enabled = true))]
struct App;

fn document() -> OpenApiDocument {
    Helios::new(App).openapi_document().unwrap()
}

fn item(document: &Value, path: &str, key: &str) -> Value {
    let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
    content["text/event-stream"][key].clone()
}

fn own(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[test]
fn events_of_one_name_are_one_alternative() {
    let document = document();
    let mixed = item(document.v3_2(), "/mixed", "itemSchema");
    let items = mixed["oneOf"].as_array().unwrap();
    let named = |name: &str| {
        let mut all = items.iter();
        all.find(|it| it["anyOf"][0]["properties"]["event"]["const"] == name)
    };
    assert_eq!(named("error").unwrap()["anyOf"][1], own("HeliosError"));
    // The server refuses an event of the app with this name.
    assert!(items.contains(&own("HeliosEnd")), "{mixed:#}");
    assert_eq!(items.len(), 5, "{mixed:#}");
    // In 3.1 the data is the value itself.
    let older = item(document.v3_1(), "/mixed", "schema");
    let failed = &older["oneOf"][0]["anyOf"][0]["properties"]["data"];
    assert_eq!(failed["properties"]["why"]["type"], "string");
    assert!(!document.v3_1().to_string().contains("contentSchema"));
}

#[tokio::test]
async fn a_plain_stream_may_report_its_error() {
    let app = TestApp::start(App).unwrap();
    let events = app.sse("/plain").await.rest().await;
    assert_eq!(events[1].event, "error");
    let plain = item(document().v3_2(), "/plain", "itemSchema");
    assert_eq!(plain["oneOf"][1], own("HeliosError"), "{plain:#}");
}

#[tokio::test]
async fn a_variant_without_values_is_null() {
    let app = TestApp::start(App).unwrap();
    let events = app.sse("/mixed").await.rest().await;
    assert_eq!((&*events[1].event, &*events[1].data), ("other", "null"));
    let mixed = item(document().v3_2(), "/mixed", "itemSchema");
    let other = &mixed["oneOf"][1]["properties"];
    assert_eq!(other["event"]["const"], "other");
    assert_eq!(other["data"]["contentSchema"]["type"], "null");
}

#[test]
fn a_stream_without_events_has_no_item() {
    let nothing = json!({ "not": {} });
    let document = document();
    assert_eq!(item(document.v3_2(), "/nothing", "itemSchema"), nothing);
    assert_eq!(item(document.v3_1(), "/nothing", "schema"), nothing);
}
