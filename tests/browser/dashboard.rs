//! The dashboard in real browsers, with four topics on one connection. A kill of its server shows on the page for only
//! a moment.
//!
//! The server is another process of this program, so that it can be killed. It prints what the page reports to it.

use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use http::Method;
use support::browser::Browser;
use support::folder::Folder;
use support::journal::Journal;
use support::network::{cut, network};
use support::{DEADLINE, TestServer, within};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{JSON, dashboard, message, try_call};

/// The variables that name the folder of the server's process, and its port.
const FOLDER: &str = "HELIOS_DASHBOARD_FOLDER";
const PORT: &str = "HELIOS_DASHBOARD_PORT";

/// A browser takes long to start.
const PATIENCE: Duration = Duration::from_secs(90);

/// The number of messages from another client.
const SAID: u32 = 40;

#[derive(Injectable)]
struct Watch;

#[controller(prefix = "watch")]
impl Watch {
    #[get]
    fn page(&self) -> Response {
        let html = [("content-type", "text/html")];
        (html, include_str!("dashboard.html")).into_response()
    }

    #[post]
    fn report(&self, #[body] seen: String) {
        note(&seen);
    }
}

fn note(what: &str) {
    println!("\nnote {what}");
}

/// Serves until it is killed.
#[tokio::test]
#[ignore = "a process of the others"]
async fn the_server() {
    let (Some(folder), Ok(port)) = (env::var_os(FOLDER), env::var(PORT)) else {
        return;
    };
    let count = tower::util::MapRequestLayer::new(|request: http::Request<_>| {
        note(&format!("request {}", request.uri().path()));
        request
    });
    let app = dashboard::lasting(Path::new(&folder)).unwrap();
    let app = app.provide(Watch).controller::<Watch>();
    let app = app.sse_options(|sse| sse.retry = Duration::from_millis(200));
    let port: u16 = port.parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let server = TestServer::start_on(app.layer(count), listener);
    println!("\nat {}", server.addr);
    std::future::pending::<()>().await;
}

struct Server {
    addr: SocketAddr,
    child: Child,
}

impl Server {
    async fn start(folder: &Folder, port: u16, journal: &Journal) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["browser::the_server", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, &folder.0)
            .env(PORT, port.to_string())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (at, mut found) = watch::channel(None);
        let journal = journal.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(addr) = line.strip_prefix("at ") {
                    at.send_replace(Some(addr.parse().unwrap()));
                } else if let Some(what) = line.strip_prefix("note ") {
                    journal.note(what);
                }
            }
        });
        let addr = *within(found.wait_for(Option::is_some)).await.unwrap();
        let addr = addr.unwrap();
        Self { addr, child }
    }
}

async fn say(server: SocketAddr, key: u32, text: &str) -> Option<u16> {
    let body = message(key, "cy", text).to_string();
    let headers = [("content-type", JSON)];
    let answer = try_call(server, Method::POST, "/chat", &headers, body).await;
    Some(answer.ok()?.status().as_u16())
}

/// Publishes one number after the other, and retries until the server has accepted each, before, during and after a
/// restart.
async fn count(server: SocketAddr, said: watch::Sender<u32>) {
    for n in 1..=SAID {
        while say(server, n, &n.to_string()).await != Some(204) {
            sleep(Duration::from_millis(20)).await;
        }
        said.send_replace(n);
        sleep(Duration::from_millis(30)).await;
    }
}

async fn seen(journal: &Journal, what: &str, times: usize) {
    let waited = timeout(PATIENCE, async {
        while journal.count(what) < times {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let waited = waited.await;
    assert!(waited.is_ok(), "{what:?} x {times}: {:?}", journal.notes());
}

async fn both_show(journal: &Journal, what: &str, times: usize) {
    for page in 0..2 {
        seen(journal, &format!("{page} {what}"), times).await;
    }
}

/// Waits for the topics of a new page.
async fn the_page_is_live(journal: &Journal) {
    both_show(journal, "state: Live", 1).await;
    both_show(journal, "metrics: moving", 1).await;
    both_show(journal, "figures: now", 1).await;
    both_show(journal, "chat: ann: hello | <b>bob: <i>hi</i>", 1).await;
    both_show(journal, "jobs: 1. Primes below 1,000,000 ✓ done 100", 1).await;
    let told = "Job 1 is done: 78,498 primes below 1,000,000 | The server has started";
    both_show(journal, &format!("notices: {told}"), 1).await;
    assert_eq!(journal.count("request /live"), 2);
}

async fn loses_nothing(browser: impl FnOnce(&str) -> Browser) {
    let (folder, journal) = (Folder::new("dashboard"), Journal::default());
    let mut server = Server::start(&folder, 0, &journal).await;
    let addr = server.addr;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = port.local_addr().unwrap();
    let wire = tokio::spawn(network(port, addr));
    let _browser = browser(&format!("http://{door}/watch"));
    the_page_is_live(&journal).await;

    let (said, mut so_far) = watch::channel(0);
    let counting = tokio::spawn(count(addr, said));
    so_far.wait_for(|said| *said == SAID / 4).await.unwrap();
    server.child.kill().await.unwrap();
    let _server = Server::start(&folder, addr.port(), &journal).await;
    timeout(DEADLINE, counting).await.unwrap().unwrap();
    let numbers: String = (1..=SAID).map(|n| format!(" | cy: {n}")).collect();
    let all = format!("chat: ann: hello | <b>bob: <i>hi</i>{numbers}");
    both_show(&journal, &all, 1).await;
    both_show(&journal, "detail: resumed, n missed events", 1).await;
    // The next figures come within a second, perhaps after all numbers. Without them, the cut would change nothing.
    both_show(&journal, "figures: now", 2).await;

    cut(wire).await;
    assert_eq!(say(addr, 100, "meanwhile").await, Some(204));
    let port = TcpListener::bind(door).await.unwrap();
    let _wire = tokio::spawn(network(port, addr));
    both_show(&journal, "detail: resumed, n missed events", 2).await;
    both_show(&journal, "figures: old since then", 2).await;
    both_show(&journal, "figures: now", 3).await;
    let all = format!("{all} | cy: meanwhile | ann: from afar");
    both_show(&journal, &all, 1).await;
    let reloaded = journal
        .notes()
        .into_iter()
        .find(|note| note.contains("reloaded"));
    assert_eq!(reloaded, None);
}

#[tokio::test]
#[ignore = "needs Chromium; `cargo xtask test` runs it"]
async fn in_chromium() {
    loses_nothing(Browser::chromium).await;
}

#[tokio::test]
#[ignore = "needs Firefox; `cargo xtask test` runs it"]
async fn in_firefox() {
    loses_nothing(Browser::firefox).await;
}
