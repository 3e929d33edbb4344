//! Answers whose media type or schema comes from several places.

use std::borrow::Cow;

use helios::axum_core::response::{IntoResponse, Response};
use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use helios::testing::TestApp;
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize, JsonSchema)]
struct Row {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Total {
    rows: u32,
}

#[derive(Injectable)]
struct Answers;

#[controller]
impl Answers {
    #[get("kept")]
    #[header("content-type", "application/json")]
    fn kept(&self) -> String {
        r#"{"a":1}"#.to_owned()
    }

    #[get("borrowed")]
    #[header("content-type", "application/geo+json; charset=utf-8")]
    fn borrowed(&self) -> Cow<'_, str> {
        "[]".into()
    }

    #[get("declared")]
    #[header("content-type", "application/json")]
    #[answers(200, Row)]
    fn declared(&self) -> &'static str {
        r#"{"text":"a"}"#
    }

    #[get("styled")]
    #[header("content-type", "text/css")]
    fn styled(&self) -> &'static str {
        "a {}"
    }

    #[get("mapped")]
    #[header("content-type", "application/vnd.api+json")]
    #[use_interceptors(|data, _, _| json!({ "data": data }))]
    fn mapped(&self) -> Json<Row> {
        let text = "a".to_owned();
        Json(Row { text })
    }

    #[get("either")]
    #[answers(200, Row)]
    #[answers(200, Total)]
    fn either(&self) -> Response {
        Json(Total { rows: 1 }).into_response()
    }

    /// The same answer twice is one.
    #[get("twice")]
    #[answers(200, Row)]
    #[answers(200, Row)]
    fn twice(&self) -> Response {
        let text = "a".to_owned();
        Json(Row { text }).into_response()
    }
}

#[server(controllers = [Answers])]
struct App;

pub(crate) fn app() -> Helios {
    Helios::new(App)
}

fn document() -> OpenApiDocument {
    app().openapi_document().unwrap()
}

fn content(path: &str) -> Value {
    document().v3_2()["paths"][path]["get"]["responses"]["200"]["content"].clone()
}

fn open(path: &str) -> Vec<String> {
    let document = document();
    let of_path = document.unknown().iter().filter(|it| it.path == path);
    of_path.map(|it| it.what.clone()).collect()
}

#[tokio::test]
async fn a_text_that_is_sent_as_json_may_be_any_json() {
    let app = TestApp::start(App).unwrap();
    let kept = app.get("/kept").await;
    assert_eq!(kept.header("content-type"), "application/json");
    assert_eq!(kept.json::<Value>(), json!({ "a": 1 }));
    let any = json!({ "schema": {} });
    assert_eq!(content("/kept"), json!({ "application/json": any }));
    assert_eq!(content("/borrowed"), json!({ "application/geo+json": any }));
    for path in ["/kept", "/borrowed"] {
        assert_eq!(open(path), ["which JSON it answers with"]);
    }
    for path in ["/declared", "/styled"] {
        assert!(open(path).is_empty(), "{path}");
    }
    assert_eq!(content("/styled")["text/css"]["schema"]["type"], "string");
}

#[tokio::test]
async fn closures_map_json_that_is_sent_with_another_media_type() {
    let app = TestApp::start(App).unwrap();
    let mapped = app.get("/mapped").await;
    assert_eq!(mapped.header("content-type"), "application/vnd.api+json");
    assert_eq!(mapped.json::<Value>(), json!({ "data": { "text": "a" } }));
    let any = json!({ "application/vnd.api+json": { "schema": {} } });
    assert_eq!(content("/mapped"), any);
    let what = "what the closures around it make of its answer";
    assert_eq!(open("/mapped"), [what]);
}

#[test]
fn answers_of_one_status_and_media_type_are_alternatives() {
    let row = json!({ "$ref": "#/components/schemas/Row" });
    let total = json!({ "$ref": "#/components/schemas/Total" });
    let schema = |path| content(path)["application/json"]["schema"].clone();
    assert_eq!(schema("/either"), json!({ "anyOf": [row, total] }));
    assert_eq!(schema("/twice"), row);
}
