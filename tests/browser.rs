//! The examples' pages in real browsers. Events arrive, pages reconnect to a restarted server, a finished stream stays
//! finished, a chat misses nothing, and a WebSocket learns that the server is shutting down.
//!
//! A test page holds an example's page in a frame, watches what a person would see, and reports it.
#![allow(clippy::unwrap_used)]

#[path = "../examples/chat/main.rs"]
#[allow(dead_code)]
mod chat;
#[path = "../examples/user.rs"]
#[allow(dead_code)]
mod user;

mod browser {
    pub(crate) mod websocket;
}

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use support::TestServer;
use support::browser::Browser;
use support::folder::Folder;
use support::journal::Journal;
use support::network::{cut, network};
use tokio::net::TcpListener;
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

    /// Returns the number of requests for the finite stream. The layer below counts them, because the handler does not
    /// run for the second one.
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

async fn the_page_works(browser: impl FnOnce(&str) -> Browser) {
    let journal = Journal::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = serve(listener, &journal);
    let _browser = browser(&format!("http://{addr}/watch"));

    seen(&journal, "state Live", 1).await;
    seen(&journal, "message guest hello", 1).await;
    let fault = "fault Not sent: no connection. Try again.";
    seen(&journal, fault, 1).await;
    seen(&journal, "message guest once more", 1).await;

    server.stop().await.unwrap();
    let listener = TcpListener::bind(addr).await.unwrap();
    let server = serve(listener, &journal);
    seen(&journal, "state Live", 2).await;
    let missed = "notice You may have missed messages while there was no connection.";
    seen(&journal, missed, 1).await;
    let note = SseEvent::json(json!({ "from": "server", "text": "back" })).event("message-posted");
    server.sse.broadcast(note).await.unwrap();
    seen(&journal, "message server back", 1).await;

    seen(&journal, "updates finished", 1).await;
    has_its_look(&server).await;
    seen(
        &journal,
        "finite closed after 2 requests: a b helios:end",
        1,
    )
    .await;
}

async fn has_its_look(server: &TestServer) {
    let look = server.get("/look.css").await;
    let seen = (look.status, look.header("content-type"));
    assert_eq!(seen, (200, "text/css"));
}

#[derive(Injectable)]
struct WatchChat {
    journal: Arc<Journal>,
}

#[controller(prefix = "watch")]
impl WatchChat {
    #[get]
    fn page(&self) -> Response {
        let html = [("content-type", "text/html")];
        (html, include_str!("browser_chat.html")).into_response()
    }

    #[post]
    fn report(&self, #[body] seen: String) {
        self.journal.note(seen);
    }
}

#[server(controllers = [chat::Rooms, chat::Page, WatchChat], sse(enabled = true, retry = "500ms"))]
struct ChatApp;

async fn the_chat_misses_nothing(browser: impl FnOnce(&str) -> Browser) {
    let folder = Folder::new("chat");
    let journal = Journal::default();
    let start = |listener| {
        let store = chat::Store::open(folder.0.join("chat.json")).unwrap();
        let app = Helios::new(ChatApp)
            .sse_options(chat::options)
            .provide(journal.clone())
            .provide(store);
        TestServer::start_on(app, listener)
    };
    let both_show = async |messages: &str| {
        for page in 0..2 {
            let shown = format!("{page}: {messages}");
            seen(&journal, &shown, 1).await;
        }
    };
    let server = start(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (door, addr) = (port.local_addr().unwrap(), server.addr);
    let wire = tokio::spawn(network(port, addr));
    let _browser = browser(&format!("http://{door}/watch"));
    both_show("Live [<b>bob | ann] ann hello / ").await;
    has_its_look(&server).await;

    // Sent twice, since the first response may have been lost.
    cut(wire).await;
    let away = r#"{"key":"k","name":"cy","text":"while you were away"}"#;
    for _ in 0..2 {
        server.post("/rooms/tea", "application/json", away).await;
    }
    let port = TcpListener::bind(door).await.unwrap();
    let wire = tokio::spawn(network(port, addr));
    both_show("Reconnecting [<b>bob? | ann?] ann hello / ").await;
    let so_far = "Live [<b>bob | ann] ann hello | cy while you were away";
    both_show(&format!("{so_far} / ")).await;
    let unsent = "ann once more Not sent: no connection. Try again";
    seen(&journal, &format!("0: {so_far} / {unsent}"), 1).await;
    both_show(&format!("{so_far} | ann once more / ")).await;

    cut(wire).await;
    server.stop().await.unwrap();
    let server = start(TcpListener::bind(addr).await.unwrap());
    let new = r#"{"name":"cy","text":"<i>new</i> server"}"#;
    server.post("/rooms/tea", "application/json", new).await;
    let port = TcpListener::bind(door).await.unwrap();
    let _wire = tokio::spawn(network(port, addr));
    let all = format!("{so_far} | ann once more | cy <i>new</i> server / ");
    both_show(&all).await;
}

#[tokio::test]
#[ignore = "needs Chromium; `cargo xtask test` runs it"]
async fn in_chromium() {
    the_page_works(Browser::chromium).await;
}

#[tokio::test]
#[ignore = "needs Chromium; `cargo xtask test` runs it"]
async fn a_chat_in_chromium() {
    the_chat_misses_nothing(Browser::chromium).await;
}

#[tokio::test]
#[ignore = "needs Firefox; `cargo xtask test` runs it"]
async fn in_firefox() {
    the_page_works(Browser::firefox).await;
}

#[tokio::test]
#[ignore = "needs Firefox; `cargo xtask test` runs it"]
async fn a_chat_in_firefox() {
    the_chat_misses_nothing(Browser::firefox).await;
}

#[tokio::test]
#[ignore = "needs Chromium; `cargo xtask test` runs it"]
async fn a_websocket_in_chromium() {
    browser::websocket::is_told_of_a_shutdown(Browser::chromium).await;
}

#[tokio::test]
#[ignore = "needs Firefox; `cargo xtask test` runs it"]
async fn a_websocket_in_firefox() {
    browser::websocket::is_told_of_a_shutdown(Browser::firefox).await;
}
