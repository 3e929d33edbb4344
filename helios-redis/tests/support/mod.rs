//! Starts a Redis for a test, and hubs behind it.
// Each test binary uses only a part.
#![allow(dead_code)]

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use helios::axum_core::body::Body;
use helios::sse::{Decoded, DecodedEvent, Decoder, Member, SseHub, SseStream};
use helios_redis::Redis;
use http_body_util::BodyExt;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// The longest time for any step on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A server that ends with the test.
pub(crate) struct Server {
    port: u16,
    args: Vec<String>,
    process: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(args: &[&str]) -> Self {
        let port = free_port();
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = spawn(port, &args);
        let server = Self {
            port,
            args,
            process,
        };
        server.answers().await;
        server
    }

    /// Starts a server that appends what it writes to a file in this folder.
    pub(crate) async fn start_keeping(folder: &Path, args: &[&str]) -> Self {
        let folder = folder
            .to_str()
            .expect("a folder of a test has a plain name");
        let keeping = ["--appendonly", "yes", "--dir", folder];
        Self::start_with(&[&keeping[..], args].concat()).await
    }

    /// Kills the server with -9, and starts it again.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.process = spawn(self.port, &self.args);
        self.answers().await;
    }

    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Freezes the server. Its connections stay open, and it answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().expect("it runs").to_string();
        let done = std::process::Command::new("kill")
            .args([signal, &id])
            .status();
        assert!(done.unwrap().success());
    }

    /// Sends a command over a connection of its own.
    pub(crate) async fn ask(&self, words: &[&str]) {
        self.answer(words).await;
    }

    pub(crate) async fn answer(&self, words: &[&str]) -> String {
        let mut ask = Command::new("redis-cli");
        ask.args(["-p", &self.port.to_string()]).args(words);
        let said = timeout(DEADLINE, ask.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        assert!(!said.starts_with("ERR"), "{words:?}: {said}");
        said
    }

    async fn answers(&self) {
        let tries = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .is_err()
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, tries).await.expect("redis-server starts");
    }

    pub(crate) async fn hub(&self) -> SseHub {
        hub(Redis::connect(self.url())).await
    }

    /// Starts a replica of the server at this address.
    pub(crate) async fn replica_of(addr: SocketAddr, args: &[&str]) -> Self {
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        let args = [
            args,
            &[
                "--replicaof",
                &host,
                &port,
                "--repl-diskless-sync-delay",
                "0",
            ],
        ]
        .concat();
        let replica = Self::start_with(&args).await;
        replica
            .until("it is a copy", async || {
                replica
                    .says("INFO replication", "master_link_status:up")
                    .await
            })
            .await;
        replica
    }

    pub(crate) async fn says(&self, question: &str, answer: &str) -> bool {
        let words: Vec<_> = question.split(' ').collect();
        self.answer(&words).await.contains(answer)
    }

    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        until(what, is_so).await;
    }
}

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let asking = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        timeout(DEADLINE, asking).await.is_ok(),
        "{what}: not in time"
    );
}

/// Starts a Sentinel that watches a primary named `shop`, with this quorum.
pub(crate) async fn sentinel(primary: &Server, folder: &Path, quorum: usize) -> Server {
    let port = free_port();
    let conf = folder.join(format!("sentinel-{port}.conf"));
    let (of_primary, dir) = (primary.port, folder.display());
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {dir}\nsentinel monitor shop 127.0.0.1 {of_primary} {quorum}\n\
         sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 5000\n"
    );
    std::fs::write(&conf, text).unwrap();
    let process = Command::new("redis-server")
        .arg(&conf)
        .arg("--sentinel")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server is installed");
    let sentinel = Server {
        port,
        args: Vec::new(),
        process,
    };
    sentinel.answers().await;
    sentinel
}

pub(crate) async fn hub(redis: Redis) -> SseHub {
    let options = |sse: &mut helios::SseOptions| sse.presence = vec!["room:*".into()];
    SseHub::behind(redis.namespace("test"), options)
        .await
        .unwrap()
}

/// Opens a stream on which a member appears. The member stays until the client is dropped.
pub(crate) async fn enter(hub: &SseHub, topic: &str, key: &str) -> Client {
    let stream = hub.sse().subscribe([topic]).await.unwrap();
    stream.appear(topic, Member::new(key)).await.unwrap();
    Client::attach(hub, stream, None).await
}

/// Returns the keys of the members of a topic, or `None` if there is only an old list or an error.
pub(crate) async fn keys_of(hub: &SseHub, topic: &str) -> Option<Vec<String>> {
    let here = hub.sse().present(topic).await.ok()?;
    let members = here.members().iter().map(|member| member.key.clone());
    here.age().is_none().then(|| members.collect())
}

/// Returns the error and its causes of a start that fails.
pub(crate) async fn refusal(redis: Redis) -> String {
    let refused = SseHub::behind(redis, |_| {}).await.unwrap_err();
    let causes = std::iter::successors(Some(&refused as &dyn std::error::Error), |it| it.source());
    causes.map(|it| format!("{it} ({it:?})\n")).collect()
}

pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if TAKEN.swap(port, Ordering::SeqCst) != port {
            return port;
        }
    }
}

fn spawn(port: u16, args: &[String]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(["--appendonly", "no", "--dir", "/tmp"])
        .args(args)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server is installed")
}

/// A client of a hub without a socket.
pub(crate) struct Client {
    body: Body,
    decoder: Decoder,
}

impl Client {
    pub(crate) async fn join(hub: &SseHub, topics: &[&str], last: Option<&str>) -> Self {
        let stream = hub.sse().subscribe(topics).await.unwrap();
        Self::attach(hub, stream, last).await
    }

    /// Opens a stream of this hub and reads its `helios:ready`.
    pub(crate) async fn attach(hub: &SseHub, stream: SseStream, last: Option<&str>) -> Self {
        let mut request = http::Request::get("/");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let head = request.body(()).unwrap().into_parts().0;
        let response = hub.respond(head, stream).await;
        let mut client = Self {
            body: response.into_body(),
            decoder: Decoder::new(),
        };
        assert_eq!(client.next().await.event, "helios:ready");
        client
    }

    pub(crate) async fn next(&mut self) -> DecodedEvent {
        loop {
            while let Some(item) = self.decoder.next_item() {
                if let Decoded::Event(event) = item {
                    return event;
                }
            }
            let frame = timeout(DEADLINE, self.body.frame()).await;
            let frame = frame.expect("an event in time").expect("an open stream");
            self.decoder
                .feed(frame.unwrap().data_ref().unwrap())
                .unwrap();
        }
    }

    pub(crate) async fn data(&mut self) -> String {
        let event = self.next().await;
        assert_eq!(event.event, "message", "{event:?}");
        event.data
    }
}

impl Client {
    /// Reads up to the event with this text, and returns all events up to it.
    pub(crate) async fn until(&mut self, text: &str) -> Vec<DecodedEvent> {
        let mut read = Vec::new();
        loop {
            let event = self.next().await;
            let is_last = event.event == "message" && event.data == text;
            read.push(event);
            if is_last {
                return read;
            }
        }
    }
}

/// Publishes, and retries until it succeeds.
pub(crate) async fn send_at_last(hub: &SseHub, topic: &str, text: &str) -> helios::sse::EventId {
    let sending = async {
        loop {
            match hub.sse().publish(topic, text).await {
                Ok(id) => return id,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let sent = timeout(DEADLINE, sending).await;
    sent.expect("it is published in time")
}

pub(crate) fn count(events: &[DecodedEvent], name: &str) -> usize {
    events.iter().filter(|event| event.event == name).count()
}

pub(crate) async fn send(hub: &SseHub, topic: &str, text: &str) -> String {
    let id = hub.sse().publish(topic, text).await.unwrap();
    id.to_string()
}

pub(crate) fn once(key: &str) -> helios::sse::PublishOptions {
    helios::sse::PublishOptions::default().key(key)
}
