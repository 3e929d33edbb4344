//! Refusals of values that any text would be.

use bytes::Bytes;
use helios::prelude::*;
use helios::testing::TestApp;
use serde_json::Value;

#[derive(Injectable)]
struct Refusals;

#[controller]
impl Refusals {
    #[post("text")]
    fn text(&self, text: String) -> String {
        text
    }

    #[post("bytes")]
    fn bytes(&self, bytes: Bytes) -> String {
        bytes.len().to_string()
    }

    #[get("query")]
    fn query(&self, #[query] q: Option<String>) -> String {
        format!("{q:?}")
    }

    #[get("queries")]
    fn queries(&self, #[query] q: Vec<String>) -> String {
        format!("{q:?}")
    }

    #[get("header")]
    fn header(&self, #[header] x: Option<String>) -> String {
        format!("{x:?}")
    }

    #[get("headers")]
    fn headers(&self, #[header] x: Vec<String>) -> String {
        format!("{x:?}")
    }

    #[get("cookie")]
    fn cookie(&self, #[cookie] x: Option<String>) -> String {
        format!("{x:?}")
    }

    #[get("path/{x}")]
    fn path(&self, #[param] x: String) -> String {
        x
    }

    #[get("last")]
    fn last(&self, #[header("last-event-id")] last: Option<String>) -> String {
        format!("{last:?}")
    }
}

#[server(controllers = [Refusals])]
struct App;

pub(crate) fn app() -> Helios {
    Helios::new(App)
}

/// Returns whether the document has a 400 for the route.
fn may_refuse(path: &str) -> bool {
    let document = app().openapi_document().unwrap();
    let mut operations = document.v3_2()["paths"][path].as_object().unwrap().values();
    let refused = |operation: &Value| operation["responses"]["400"].is_object();
    operations.next().is_some_and(refused)
}

#[tokio::test]
async fn a_body_of_text_is_utf8() {
    let app = TestApp::start(App).unwrap();
    for (path, expected) in [("/text", 400), ("/bytes", 200)] {
        let answer = app.post(path).content("text/plain", &b"\xff"[..]).await;
        assert_eq!(answer.status(), expected);
        assert_eq!(may_refuse(path), expected == 400, "{path}");
    }
}

#[tokio::test]
async fn an_optional_text_may_be_refused() {
    let app = TestApp::start(App).unwrap();
    for (path, sent, expected) in [
        ("/query", "/query?q=1&q=2", 400),
        ("/query", "/query?q=%FF", 400),
        ("/queries", "/queries?q=%FF", 400),
        ("/path/{x}", "/path/%FF", 400),
    ] {
        assert_eq!(app.get(sent).await.status(), expected, "{sent}");
        assert!(may_refuse(path), "{path}");
    }
    for (path, name, expected) in [
        ("/header", "x", 400),
        ("/headers", "x", 200),
        ("/cookie", "cookie", 200),
        ("/last", "last-event-id", 200),
    ] {
        let twice = app.get(path).header(name, "x=1").header(name, "x=2").await;
        assert_eq!(twice.status(), expected, "{path}");
        assert_eq!(may_refuse(path), expected == 400, "{path}");
    }
}
