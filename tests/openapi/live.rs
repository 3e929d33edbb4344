//! A program compares the responses and events of servers with their document. It sends requests that the document
//! allows, and others.

use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;

use helios::axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use serde::{Deserialize, Serialize};
use support::TestServer;
use tokio::time::timeout;

use super::{answers, inputs, kinds, kit, refusals};

/// Longer than any run takes.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Serialize, JsonSchema)]
struct Line {
    text: String,
}

/// No variant has several values in an array, because the program takes `prefixItems` in an event's data for a mistake.
#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum Told {
    Said(Line),
    Typing { by: String, since: u32 },
    Cleared,
}

#[derive(Deserialize, JsonSchema)]
struct Ask {
    text: String,
}

#[derive(Injectable)]
struct Streams;

#[controller(prefix = "streams")]
impl Streams {
    #[sse("told")]
    fn told(&self) -> impl Stream<Item = Result<Told, HttpError>> {
        stream! {
            yield Ok(Told::Said(Line { text: "hello".into() }));
            yield Ok(Told::Typing { by: "ann".into(), since: 1 });
            yield Ok(Told::Cleared);
            yield Err(HttpError::conflict("enough"));
        }
    }

    #[sse("ask", method = "POST")]
    async fn ask(&self, #[body] ask: Ask) -> Result<impl Stream<Item = Json<Line>>, HttpError> {
        match ask.text.is_empty() {
            true => Err(HttpError::conflict("nothing is asked")),
            false => Ok(stream! { yield Json(Line { text: ask.text }); }),
        }
    }

    #[sse("count/{until}")]
    fn count(
        &self,
        #[param] until: u8,
        #[query(default = 1)] step: u8,
    ) -> impl Stream<Item = String> {
        stream! {
            for n in (0..until).step_by(usize::from(step.max(1))) {
                yield n.to_string();
            }
        }
    }
}

#[server(controllers = [Streams], sse(enabled = true))]
struct App;

#[derive(Injectable)]
struct Planted;

#[controller(prefix = "planted")]
impl Planted {
    /// By its name the data is a line, but here it is a number.
    #[sse("event", events = Told)]
    fn event(&self) -> impl Stream<Item = SseEvent> {
        stream! { yield SseEvent::json(json!({ "text": 1 })).event("said"); }
    }

    #[get("answer")]
    #[answers(200, Line)]
    fn answer(&self) -> Response {
        Json(json!({ "text": 1 })).into_response()
    }
}

#[server(controllers = [Planted], sse(enabled = true))]
struct Wrong;

async fn tried(app: Helios) -> (bool, String) {
    let folder = kit::SCHEMATHESIS.ready().await;
    let server = TestServer::start(app.openapi("/openapi.json")).await;
    let Output { status, stdout, .. } = run(&folder, server.addr).await;
    server.stop().await.unwrap();
    (
        status.success(),
        String::from_utf8_lossy(&stdout).into_owned(),
    )
}

async fn run(folder: &std::path::Path, addr: SocketAddr) -> Output {
    let document = format!("http://{addr}/openapi.json");
    let program = [
        "./bin/schemathesis",
        "run",
        &document,
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "20",
        "--seed",
        "1",
        "--request-timeout",
        "20",
        "--no-color",
    ];
    let mut program = kit::program(&program, folder);
    let output = timeout(PATIENCE, program.kill_on_drop(true).output()).await;
    output.expect("done in time").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python; `cargo xtask test` runs it"]
async fn every_answer_and_event_is_as_the_document_says() {
    for app in [
        kinds::orders(),
        Helios::new(App),
        inputs::app(),
        refusals::app(),
        answers::app(),
    ] {
        let (passed, told) = tried(app).await;
        assert!(passed, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python; `cargo xtask test` runs it"]
async fn a_response_or_event_of_another_type_is_found() {
    let (passed, told) = tried(Helios::new(Wrong)).await;
    assert!(!passed, "{told}");
    for path in ["GET /planted/event", "GET /planted/answer"] {
        assert!(told.contains(path), "{told}");
    }
}
