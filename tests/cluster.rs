//! The cluster of `examples/cluster` as its clients see it, through its proxy. They lose nothing when a node is killed.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::process::{Command as Now, Stdio};
use std::time::Duration;

use helios::sse::{DecodedEvent, EventId};
use http::Method;
use serde_json::{Value, json};
use support::{SseClient, try_call, within};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

struct Program {
    addr: SocketAddr,
    child: Child,
    /// Reads all output of the program.
    _lines: JoinHandle<()>,
}

impl Program {
    async fn start(redis: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_helios-example-cluster"));
        command
            .env("HELIOS_PORT", "0")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        match redis {
            Some(url) => command.env("HELIOS_REDIS_URL", url),
            None => command.env_remove("HELIOS_REDIS_URL"),
        };
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut addr = None;
        let mut listening = 0;
        let started = async {
            while addr.is_none() || listening < 3 {
                let line = lines.next_line().await.unwrap().unwrap();
                listening += usize::from(line.contains("listens on"));
                if let Some(at) = line.strip_prefix("Open http://") {
                    addr = at.parse().ok();
                }
            }
        };
        within(started).await;
        let rest = async move { while let Ok(Some(_)) = lines.next_line().await {} };
        Self {
            addr: addr.unwrap(),
            child,
            _lines: tokio::spawn(rest),
        }
    }

    async fn live(&self, last: &str) -> SseClient {
        let last = [("last-event-id", last)];
        let response = try_call(self.addr, Method::GET, "/live", &last, "").await;
        SseClient::of(response.unwrap())
    }

    /// Sends a message until a node has accepted it.
    async fn say(&self, text: &str) {
        let message = json!({ "key": text, "text": text }).to_string();
        let saying = async {
            loop {
                let said = try_call(self.addr, Method::POST, "/said", &JSON, message.clone()).await;
                if said.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        within(saying).await;
    }

    async fn post(&self, path: &str) -> u16 {
        let answer = try_call(self.addr, Method::POST, path, &[], "").await;
        answer.unwrap().status().as_u16()
    }
}

fn data(event: &DecodedEvent) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

/// Everything that a page has received, over all of its connections.
#[derive(Default)]
struct Page {
    last: String,
    texts: Vec<String>,
    /// The nodes that have published them.
    by: HashSet<u64>,
    /// For each node, its process and its newest beat.
    beats: HashMap<u64, (u64, u64)>,
    /// The node that serves the page, and its process.
    served: (u64, u64),
}

impl Page {
    fn take(&mut self, event: &DecodedEvent) {
        let told = || data(event);
        match &*event.event {
            "helios:reset" => panic!("{event:?}"),
            "served" => self.served = of(&told()),
            "said" => {
                self.texts.push(told()["text"].as_str().unwrap().to_owned());
                self.by.insert(told()["node"].as_u64().unwrap());
            }
            "beat" => {
                let ((node, pid), n) = (of(&told()), told()["n"].as_u64().unwrap());
                if let Some((before, newest)) = self.beats.insert(node, (pid, n))
                    && before == pid
                {
                    assert_eq!(n, newest + 1, "of node {node}");
                }
            }
            _ => {}
        }
        if event.has_own_id && !event.event.starts_with("helios:") {
            let id: EventId = event.id.parse().unwrap();
            let is_new = self
                .last
                .parse()
                .is_ok_and(|last| id.is_after(last) == Some(true));
            assert!(
                self.last.is_empty() || is_new,
                "{event:?} after {}",
                self.last
            );
        }
        self.last.clone_from(&event.id);
    }

    /// Reads until it has received this message, and knows which node serves it.
    async fn read(&mut self, stream: &mut SseClient, until: &str) {
        while self.texts.last().is_none_or(|text| text != until) || self.served == (0, 0) {
            let event = stream.next().await.expect("it goes on");
            self.take(&event);
        }
    }

    /// Resumes, as an `EventSource` does.
    async fn resume(&mut self, program: &Program) -> SseClient {
        self.served = (0, 0);
        let mut stream = program.live(&self.last).await;
        let ready = stream.next().await.unwrap();
        assert_eq!(
            (&*ready.event, &data(&ready)["resumed"]),
            ("helios:ready", &json!(true))
        );
        stream
    }
}

fn of(node: &Value) -> (u64, u64) {
    (
        node["node"].as_u64().unwrap(),
        node["pid"].as_u64().unwrap(),
    )
}

fn signal(signal: &str, pid: u64) -> bool {
    let done = Now::new("kill")
        .args([signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    done.unwrap().success()
}

#[tokio::test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_page_resumes_at_another_node_and_misses_nothing() {
    const KILLS: usize = 4;
    let program = Program::start(None).await;
    let mut page = Page::default();
    let mut stream = program.live("").await;
    let mut said = Vec::new();
    let mut say = async |program: &Program| {
        let text = (said.len() + 1).to_string();
        program.say(&text).await;
        said.push(text.clone());
        text
    };
    for _ in 0..KILLS {
        for _ in 0..6 {
            let text = say(&program).await;
            page.read(&mut stream, &text).await;
        }
        let (killed, pid) = page.served;
        assert!(signal("-9", pid));
        // Reads everything that was on its way.
        while let Some(event) = stream.next().await {
            page.take(&event);
        }
        for _ in 0..6 {
            say(&program).await;
        }
        let text = say(&program).await;
        stream = page.resume(&program).await;
        page.read(&mut stream, &text).await;
        assert_ne!(page.served, (killed, pid));
    }
    let text = say(&program).await;
    page.read(&mut stream, &text).await;
    assert_eq!(page.texts, said);
    assert_eq!(page.by.len(), 3, "the proxy goes round: {:?}", page.by);
}

#[tokio::test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_killed_node_comes_back_and_ctrl_c_ends_all() {
    let mut program = Program::start(None).await;
    let mut page = Page::default();
    let mut stream = program.live("").await;
    while page.beats.len() < 3 || page.served == (0, 0) {
        page.take(&stream.next().await.unwrap());
    }
    assert_eq!(program.post("/nodes/0/kill").await, 404);
    assert_eq!(program.post("/nodes/4/kill").await, 404);
    let other = page
        .beats
        .keys()
        .find(|node| **node != page.served.0)
        .copied()
        .unwrap();
    let (pid, _) = page.beats[&other];
    // If the request goes to this node, there may be no response.
    let _ = try_call(
        program.addr,
        Method::POST,
        &format!("/nodes/{other}/kill"),
        &[],
        "",
    )
    .await;
    while page.beats[&other].0 == pid {
        page.take(&stream.next().await.expect("this one is not killed"));
    }
    assert!(!signal("-0", pid));
    let pids: Vec<_> = page.beats.values().map(|(pid, _)| *pid).collect();
    assert!(pids.iter().all(|pid| signal("-0", *pid)));

    assert!(signal("-INT", program.child.id().unwrap().into()));
    assert!(within(program.child.wait()).await.unwrap().success());
    assert!(!pids.iter().any(|pid| signal("-0", *pid)));
    assert!(TcpStream::connect(program.addr).await.is_err());
}

#[tokio::test]
async fn without_a_redis_it_does_not_start_and_says_why() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_helios-example-cluster"));
    command
        .env("HELIOS_PORT", "0")
        .env_remove("HELIOS_REDIS_URL")
        .env("PATH", "")
        .kill_on_drop(true);
    let said = within(command.output()).await.unwrap();
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        !said.status.success() && why.contains("there is no `redis-server` on the path"),
        "{why}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_helios-example-cluster"));
    command
        .env("HELIOS_PORT", "0")
        .env("HELIOS_REDIS_URL", "redis://127.0.0.1:1")
        .kill_on_drop(true);
    let said = within(command.output()).await.unwrap();
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        !said.status.success() && why.contains("does not start"),
        "{why}"
    );
}
