//! The dashboard: four topics on one connection, and a restart of the server that nobody notices but for a moment.

use std::net::SocketAddr;

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use helios::prelude::*;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::seen;
use support::TestServer;
use support::browser::Browser;
use support::folder::Folder;
use support::journal::Journal;
use support::network::{cut, network};

#[path = "../../examples/dashboard/main.rs"]
#[allow(dead_code)]
mod example;

/// What another client says.
const SAID: u32 = 40;

#[derive(Injectable)]
struct Watch {
    journal: Arc<Journal>,
}

#[controller(prefix = "watch")]
impl Watch {
    #[get]
    fn page(&self) -> Response {
        let html = [("content-type", "text/html")];
        (html, include_str!("dashboard.html")).into_response()
    }

    #[post]
    fn report(&self, #[body] seen: String) {
        self.journal.note(seen);
    }
}

fn serve(folder: &Folder, journal: &Journal, listener: TcpListener) -> TestServer {
    let requests = journal.clone();
    let count = tower::util::MapRequestLayer::new(move |request: http::Request<_>| {
        requests.note(format!("request {}", request.uri().path()));
        request
    });
    let app = example::app(&folder.0).unwrap();
    let app = app.provide(journal.clone()).controller::<Watch>();
    let app = app.sse_options(|sse| sse.retry = Duration::from_millis(200));
    TestServer::start_on(app.layer(count), listener)
}

async fn say(server: SocketAddr, key: u32, text: &str) -> Option<u16> {
    let io = TokioIo::new(TcpStream::connect(server).await.ok()?);
    let (mut sender, connection) = http1::handshake(io).await.ok()?;
    tokio::spawn(connection);
    let key = uuid::Uuid::from_u128(key.into());
    let body = json!({ "key": key, "name": "cy", "text": text }).to_string();
    let request = http::Request::post("/chat")
        .header("host", "test")
        .header("content-type", "application/json")
        .body(Full::<Bytes>::from(body))
        .unwrap();
    let answer = sender.send_request(request).await.ok()?;
    Some(answer.status().as_u16())
}

/// Says one number after the other, each until the server has it: before, during and after a restart.
async fn count(server: SocketAddr, said: watch::Sender<u32>) {
    for n in 1..=SAID {
        while say(server, n, &n.to_string()).await != Some(204) {
            sleep(Duration::from_millis(20)).await;
        }
        said.send_replace(n);
        sleep(Duration::from_millis(30)).await;
    }
}

async fn both_show(journal: &Journal, what: &str) {
    for page in 0..2 {
        seen(journal, &format!("{page} {what}"), 1).await;
    }
}

/// The topics of a page that has just come.
async fn the_page_is_live(journal: &Journal, server: &TestServer) {
    both_show(journal, "state: Live").await;
    both_show(journal, "metrics: moving").await;
    both_show(journal, "figures: now").await;
    both_show(journal, "chat: ann: hello | <b>bob: <i>hi</i>").await;
    both_show(journal, "jobs: 1. Primes below 1,000,000 ✓ done 100").await;
    let told = "Job 1 is done: 78,498 primes below 1,000,000 | The server has started";
    both_show(journal, &format!("notices: {told}")).await;
    let opened = journal.count("request /live");
    assert_eq!((opened, server.sse.stats().connections), (2, 2));
}

pub(crate) async fn loses_nothing(browser: impl FnOnce(&str) -> Browser) {
    let (folder, journal) = (Folder::new("dashboard"), Journal::default());
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(&folder, &journal, server);
    let addr = server.addr;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = port.local_addr().unwrap();
    let wire = tokio::spawn(network(port, addr));
    let _browser = browser(&format!("http://{door}/watch"));
    the_page_is_live(&journal, &server).await;

    let (said, mut so_far) = watch::channel(0);
    let counting = tokio::spawn(count(addr, said));
    so_far.wait_for(|said| *said == SAID / 4).await.unwrap();
    server.stop().await.unwrap();
    let listener = TcpListener::bind(addr).await.unwrap();
    let server = serve(&folder, &journal, listener);
    counting.await.unwrap();
    let numbers: String = (1..=SAID).map(|n| format!(" | cy: {n}")).collect();
    let all = format!("chat: ann: hello | <b>bob: <i>hi</i>{numbers}");
    both_show(&journal, &all).await;
    both_show(&journal, "detail: reloaded, the server was restarted").await;
    server.wait_for_connections(2).await;

    cut(wire).await;
    assert_eq!(say(addr, 100, "meanwhile").await, Some(204));
    let port = TcpListener::bind(door).await.unwrap();
    let _wire = tokio::spawn(network(port, addr));
    both_show(&journal, "detail: resumed, n missed events").await;
    for page in 0..2 {
        seen(&journal, &format!("{page} figures: old since then"), 2).await;
        seen(&journal, &format!("{page} figures: now"), 3).await;
    }
    both_show(&journal, &format!("{all} | cy: meanwhile | ann: from afar")).await;
    server.wait_for_connections(2).await;
}
