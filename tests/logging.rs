//! Errors that the log reports to the operator but that no client sees.

#![allow(clippy::unwrap_used)]

#[path = "logging/hostile.rs"]
mod hostile;
#[cfg(unix)]
#[path = "logging/listeners.rs"]
mod listeners;
#[path = "logging/log.rs"]
mod log;
#[path = "logging/panics.rs"]
mod panics;
#[path = "logging/secrets.rs"]
mod secrets;
#[path = "logging/streams.rs"]
mod streams;

use std::env;
use std::io;
use std::process::Command;

use helios::prelude::*;
use helios::testing::TestApp;
use log::Log;

#[derive(Injectable)]
struct Rooms;

#[controller(prefix = "rooms")]
impl Rooms {
    #[sse("numbered")]
    async fn numbered(&self, stream: SseStream) -> Result<(), HttpError> {
        stream.join("tea").await?;
        stream.open();
        Ok(stream.send(SseEvent::text("hello").id(1)).await?)
    }
}

#[derive(Injectable)]
struct Hooked;

#[controller(prefix = "hooked")]
impl Hooked {
    #[sse]
    fn finished(&self) -> SseStream {
        let stream = SseStream::new();
        stream.close();
        stream
    }

    #[on_sse_close]
    fn fails(&self) -> Result<(), HttpError> {
        Err(HttpError::internal("not written").with_source(io::Error::other("the disk is full")))
    }
}

#[server(controllers = [Rooms, Hooked], sse(enabled = true))]
struct App;

#[derive(Injectable)]
struct Shelf;

#[controller(prefix = "shelf")]
impl Shelf {
    #[get("{book}")]
    fn fall(&self, #[param] book: &str) -> Result<String, HttpError> {
        Err(HttpError::internal(format!("no {book}")).with_source("it fell\ndown"))
    }
}

#[server(controllers = [Shelf, Rooms, Hooked], sse(enabled = true))]
struct Unheard;

async fn logged(run: impl AsyncFnOnce(TestApp)) -> String {
    let log = Log::start();
    run(TestApp::start(App).unwrap()).await;
    log.text()
}

#[tokio::test]
async fn a_failed_stream_is_logged_with_its_cause() {
    let log = logged(async |app| {
        let events = app.sse("/rooms/numbered").await.rest().await;
        assert_eq!(events.last().unwrap().event, "error");
    });
    let log = log.await;
    assert!(
        log.contains("put the id `1` into the data instead"),
        "{log}"
    );
}

#[tokio::test]
async fn a_failed_hook_is_logged_with_its_cause() {
    let log = logged(async |app| {
        app.sse("/hooked").await.rest().await;
        // it waits for the hooks
        app.service().shutdown(Duration::from_secs(10)).await;
    });
    let log = log.await;
    assert!(log.contains("the disk is full"), "{log}");
}

#[test]
fn failures_without_a_subscriber_go_to_standard_error() {
    let unheard = Command::new(env::current_exe().unwrap())
        .args([
            "fails_without_a_subscriber",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8(unheard.stderr).unwrap();
    let lines: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("helios: "))
        .collect();
    assert_eq!(lines.len(), 3, "{told}");
    let failed = r#"helios: a request failed: route="/shelf/{book}" handler="fall" error="500 Internal Server Error: no tea""#;
    assert_eq!(lines[0], format!(r#"{failed} source="it fell\ndown""#));
    assert!(
        lines[1].starts_with("helios: an SSE stream failed: client="),
        "{told}"
    );
    assert!(lines[2].ends_with(r#"source="the disk is full""#), "{told}");
}

#[tokio::test]
#[ignore = "another test runs it, as a process of its own"]
async fn fails_without_a_subscriber() {
    let app = TestApp::start(Unheard).unwrap();
    assert_eq!(app.get("/shelf/tea?password=hunter2").await.status(), 500);
    app.sse("/rooms/numbered").await.rest().await;
    app.sse("/hooked").await.rest().await;
    app.service().shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_failure_that_a_subscriber_hears_is_in_its_log() {
    let log = Log::start();
    let app = TestApp::start(Unheard).unwrap();
    assert_eq!(app.get("/shelf/tea").await.status(), 500);
    assert!(log.text().contains("a request failed"), "{}", log.text());
}
