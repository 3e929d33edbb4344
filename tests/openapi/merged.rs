//! Parts of an operation that come from several places, and routes whose types say little.

use bytes::Bytes;
use helios::axum_core::response::{IntoResponse, Response};
use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
struct Paging {
    page: u32,
    size: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "lowercase")]
#[allow(dead_code)]
enum Search {
    Name { name: String },
    Id { id: u64 },
}

#[derive(Serialize, JsonSchema)]
struct Row {
    text: String,
}

#[derive(Injectable)]
struct Merged {
    sse: SseService,
}

#[controller]
impl Merged {
    #[get("paged")]
    fn paged(&self, #[query] page: Option<u32>, Query(paging): Query<Paging>) {
        let _ = (page, paging.page, paging.size);
    }

    #[get("found")]
    fn found(&self, Query(search): Query<Search>) {
        drop(search);
    }

    #[get("rows")]
    #[answers(200, Row)]
    #[answers(200, "text/csv")]
    fn rows(&self) -> Response {
        "a,b".into_response()
    }

    #[get("rows/{id}")]
    fn row(&self, #[param] id: String) -> Json<Row> {
        Json(Row { text: id })
    }

    #[delete("rows/{*rest}")]
    fn remove(&self, #[param] rest: String) {
        drop(rest);
    }

    #[get("logo")]
    #[header("content-type", "image/png")]
    fn logo(&self) -> Vec<u8> {
        Vec::new()
    }

    #[get("raw")]
    fn raw(&self) -> Bytes {
        Bytes::new()
    }

    #[sse("plain", plain, events = String)]
    async fn plain(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["x"]).await
    }
}

#[server(controllers = [Merged], sse(enabled = true))]
struct App;

pub(crate) fn document() -> OpenApiDocument {
    Helios::new(App).openapi_document().unwrap()
}

fn operation(path: &str) -> Value {
    document().v3_2()["paths"][path]["get"].clone()
}

fn parameters(path: &str) -> Vec<(Value, bool)> {
    let operation = operation(path);
    let all = operation["parameters"].as_array().unwrap().iter();
    all.map(|it| (it["name"].clone(), it["required"] == true))
        .collect()
}

#[test]
fn two_readers_of_one_parameter_are_one_parameter() {
    let expected = [(json!("page"), true), (json!("size"), false)];
    assert_eq!(parameters("/paged"), expected);
}

#[test]
fn the_tag_of_an_enum_in_a_query_may_be_that_of_each_variant() {
    let found = operation("/found");
    let tag = &found["parameters"][0];
    assert_eq!(tag["name"], "by");
    let alternatives = tag["schema"]["anyOf"].as_array().unwrap();
    let values: Vec<_> = alternatives.iter().map(|it| &it["const"]).collect();
    assert_eq!(values, ["name", "id"]);
}

#[test]
fn answers_of_one_status_are_formats_of_it() {
    let rows = operation("/rows")["responses"]["200"]["content"].clone();
    let formats: Vec<_> = rows.as_object().unwrap().keys().collect();
    assert_eq!(formats, ["application/json", "text/csv"]);
}

#[test]
fn a_rest_of_a_path_and_a_parameter_are_one_path() {
    let document = document();
    let path = document.v3_2()["paths"]["/rows/{id}"].as_object().unwrap();
    assert_eq!(path.keys().collect::<Vec<_>>(), ["delete", "get"]);
}

#[test]
fn bytes_leave_nothing_open() {
    assert!(
        document().unknown().is_empty(),
        "{:?}",
        document().unknown()
    );
    let content = |path| operation(path)["responses"]["200"]["content"].clone();
    assert_eq!(content("/logo"), json!({ "image/png": { "schema": {} } }));
    let bytes = json!({ "application/octet-stream": { "schema": {} } });
    assert_eq!(content("/raw"), bytes);
}

#[test]
fn a_plain_stream_of_topics_resumes() {
    let plain = operation("/plain");
    assert_eq!(plain["parameters"][0]["name"], "Last-Event-ID");
    assert!(plain["responses"]["204"].is_object());
    assert!(plain["responses"]["410"]["content"].is_object());
}
