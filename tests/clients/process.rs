//! A server process and its output.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::seen::patiently;
use super::site;
use support::{read_to_end, within};

/// The environment variable that makes this program the server.
pub(crate) const SERVE: &str = "SERVE_CLIENTS";

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    origin: Option<String>,
    child: Child,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A request for a stream.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) last_event_id: Option<String>,
    /// In milliseconds, by the server's clock.
    pub(crate) came: u64,
    pub(crate) status: u16,
}

impl Server {
    /// Starts a server. `origin` is that of the pages, if they are not the server's own.
    pub(crate) async fn start(origin: Option<String>) -> Self {
        let (child, addr, requests) = spawn(0, origin.as_deref()).await;
        Self {
            addr,
            origin,
            child,
            requests,
        }
    }

    /// Kills the server, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts a new process on the port of the killed one. It knows nothing of earlier events.
    pub(crate) async fn start_again(&mut self) {
        let started = spawn(self.addr.port(), self.origin.as_deref()).await;
        (self.child, self.addr, self.requests) = started;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) async fn wait_for_requests(&self, count: usize) {
        let came = patiently(|| self.requests().len() >= count).await;
        assert!(came, "{:?}", self.requests());
    }

    /// Publishes numbers and returns their ids.
    pub(crate) async fn publish(&self, topic: &str, news: RangeInclusive<u64>) -> Vec<String> {
        let (first, last) = news.into_inner();
        self.post(&format!("publish/{topic}/{first}/{last}")).await
    }

    /// Makes all clients reconnect later. Returns the time by the server's clock, in milliseconds.
    pub(crate) async fn send_away(&self, millis: u64) -> u64 {
        self.post(&format!("reconnect/{millis}")).await
    }

    pub(crate) async fn finish(&self, topic: &str) {
        self.post::<()>(&format!("finish/{topic}")).await;
    }

    pub(crate) async fn set_full(&self, full: bool) {
        self.post::<()>(&format!("full/{full}")).await;
    }

    async fn post<T: DeserializeOwned>(&self, order: &str) -> T {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let head = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let request = format!("POST /control/{order} {head}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{order}: {answer}");
        let body = if body.is_empty() { "null" } else { body };
        serde_json::from_str(body).unwrap()
    }
}

type Started = (Child, SocketAddr, Arc<Mutex<Vec<Request>>>);

async fn spawn(port: u16, origin: Option<&str>) -> Started {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server", "--nocapture"])
        .env_remove("HELIOS_HOST")
        .env("HELIOS_PORT", port.to_string())
        .env(SERVE, "yes")
        .envs(origin.map(|origin| (site::ORIGIN, origin)))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (listens, listening) = oneshot::channel();
    let log = Arc::clone(&requests);
    tokio::spawn(async move {
        let mut listens = Some(listens);
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((_, addr)) = line.split_once("listening on http://") {
                listens
                    .take()
                    .map(|listens| listens.send(addr.parse().unwrap()));
            } else if let Ok(request) = serde_json::from_str(&line) {
                log.lock().unwrap().push(request);
            }
        }
    });
    (child, within(listening).await.unwrap(), requests)
}
