//! Tests for the start: requirements on a server, addresses, credentials and encryption.
#![allow(clippy::unwrap_used)]

mod support;

#[cfg(feature = "tls")]
use std::path::Path;
use std::process::{Command, Stdio};

use helios::prelude::*;
use helios::testing::TestApp;
use helios_redis::Redis;
use support::{Client, Server, enter, hub, keys_of, refusal, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn the_start_reports_a_wrong_password_without_repeating_it() {
    let redis = Server::start_with(&["--requirepass", "geheim"]).await;
    let said = refusal(Redis::connect(redis.url()).password("falsch")).await;
    assert!(
        said.contains("Redis refuses the user or the password"),
        "{said}"
    );
    assert!(!said.contains("falsch"), "{said}");
    let none = refusal(Redis::connect(redis.url())).await;
    assert!(
        none.contains("Redis refuses the user or the password"),
        "{none}"
    );
    let one = hub(Redis::connect(redis.url()).password("geheim")).await;
    send(&one, "x", "1").await;
    let port = redis.port();
    let one = hub(Redis::connect(format!("redis://:geheim@127.0.0.1:{port}"))).await;
    send(&one, "x", "2").await;
}

#[tokio::test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_user_with_the_documented_rights_is_enough() {
    let redis = Server::start().await;
    let rights = "on >geheim ~{test}:* &{test}:* +@connection +@scripting +@pubsub +@read +@write +info +time +config|get";
    let words: Vec<_> = ["ACL", "SETUSER", "shop"]
        .into_iter()
        .chain(rights.split(' '))
        .collect();
    redis.ask(&words).await;
    let of_user = || Redis::connect(redis.url()).user("shop").password("geheim");
    let (one, two) = (hub(of_user()).await, hub(of_user()).await);
    let mut client = Client::join(&two, &["x"], None).await;
    send(&one, "x", "1").await;
    assert_eq!(client.data().await, "1");
    let _ann = enter(&one, "room:tea", "ann").await;
    assert_eq!(keys_of(&two, "room:tea").await.unwrap(), ["ann"]);
    redis.ask(&["ACL", "SETUSER", "shop", "-time"]).await;
    let said = refusal(of_user().namespace("test")).await;
    assert!(said.contains("the backplane refused it"), "{said}");
    // The user has no rights in another namespace.
    let said = refusal(of_user().namespace("other")).await;
    assert!(said.contains("the backplane refused it"), "{said}");
}

#[tokio::test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn the_start_refuses_a_redis_that_evicts_and_a_replica() {
    let redis = Server::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let said = refusal(Redis::connect(redis.url())).await;
    assert!(said.contains("set it to `noeviction`"), "{said}");
    let primary = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let replica = Server::replica_of(primary.addr(), &["--dir", dir]).await;
    let said = refusal(Redis::connect(replica.url())).await;
    assert!(said.contains("is a replica: name its primary"), "{said}");
}

#[tokio::test]
async fn the_start_refuses_unusable_names_and_addresses() {
    for name in ["", "a{b", "a}"] {
        let said = refusal(Redis::connect("redis://127.0.0.1:1").namespace(name)).await;
        assert!(said.contains("cannot be a namespace of Redis"), "{said}");
    }
    for redis in [
        Redis::connect("redis://:geheim@["),
        Redis::connect("http://:geheim@host"),
        Redis::sentinel(["redis://:geheim@["], "shop"),
        Redis::cluster(Vec::<String>::new()),
    ] {
        assert!(!format!("{redis:?}").contains("geheim"));
        let said = refusal(redis).await;
        assert!(
            said.contains("an address of Redis cannot be read"),
            "{said}"
        );
        assert!(!said.contains("geheim"), "{said}");
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn an_encrypted_link_names_the_feature_that_it_needs() {
    for redis in [
        Redis::connect("rediss://127.0.0.1:1"),
        Redis::cluster(["127.0.0.1:1"]).encrypted(),
        Redis::connect("redis://127.0.0.1:1").root_certificate("pem"),
    ] {
        let said = refusal(redis).await;
        assert!(said.contains("--features redis-tls"), "{said}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_said_at_once() {
    let port = support::free_port();
    let said = refusal(Redis::connect(format!("redis://127.0.0.1:{port}"))).await;
    assert!(said.contains("Redis cannot be reached"), "{said}");
    let said = refusal(Redis::sentinel([format!("127.0.0.1:{port}")], "shop")).await;
    assert!(said.contains("no Sentinel can be reached"), "{said}");
    let said = refusal(Redis::cluster([format!("127.0.0.1:{port}")])).await;
    assert!(said.contains("no node of the cluster"), "{said}");
}

/// Answers like a Redis of this version.
async fn pretend(listener: TcpListener, version: &str) {
    let info = format!("redis_version:{version}\r\nrun_id:1\r\nrole:master\r\n");
    let info = format!("${}\r\n{info}\r\n", info.len());
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 4_096];
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            let asked = String::from_utf8_lossy(&buffer[..count]).to_uppercase();
            let mut answer = String::new();
            for command in asked.split('*').skip(1) {
                answer += match command {
                    hello if hello.contains("HELLO") => "%1\r\n$5\r\nproto\r\n:3\r\n",
                    it if it.contains("INFO\r\n") && !it.contains("SETINFO") => &info,
                    _ => "+OK\r\n",
                };
            }
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_start_refuses_an_old_redis_and_names_the_version() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let old = tokio::spawn(async move { pretend(listener, "6.2.14").await });
    let said = refusal(Redis::connect(format!("redis://{addr}"))).await;
    assert!(
        said.contains("Redis 6.2.14 is too old: version 7 is needed"),
        "{said}"
    );
    old.abort();
}

const APP: &str = "HELIOS_REDIS_APP";
const VARIABLE: &str = "HELIOS_REDIS_URL";

#[derive(Injectable)]
struct News {
    sse: SseService,
}

#[controller]
impl News {
    #[post("news")]
    async fn publish(&self) -> Result<String, SseError> {
        Ok(self.sse.publish("news", "it rains").await?.to_string())
    }
}

#[server(controllers = [News], sse(enabled = true))]
struct App;

/// Publishes one event, prints its id, and ends.
#[tokio::test]
async fn the_child_is_an_app() {
    let Ok(url) = std::env::var(APP) else { return };
    let mut app = Helios::new(App);
    if !url.is_empty() {
        app = app.backplane(Redis::connect(url).namespace("of code"));
    }
    let app = TestApp::start(app).unwrap();
    app.service().start().await.unwrap();
    let id = app.post("/news").await.text();
    println!("\nid {id}");
    app.service().shutdown(Duration::ZERO).await;
}

fn run(of_code: &str, variable: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "the_child_is_an_app", "--nocapture"])
        .env(APP, of_code)
        .env(VARIABLE, variable)
        .stdin(Stdio::null());
    let said = command.output().unwrap();
    String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
}

#[tokio::test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn the_variable_is_enough_and_code_stands_before_it() {
    let redis = Server::start().await;
    let (url, nobody) = (redis.url(), "redis://127.0.0.1:1");
    let of = async |namespace: &str| redis.answer(&["HGET", namespace, "seq"]).await;
    run("", &url);
    run("", &url);
    assert_eq!(
        (of("{helios}:m").await, of("{of code}:m").await),
        ("2".into(), String::new())
    );
    run(&url, nobody);
    assert_eq!(of("{of code}:m").await, "1");
    let without = run("", "");
    assert!(without.contains("\nid "), "{without}");
    let said = run("", "redis://:geheim@127.0.0.1:1");
    assert!(
        said.contains("Redis cannot be reached") && !said.contains("geheim"),
        "{said}"
    );
}

#[cfg(feature = "tls")]
fn openssl(folder: &Path, args: &[&str]) {
    let mut command = Command::new("openssl");
    let done = command.current_dir(folder).args(args).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[cfg(feature = "tls")]
#[tokio::test]
#[ignore = "needs redis-server and openssl; `cargo xtask test` runs it"]
async fn an_encrypted_link_needs_a_trusted_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    openssl(
        dir,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ],
    );
    let pem = std::fs::read(dir.join("cert.pem")).unwrap();
    let port = support::free_port().to_string();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let tls = [
        "--tls-port",
        &port,
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        cert.to_str().unwrap(),
        "--tls-key-file",
        key.to_str().unwrap(),
    ];
    let _redis = Server::start_with(&tls).await;
    let url = format!("rediss://localhost:{port}");
    let trusting = || Redis::connect(url.as_str()).root_certificate(pem.clone());
    let (one, two) = (hub(trusting()).await, hub(trusting()).await);
    let mut client = Client::join(&two, &["x"], None).await;
    send(&one, "x", "1").await;
    assert_eq!(client.data().await, "1");
    let said = refusal(Redis::connect(url.as_str())).await;
    assert!(said.contains("Redis cannot be reached"), "{said}");
    let said = refusal(Redis::connect(url.as_str()).root_certificate("no certificate")).await;
    assert!(said.contains("give it as PEM"), "{said}");
}
