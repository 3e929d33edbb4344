//! The example's page in real browsers: events arrive, a lost server is found again, a finished stream stays finished.
//!
//! A second page holds the example's page in a frame, watches what a person would see, and reports it.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "../examples/user.rs"]
#[allow(dead_code)]
mod user;

use std::process::Stdio;

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use support::TestServer;
use support::journal::Journal;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use user::{Page, User};

const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Injectable)]
struct Watch {
    journal: Arc<Journal>,
}

#[controller(prefix = "watch")]
impl Watch {
    #[get]
    fn page(&self) -> Response {
        (
            [("content-type", "text/html")],
            include_str!("browser.html"),
        )
            .into_response()
    }

    #[post]
    fn report(&self, #[body] seen: String) {
        self.journal.note(seen);
    }

    #[sse("finite")]
    fn finite(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::text("1").event("a");
            yield SseEvent::text("2").event("b");
        }
    }

    /// Requests for the finite stream: the layer below counts them, as a handler is not asked twice.
    #[get("finite-requests")]
    fn finite_requests(&self) -> String {
        self.journal.count("request /watch/finite").to_string()
    }
}

#[server(controllers = [User, Page, Watch], sse(enabled = true, retry = "500ms"))]
struct App;

fn serve(listener: TcpListener, journal: &Journal) -> TestServer {
    let requests = journal.clone();
    let count = tower::util::MapRequestLayer::new(move |request: http::Request<_>| {
        requests.note(format!("request {}", request.uri().path()));
        request
    });
    let app = Helios::new(App).provide(journal.clone()).layer(count);
    TestServer::start_on(app, listener)
}

async fn seen(journal: &Journal, what: &str, times: usize) {
    let waited = timeout(PATIENCE, async {
        while journal.count(what) < times {
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(
        waited.await.is_ok(),
        "waiting for {what:?} x {times}: {:?}",
        journal.notes()
    );
}

async fn the_page_works(browser: impl FnOnce(&str) -> Child) {
    let journal = Journal::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = serve(listener, &journal);
    let _browser = browser(&format!("http://{addr}/watch"));

    seen(&journal, "state open", 1).await;
    seen(&journal, "message guest hello", 1).await;

    server.stop().await.unwrap();
    let listener = TcpListener::bind(addr).await.unwrap();
    let server = serve(listener, &journal);
    seen(&journal, "state open", 2).await;
    let note = SseEvent::json(json!({ "from": "server", "text": "back" })).event("message-posted");
    server.sse.broadcast(note).await.unwrap();
    seen(&journal, "message server back", 1).await;

    seen(&journal, "updates finished", 1).await;
    seen(
        &journal,
        "finite closed after 2 requests: a b helios:end",
        1,
    )
    .await;
}

/// A folder of its own for the browser's profile, removed at the end.
struct Profile(std::path::PathBuf);

impl Profile {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("helios-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn spawn(program: &str, args: &[&str], profile: &Profile) -> Child {
    Command::new(program)
        .args(args)
        .env("HOME", &profile.0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

#[tokio::test]
#[ignore = "needs Chromium; `cargo xtask test` runs it"]
async fn in_chromium() {
    let profile = Profile::new("chromium");
    let folder = format!("--user-data-dir={}", profile.0.display());
    the_page_works(|url| {
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &folder,
            url,
        ];
        spawn("chromium", &args, &profile)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Firefox; `cargo xtask test` runs it"]
async fn in_firefox() {
    let profile = Profile::new("firefox");
    let folder = profile.0.display().to_string();
    the_page_works(|url| {
        let args = ["--headless", "--no-remote", "--profile", &folder, url];
        spawn("firefox-esr", &args, &profile)
    })
    .await;
}
