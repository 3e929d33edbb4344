//! One route, from its types to the document that is served.

use helios::openapi::OpenApi;
use helios::prelude::*;
use helios::testing::TestApp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    title: String,
    replies: Vec<Note>,
}

#[derive(Injectable)]
struct Notes;

/// Notes of everybody.
#[controller(prefix = "notes")]
impl Notes {
    /// Finds
    /// a note.
    ///
    /// It is the newest of its name.
    #[get("{id}")]
    async fn find(&self, #[param] id: u64) -> Json<Note> {
        let title = id.to_string();
        let replies = Vec::new();
        Json(Note { title, replies })
    }
}

#[server(controllers = [Notes])]
struct App;

#[tokio::test]
async fn a_route_is_in_the_document_that_is_served() {
    let app = Helios::new(App).openapi(OpenApi::at("/openapi.json").page("/docs"));
    let app = TestApp::start(app).unwrap();
    let answer = app.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let document: Value = answer.json();
    assert_eq!(document["openapi"], "3.2.0");
    assert_eq!(document["info"]["title"], "helios-tests");
    let find = &document["paths"]["/notes/{id}"]["get"];
    assert_eq!(find["operationId"], "Notes.find");
    assert_eq!(find["summary"], "Finds a note.");
    assert_eq!(find["description"], "It is the newest of its name.");
    assert_eq!(find["tags"], json!(["Notes"]));
    let schema = &find["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(schema, &json!({ "$ref": "#/components/schemas/Note" }));
    let note = &document["components"]["schemas"]["Note"];
    assert_eq!(note["properties"]["title"], json!({ "type": "string" }));
    assert_eq!(note["properties"]["replies"]["items"], *schema);
    assert_eq!(
        document["tags"],
        json!([{ "name": "Notes", "description": "Notes of everybody." }])
    );
    let older: Value = app.get("/openapi-3.1.json").await.json();
    assert_eq!(older["openapi"], "3.1.1");
    let page = app.get("/docs").await;
    assert!(page.text().contains(r#"data-url="/openapi.json""#));
    assert_eq!(app.get("/docs/more").await.status(), 404);
    assert_eq!(app.post("/openapi.json").await.status(), 405);
}
