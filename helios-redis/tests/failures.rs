//! Failures of real servers. No gap is silent, no id names two events, and every client soon has the newest event.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::process::Stdio;
use std::time::{Duration, Instant};

use helios::backplane::{BackplaneErrorKind, Status};
use helios::prelude::*;
use helios::sse::{EventId, SseHub};
use helios::testing::backplane::{Proxy, Way};
use helios_redis::Redis;
use support::{Client, DEADLINE, Server, count, hub, send, send_at_last, sentinel, until};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// The time within which clients have the newest event after an outage.
const HEALED: Duration = Duration::from_secs(15);

fn status(hub: &SseHub) -> Option<Status> {
    hub.sse().stats().backplane
}

async fn until_status(hub: &SseHub, wanted: Status) {
    until("another status", async || status(hub) == Some(wanted)).await;
}

async fn through(proxy: &Proxy) -> SseHub {
    hub(Redis::connect(format!("redis://{}", proxy.addr()))).await
}

fn kind_of<T: std::fmt::Debug>(answer: Result<T, SseError>) -> BackplaneErrorKind {
    match answer.unwrap_err() {
        SseError::Backplane(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

/// The text of each id. It panics if an id has two texts.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn note(&mut self, id: impl ToString, text: &str) {
        let before = self.0.insert(id.to_string(), text.to_owned());
        assert!(
            before.as_deref().is_none_or(|it| it == text),
            "{before:?}, and {text}"
        );
    }

    /// Publishes these numbers, and retries each until it succeeds.
    async fn send_at_last(&mut self, hub: &SseHub, numbers: Range<u32>) {
        for n in numbers {
            let text = n.to_string();
            self.note(send_at_last(hub, "x", &text).await, &text);
        }
    }

    fn note_all(&mut self, events: &[helios::sse::DecodedEvent]) {
        for event in events {
            if event.event == "message" {
                self.note(&event.id, &event.data);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_redis_that_keeps_everything_resets_nobody_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Server::start_keeping(folder.path(), &["--appendfsync", "always"]).await;
    let of_redis = || Redis::connect(redis.url()).keeps_everything();
    let (one, two) = (hub(of_redis()).await, hub(of_redis()).await);
    let mut client = Client::join(&two, &["x"], None).await;
    let first: EventId = send(&one, "x", "1").await.parse().unwrap();
    assert_eq!(client.data().await, "1");
    redis.restart().await;
    let second = send_at_last(&one, "x", "2").await;
    assert_eq!(second.is_after(first), Some(true));
    assert_eq!(client.data().await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_redis_that_restarts_from_its_file_begins_another_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Server::start_keeping(folder.path(), &[]).await;
    let one = redis.hub().await;
    let mut client = Client::join(&one, &["x"], None).await;
    let first: EventId = send(&one, "x", "1").await.parse().unwrap();
    assert_eq!(client.data().await, "1");
    redis.restart().await;
    let second = send_at_last(&one, "x", "2").await;
    assert_eq!(second.is_after(first), None);
    let read = client.until("2").await;
    assert_eq!(count(&read, "helios:reset"), 1, "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_promoted_replica_that_lost_writes_reuses_no_id() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let mut primary = Server::start_with(&["--dir", dir]).await;
    let copying = Proxy::start(primary.addr()).await.unwrap();
    let replica = Server::replica_of(copying.addr(), &["--dir", dir]).await;
    let (one, two) = (primary.hub().await, primary.hub().await);
    let mut client = Client::join(&two, &["x"], None).await;
    let mut names = Names::default();
    for n in 0..20 {
        if n == 10 {
            replica
                .until("ten are copied", async || {
                    replica.answer(&["HGET", "{test}:m", "seq"]).await == "10"
                })
                .await;
            copying.hold(Way::ToClient);
        }
        let text = n.to_string();
        names.note(send(&one, "x", &text).await, &text);
    }
    names.note_all(&client.until("19").await);
    primary.kill().await;
    replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let port = primary.port().to_string();
    replica.ask(&["CONFIG", "SET", "port", &port]).await;
    let healed = async {
        names.send_at_last(&one, 20..40).await;
        // An event published before this node is back would be covered by the reset of its clients.
        until_status(&two, Status::Up).await;
        names.note(send_at_last(&one, "x", "last").await, "last");
        client.until("last").await
    };
    let read = timeout(HEALED, healed).await.unwrap();
    assert_eq!(count(&read, "helios:reset"), 1, "{read:?}");
    names.note_all(&read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn an_old_primary_behind_a_sentinel_reuses_no_id() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let primary = Server::start_with(&["--dir", dir]).await;
    let copying = Proxy::start(primary.addr()).await.unwrap();
    let replica = Server::replica_of(primary.addr(), &["--dir", dir]).await;
    let sentinel = sentinel(&primary, folder.path(), 1).await;
    sentinel
        .until("the replica is known", async || {
            sentinel.says("SENTINEL MASTER shop", "num-slaves\n1").await
        })
        .await;
    let by_sentinel = || Redis::sentinel([format!("127.0.0.1:{}", sentinel.port())], "shop");
    let (one, two) = (hub(by_sentinel()).await, hub(by_sentinel()).await);
    // This hub does not follow the Sentinel.
    let stubborn = through(&copying).await;
    let mut client = Client::join(&two, &["x"], None).await;
    let mut names = Names::default();
    for n in 0..10 {
        let text = n.to_string();
        names.note(send(&one, "x", &text).await, &text);
    }
    primary.freeze();
    replica
        .until("the replica is promoted", async || {
            replica.says("ROLE", "master").await
        })
        .await;
    let healed = async {
        names.send_at_last(&one, 10..20).await;
        until_status(&two, Status::Up).await;
        names.note(send_at_last(&one, "x", "last").await, "last");
        client.until("last").await
    };
    let read = timeout(HEALED, healed).await.unwrap();
    names.note_all(&read);
    // The old primary returns, and stays a primary until the Sentinel reconfigures it.
    primary.thaw();
    let mut published = 0;
    let refused = Instant::now() + HEALED;
    while Instant::now() < refused {
        let text = format!("old {published}");
        match stubborn.sse().publish("x", text.as_str()).await {
            Ok(id) => {
                names.note(id, &text);
                published += 1;
            }
            Err(_) if primary.says("ROLE", "slave").await => break,
            Err(_) => {}
        }
    }
    let text = "the end";
    names.note(send_at_last(&one, "x", text).await, text);
    names.note_all(&timeout(HEALED, client.until(text)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn two_of_three_sentinels_lead_to_another_primary() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let mut primary = Server::start_with(&["--dir", dir]).await;
    let replica = Server::replica_of(primary.addr(), &["--dir", dir]).await;
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        sentinels.push(sentinel(&primary, folder.path(), 2).await);
    }
    for sentinel in &sentinels {
        sentinel
            .until("the replica and the others are known", async || {
                sentinel.says("SENTINEL MASTER shop", "num-slaves\n1").await
                    && sentinel
                        .says("SENTINEL MASTER shop", "num-other-sentinels\n2")
                        .await
            })
            .await;
    }
    let addresses: Vec<_> = sentinels.iter().map(|it| it.addr().to_string()).collect();
    let by_sentinels = || Redis::sentinel(addresses.clone(), "shop");
    let (one, two) = (hub(by_sentinels()).await, hub(by_sentinels()).await);
    let mut client = Client::join(&two, &["x"], None).await;
    let mut names = Names::default();
    names.note(send(&one, "x", "1").await, "1");
    assert_eq!(client.data().await, "1");
    // One Sentinel dies together with the primary.
    sentinels[0].kill().await;
    primary.kill().await;
    replica
        .until("the replica is promoted", async || {
            replica.says("ROLE", "master").await
        })
        .await;
    let healed = async {
        names.note(send_at_last(&one, "x", "2").await, "2");
        until_status(&two, Status::Up).await;
        names.note(send_at_last(&one, "x", "last").await, "last");
        client.until("last").await
    };
    let read = timeout(HEALED, healed).await.unwrap();
    assert_eq!(count(&read, "helios:reset"), 1, "{read:?}");
    names.note_all(&read);
    let three = hub(by_sentinels()).await;
    for sentinel in &mut sentinels[1..] {
        sentinel.kill().await;
    }
    for text in ["3", "4"] {
        send(&three, "x", text).await;
        let read = client.until(text).await;
        assert_eq!(count(&read, "helios:reset"), 0, "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_primary_that_was_a_replica_reuses_no_id() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let primary = Server::start_with(&["--dir", dir]).await;
    let copying = Proxy::start(primary.addr()).await.unwrap();
    let other = Server::replica_of(copying.addr(), &["--dir", dir]).await;
    let (one, two) = (primary.hub().await, primary.hub().await);
    let mut client = Client::join(&one, &["x"], None).await;
    let mut names = Names::default();
    names.note(send(&one, "x", "1").await, "1");
    other
        .until("it is copied", async || {
            other.answer(&["HGET", "{test}:m", "seq"]).await == "1"
        })
        .await;
    copying.hold(Way::ToClient);
    for text in ["2", "3"] {
        names.note(send(&one, "x", text).await, text);
    }
    other.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let port = other.port().to_string();
    primary.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
    let refused = one.sse().publish("x", "refused").await;
    let kind = kind_of(refused);
    assert!(
        matches!(
            kind,
            BackplaneErrorKind::NotPublished | BackplaneErrorKind::Down
        ),
        "{kind:?}"
    );
    // This holds even for the node that has seen none of the lost events.
    until_status(&one, Status::Down).await;
    until_status(&two, Status::Down).await;
    primary
        .until("what was lost is lost", async || {
            primary
                .says("INFO replication", "master_link_status:up")
                .await
        })
        .await;
    assert_eq!(primary.answer(&["HGET", "{test}:m", "seq"]).await, "1");
    primary.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let healed = async {
        for text in ["4", "5", "6"] {
            names.note(send_at_last(&two, "x", text).await, text);
        }
        until_status(&one, Status::Up).await;
        names.note(send_at_last(&two, "x", "last").await, "last");
        client.until("last").await
    };
    let read = timeout(HEALED, healed).await.unwrap();
    names.note_all(&read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn publishing_to_a_frozen_redis_fails_in_time() {
    let redis = Server::start().await;
    let (one, two) = (redis.hub().await, redis.hub().await);
    let mut client = Client::join(&two, &["x"], None).await;
    send(&one, "x", "1").await;
    assert_eq!(client.data().await, "1");
    redis.freeze();
    let publish = timeout(Duration::from_secs(11), one.sse().publish("x", "lost?"));
    let kind = kind_of(publish.await.expect("an answer in time"));
    assert_eq!(kind, BackplaneErrorKind::Unknown);
    until_status(&one, Status::Down).await;
    let at_once = one.sse().publish("x", "no").await;
    assert_eq!(kind_of(at_once), BackplaneErrorKind::Down);
    redis.thaw();
    let healed = async {
        send_at_last(&one, "x", "2").await;
        client.until("2").await
    };
    let read = timeout(HEALED, healed).await.unwrap();
    assert_eq!(count(&read, "helios:reset"), 0, "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_node_that_was_cut_off_catches_up() {
    let redis = Server::start().await;
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let (far, near) = (through(&proxy).await, redis.hub().await);
    let mut client = Client::join(&far, &["x"], None).await;
    for (n, way) in [Way::ToClient, Way::ToServer, Way::Both]
        .into_iter()
        .enumerate()
    {
        proxy.drop_bytes(way);
        let (missed, last) = (format!("missed {n}"), format!("last {n}"));
        send(&near, "x", &missed).await;
        until_status(&far, Status::Down).await;
        proxy.heal();
        send(&near, "x", &last).await;
        let read = timeout(HEALED, client.until(&last)).await.unwrap();
        let texts: Vec<_> = read.iter().map(|event| event.data.as_str()).collect();
        assert_eq!(texts, [missed.as_str(), last.as_str()]);
    }
}

/// A subscription that is lost on its way leaves a connection over which nothing is sent any more, although events
/// arrive. The connection for questions works, because nothing was sent over it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_listener_that_can_only_receive_is_given_up() {
    let redis = Server::start().await;
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let far = through(&proxy).await;
    // The node has sent its first questions by now.
    let _joined = Client::join(&far, &["first"], None).await;
    proxy.drop_bytes(Way::ToServer);
    let lost = timeout(Duration::from_millis(200), far.sse().subscribe(["lost"]));
    assert!(lost.await.is_err());
    proxy.heal();
    let joined = async { while far.sse().subscribe(["x"]).await.is_err() {} };
    timeout(2 * HEALED, joined).await.unwrap();
}

/// An answer that is lost on its way leaves a connection over which no answer comes any more. The events that are
/// published over it still arrive by the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_connection_without_answers_is_given_up() {
    let redis = Server::start().await;
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let far = through(&proxy).await;
    let _joined = Client::join(&far, &["x"], None).await;
    // Redis knows the script from now on.
    send(&far, "x", "first").await;
    proxy.drop_bytes(Way::ToClient);
    let lost = timeout(
        Duration::from_millis(200),
        far.sse().publish("unread", "lost"),
    );
    assert!(lost.await.is_err());
    proxy.heal();
    let published = async { while far.sse().publish("x", "again").await.is_err() {} };
    timeout(HEALED, published).await.unwrap();
}

/// Nothing reaches Redis any more, while events of other servers still arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_server_that_can_only_receive_is_soon_down() {
    let redis = Server::start().await;
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let (far, near) = (through(&proxy).await, redis.hub().await);
    let mut client = Client::join(&far, &["x"], None).await;
    proxy.drop_bytes(Way::ToServer);
    send(&near, "x", "still").await;
    assert_eq!(client.data().await, "still");
    let down = async {
        while status(&far) != Some(Status::Down) {
            send(&near, "x", "event").await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(HEALED, down).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn events_dropped_by_a_full_buffer_are_fetched_or_reset() {
    let limit = ["--client-output-buffer-limit", "pubsub", "1mb", "1mb", "1"];
    let redis = Server::start_with(&limit).await;
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let (far, near) = (through(&proxy).await, redis.hub().await);
    let mut client = Client::join(&far, &["x"], None).await;
    let large = "x".repeat(100_000);
    proxy.hold(Way::ToClient);
    let sending = async {
        for n in 0..200 {
            send_at_last(&near, "x", &format!("{n} {large}")).await;
        }
    };
    timeout(Duration::from_secs(60), sending).await.unwrap();
    proxy.heal();
    send_at_last(&near, "x", "last").await;
    let read = timeout(HEALED, client.until("last")).await.unwrap();
    let is_whole = count(&read, "message") == 201;
    assert!(
        is_whole || count(&read, "helios:reset") > 0,
        "{}",
        read.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_redis_without_memory_is_full_reads_on_and_heals() {
    let redis = Server::start().await;
    let one = redis.hub().await;
    let mut client = Client::join(&one, &["x"], None).await;
    let first = send(&one, "x", "1").await;
    assert_eq!(client.data().await, "1");
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let full = one.sse().publish("x", "no room").await;
    assert_eq!(kind_of(full), BackplaneErrorKind::Full);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    send(&one, "x", "2").await;
    assert_eq!(client.data().await, "2");
    let mut late = Client::join(&redis.hub().await, &["x"], Some(&first)).await;
    assert_eq!(late.data().await, "2");
}

/// Cuts a link and starts a server while Redis refuses all writes, and returns the kind of error of a publish.
async fn go_on_without_writes(redis: &Server, refuse: [&str; 2], accept: [&str; 2]) -> SseError {
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let (far, near) = (through(&proxy).await, redis.hub().await);
    let mut client = Client::join(&far, &["x"], None).await;
    let first = send(&near, "x", "1").await;
    send(&near, "x", "2").await;
    client.until("2").await;
    redis.ask(&[&["CONFIG", "SET"], &refuse[..]].concat()).await;
    let cut = connections(redis).await;
    proxy.cut();
    until("the link is back", async || {
        status(&far) == Some(Status::Up) && !connections(redis).await.is_superset(&cut)
    })
    .await;
    let refused = near.sse().publish("x", "no").await.unwrap_err();
    let mut late = Client::join(&redis.hub().await, &["x"], Some(&first)).await;
    assert_eq!(late.data().await, "2");
    redis.ask(&[&["CONFIG", "SET"], &accept[..]].concat()).await;
    send(&near, "x", "3").await;
    for client in [&mut client, &mut late] {
        assert_eq!(client.data().await, "3");
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_link_comes_back_and_a_server_starts_while_redis_refuses_writes() {
    let redis = Server::start().await;
    let (refuse, accept) = (["maxmemory", "1"], ["maxmemory", "0"]);
    let full = go_on_without_writes(&redis, refuse, accept).await;
    assert_eq!(kind_of(Err::<(), _>(full)), BackplaneErrorKind::Full);
    let (refuse, accept) = (
        ["min-replicas-to-write", "1"],
        ["min-replicas-to-write", "0"],
    );
    let refused = go_on_without_writes(&redis, refuse, accept).await;
    let kind = kind_of(Err::<(), _>(refused));
    assert_eq!(kind, BackplaneErrorKind::NotPublished);
}

/// The lease needs no memory to be renewed, so nobody takes the clients of a server for gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_lease_is_renewed_while_redis_is_out_of_memory() {
    let redis = Server::start().await;
    let _hub = redis.hub().await;
    let lease = redis.answer(&["KEYS", "*:a:*"]).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    redis.ask(&["PEXPIRE", &lease, "9000"]).await;
    until("the lease is longer", async || {
        let left = redis.answer(&["PTTL", &lease]).await;
        left.parse().is_ok_and(|left: u32| left > 9_000)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn scripts_that_redis_has_forgotten_are_loaded_again() {
    let redis = Server::start().await;
    let one = redis.hub().await;
    let mut client = Client::join(&one, &["x"], None).await;
    for text in ["1", "2", "3"] {
        redis.ask(&["SCRIPT", "FLUSH"]).await;
        send(&one, "x", text).await;
        assert_eq!(client.data().await, text);
    }
}

/// Two calls are under way at the same time, and a call that is repeated would come behind the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn many_events_keep_their_order_while_redis_forgets_its_scripts() {
    let redis = Server::start().await;
    let one = redis.hub().await;
    let forgetting = async {
        loop {
            redis.ask(&["SCRIPT", "FLUSH"]).await;
        }
    };
    let publishing = async {
        for _ in 0..20 {
            let events = (0..500).map(|n| ("x", n.to_string()));
            let ids = one.sse().publish_all(events).await;
            let seqs: Vec<_> = ids.into_iter().map(|id| id.unwrap().seq()).collect();
            assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
        }
    };
    tokio::select! {
        () = forgetting => {}
        () = publishing => {}
    }
}

/// The variable with the URL to which the child publishes.
const NODE: &str = "HELIOS_REDIS_NODE";

/// A node with a client. It prints each event that it has published, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_is_a_node() {
    let Ok(url) = std::env::var(NODE) else { return };
    let one = hub(Redis::connect(url)).await;
    let stream = one.sse().subscribe(["x"]).await.unwrap();
    println!("\nclient {}", stream.id());
    let head = http::Request::get("/").body(()).unwrap().into_parts().0;
    let _response = one.respond(head, stream).await;
    for n in 0.. {
        let id = one.sse().publish("x", n.to_string()).await.unwrap();
        println!("\npublished {id} {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn acknowledged_events_of_a_killed_node_are_delivered() {
    let redis = Server::start().await;
    let near = redis.hub().await;
    let mut client = Client::join(&near, &["x"], None).await;
    let mut node = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_is_a_node", "--nocapture"])
        .env(NODE, redis.url())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(node.stdout.take().unwrap()).lines();
    let (mut id, mut published) = (None, Vec::new());
    while published.len() < 100 {
        let line = timeout(DEADLINE, said.next_line()).await.unwrap();
        let line = line.unwrap().expect("it goes on");
        if let Some(client) = line.strip_prefix("client ") {
            id = client.parse::<ClientId>().ok();
        }
        published.extend(line.strip_prefix("published ").map(str::to_owned));
    }
    node.kill().await.unwrap();
    // It may have printed more before it ended.
    while let Ok(Some(line)) = said.next_line().await {
        published.extend(line.strip_prefix("published ").map(str::to_owned));
    }
    let mut seen = Vec::new();
    while seen.len() < published.len() {
        let event = client.next().await;
        assert_eq!(event.event, "message", "{event:?}");
        seen.push(format!("{} {}", event.id, event.data));
    }
    assert_eq!(seen, published);
    let id = id.expect("it has a client");
    until("its lease has run out", async || {
        let sent = near.sse().send_to_client(id, "for you").await;
        matches!(sent, Err(SseError::NoSuchClient(_)))
    })
    .await;
}

/// Returns the ids of all connections at a server.
async fn connections(redis: &Server) -> HashSet<String> {
    let clients = redis.answer(&["CLIENT", "LIST"]).await;
    let ids = clients.lines().filter_map(|line| line.split(' ').next());
    ids.map(ToOwned::to_owned).collect()
}

/// A call over an earlier connection may still be under way, and would undo a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_link_that_is_back_has_ended_its_earlier_connections() {
    let redis = Server::start().await;
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let hub = through(&proxy).await;
    let earlier = connections(&redis).await;
    // Redis hears nothing of the end of these connections.
    proxy.drop_bytes(Way::Both);
    until_status(&hub, Status::Down).await;
    proxy.heal();
    until_status(&hub, Status::Up).await;
    assert!(connections(&redis).await.is_disjoint(&earlier));
}
