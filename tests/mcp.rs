//! The MCP server of `examples/mcp`, with the clients that people use.
#![allow(clippy::unwrap_used)]

#[path = "clients/kit.rs"]
#[allow(dead_code)]
mod kit;
#[path = "clients/seen.rs"]
#[allow(dead_code)]
mod seen;

use std::net::SocketAddr;
use std::time::Duration;

use kit::Kit;
use seen::Seen;
use serde_json::{Value, json};
use support::program::listening;
use support::{read_to_end, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// A client, and its peculiarities.
struct Client {
    name: &'static str,
    kit: &'static Kit,
    program: &'static [&'static str],
    mode: &'static str,
    /// Whether it opens a session, with a stream of its own.
    has_session: bool,
    without_token: &'static str,
    /// The fate of its call when the client vanishes.
    left: &'static str,
    broken_off: &'static str,
    /// The result of its next call, while the server is down.
    away: &'static str,
    restarted: &'static str,
}

const NODE: Client = Client {
    name: "npm @modelcontextprotocol/sdk",
    kit: &kit::MCP_NODE,
    program: &["node", "client.mjs"],
    mode: "",
    has_session: true,
    without_token: "StreamableHTTPError 401",
    left: "finished",
    // Its own time-out.
    broken_off: "McpError -32001",
    away: "TypeError",
    restarted: "StreamableHTTPError 404",
};

const PYTHON: Client = Client {
    name: "Python mcp",
    kit: &kit::MCP_PYTHON,
    program: &["./bin/python", "client.py"],
    mode: "auto",
    has_session: false,
    without_token: "MCPError -32603",
    left: "cancelled",
    broken_off: "MCPError -32000",
    // The client has ended.
    away: "ConnectError",
    restarted: "answered",
};

const PYTHON_LEGACY: Client = Client {
    name: "Python mcp, `mode=\"legacy\"`",
    mode: "legacy",
    has_session: true,
    left: "finished",
    restarted: "MCPError -32600",
    ..PYTHON
};

impl Client {
    /// Returns its row in the guide.
    fn row(&self) -> String {
        let columns = [
            self.name,
            if self.has_session { "yes" } else { "no" },
            &code(self.without_token),
            self.left,
            &code(self.broken_off),
            &code(self.away),
            &code(self.restarted),
        ];
        format!("| {} |", columns.join(" | "))
    }

    async fn start(&self, server: &Server, token: &str, scenario: &str) -> Seen {
        let mut program = kit::program(self.program, &self.kit.ready().await);
        program.arg(format!("http://{}/mcp", server.addr));
        program.args([token, scenario, self.mode]);
        Seen::by(program)
    }
}

/// Formats an error as the guide does.
fn code(told: &str) -> String {
    match told {
        "answered" => told.to_owned(),
        error => format!("`{error}`"),
    }
}

/// The example, in a process of its own.
struct Server {
    addr: SocketAddr,
    child: Child,
}

impl Server {
    async fn start() -> Self {
        Self::start_at(0).await
    }

    async fn start_at(port: u16) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_helios-example-mcp"));
        let (child, addr) = listening(program, port).await;
        Self { addr, child }
    }

    /// Returns the calls as a page sees them.
    async fn calls(&self) -> Vec<Value> {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let request = b"GET /calls HTTP/1.0\r\nhost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut seen = String::new();
        loop {
            seen.push(char::from(within(stream.read_u8()).await.unwrap()));
            let event = seen.strip_suffix("\n\n");
            if let Some((_, calls)) = event.and_then(|event| event.rsplit_once("data: ")) {
                return serde_json::from_str(calls).unwrap();
            }
        }
    }

    async fn last_call(&self) -> Value {
        self.calls().await.pop().unwrap()
    }

    /// Returns the state of the last call once it has ended.
    async fn outcome(&self) -> Value {
        within(async {
            loop {
                let call = self.last_call().await;
                if call["state"] != "running" {
                    break call;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    async fn terminate(&self) {
        let id = self.child.id().unwrap().to_string();
        let status = Command::new("kill").arg(id).status().await;
        assert!(status.unwrap().success());
    }

    /// Sends a message with these headers, and returns the response.
    async fn post(&self, headers: &str, message: &Value) -> String {
        let (message, kind) = (message.to_string(), "content-type: application/json");
        let accept = "accept: application/json, text/event-stream";
        let length = message.len();
        let head = format!("POST /mcp HTTP/1.0\r\n{headers}{kind}\r\n{accept}\r\n");
        let request = format!("{head}content-length: {length}\r\n\r\n{message}");
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    }
}

const GUIDE: &str = include_str!("../src/guide/mcp.md");

#[test]
fn the_guide_shows_the_example_as_it_is() {
    let example = [
        include_str!("../examples/mcp/main.rs"),
        include_str!("../examples/mcp/tools.rs"),
    ]
    .concat();
    let shown: Vec<_> = GUIDE.split("```rs\n").skip(1).collect();
    assert_eq!(shown.len(), 3);
    for piece in shown {
        let (piece, _) = piece.split_once("```").unwrap();
        assert!(example.contains(piece), "the example lacks\n{piece}");
    }
}

#[test]
fn the_guide_shows_the_table() {
    for client in [NODE, PYTHON, PYTHON_LEGACY] {
        let row = client.row();
        println!("{row}");
        assert!(GUIDE.contains(&row), "the guide lacks {row}");
    }
}

#[tokio::test]
async fn the_guard_runs_first_and_the_service_checks_hosts() {
    let server = Server::start().await;
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let (token, host) = (
        "authorization: Bearer agent-token\r\n",
        "host: localhost\r\n",
    );

    let nobody = server.post("host: rebound.example\r\n", &hello).await;
    assert!(nobody.starts_with("HTTP/1.0 401 "), "{nobody}");
    assert!(nobody.contains("www-authenticate: Bearer\r\n"), "{nobody}");
    let rebound = server
        .post(&format!("{token}host: rebound.example\r\n"), &hello)
        .await;
    assert!(rebound.starts_with("HTTP/1.0 403 "), "{rebound}");
    let page = server
        .post(
            &format!("{token}{host}origin: https://elsewhere.example\r\n"),
            &hello,
        )
        .await;
    assert!(page.starts_with("HTTP/1.0 403 "), "{page}");
    let welcome = server.post(&format!("{token}{host}"), &hello).await;
    assert!(welcome.contains("mcp-session-id: "), "{welcome}");
    assert!(welcome.contains("\"serverInfo\""), "{welcome}");
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn the_sdk_of_npm() {
    try_all(&NODE).await;
}

#[tokio::test]
#[ignore = "needs Python; `cargo xtask test` runs it"]
async fn the_sdk_of_pypi() {
    tokio::join!(try_all(&PYTHON), try_all(&PYTHON_LEGACY));
}

async fn try_all(client: &Client) {
    tokio::join!(
        is_refused_without_the_token(client),
        sees_progress_in_order_and_cancels(client),
        leaves_in_mid_call(client),
        is_broken_off_in_mid_call(client),
        comes_to_its_result_at_a_shutdown(client),
        sees_an_end_within_a_second_and_a_restart(client),
    );
}

async fn is_refused_without_the_token(client: &Client) {
    let server = Server::start().await;
    let seen = client.start(&server, "none", "works").await;
    seen.wait_for("refused", 1).await;
    assert_eq!(seen.named("refused")[0].data, client.without_token);
    assert_eq!(server.calls().await, [Value::Null; 0]);
}

async fn sees_progress_in_order_and_cancels(client: &Client) {
    let server = Server::start().await;
    let seen = client.start(&server, "agent-token", "works").await;
    seen.wait_for("cancelled", 1).await;
    let told = seen.events().into_iter();
    let told: Vec<_> = told
        .filter(|event| !["asks", "listens"].contains(&event.name.as_str()))
        .map(|event| format!("{} {}", event.name, event.data))
        .collect();
    let failed = told[7].clone();
    assert!(["failed McpError -32602", "failed MCPError -32602"].contains(&failed.as_str()));
    let expected = [
        "connected ",
        "tools count roll",
        "rolled 3",
        "progress 1 of 3",
        "progress 2 of 3",
        "progress 3 of 3",
        "result counted to 3",
        &failed,
        "cancelled ",
    ];
    assert_eq!(told, expected);

    let cancelled = server.outcome().await;
    assert_eq!(cancelled["what"], "count to 99");
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(cancelled["agent"], "agent");
}

async fn leaves_in_mid_call(client: &Client) {
    let server = Server::start().await;
    let seen = client.start(&server, "agent-token", "counts").await;
    // Progress arrives while the call runs.
    seen.wait_for("progress", 2).await;
    assert_eq!(server.last_call().await["state"], "running");
    drop(seen);
    assert_eq!(server.outcome().await["state"], client.left);
}

async fn is_broken_off_in_mid_call(client: &Client) {
    let mut server = Server::start().await;
    let seen = client.start(&server, "agent-token", "counts").await;
    seen.wait_for("progress", 2).await;
    server.child.kill().await.unwrap();
    seen.wait_for("failed", 1).await;
    assert_eq!(seen.named("failed")[0].data, client.broken_off);
    seen.wait_for("lost", 1).await;
    assert_eq!(seen.named("lost")[0].data, client.away);
}

async fn comes_to_its_result_at_a_shutdown(client: &Client) {
    let mut server = Server::start().await;
    let seen = client.start(&server, "agent-token", "counts").await;
    seen.wait_for("progress", 2).await;
    server.terminate().await;
    seen.wait_for("result", 1).await;
    let status = within(server.child.wait()).await.unwrap();
    assert!(status.success(), "{status}");
}

async fn sees_an_end_within_a_second_and_a_restart(client: &Client) {
    let mut server = Server::start().await;
    let seen = client.start(&server, "agent-token", "stays").await;
    seen.wait_for("outcome", 1).await;
    if client.has_session {
        seen.wait_for("listens", 1).await;
    }
    server.terminate().await;
    let gone = timeout(Duration::from_secs(1), server.child.wait()).await;
    let status = gone.expect("gone within a second").unwrap();
    assert!(status.success(), "{status}");
    if client.has_session {
        // The client has seen the end of its stream, and opens another.
        seen.wait_for("asks", 2).await;
    }
    seen.wait_for("away", 1).await;
    let _server = Server::start_at(server.addr.port()).await;
    seen.wait_for("outcome", 2).await;
    let outcomes = seen.named("outcome").into_iter().map(|told| told.data);
    assert_eq!(outcomes.collect::<Vec<_>>(), ["answered", client.restarted]);
}
