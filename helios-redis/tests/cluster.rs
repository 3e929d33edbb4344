//! Tests with a cluster of three nodes, with or without replicas. The link follows the slot of its namespace.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use helios::prelude::*;
use helios_redis::Redis;
use support::{
    Client, DEADLINE, Server, enter, free_port, hub, keys_of, refusal, send, send_at_last, until,
};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// The longest time that an outage may take to heal.
const HEALED: Duration = Duration::from_secs(15);

/// Starts three primaries, and this number of replicas for each.
async fn cluster(folder: &Path, replicas: usize) -> Vec<Server> {
    let mut nodes = Vec::new();
    for n in 0..3 * (1 + replicas) {
        let dir = folder.join(n.to_string());
        std::fs::create_dir(&dir).unwrap();
        let (bus, dir) = (free_port().to_string(), dir.to_str().unwrap().to_owned());
        let args = [
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus,
            "--cluster-node-timeout",
            "2000",
            "--dir",
            &dir,
        ];
        nodes.push(Server::start_with(&args).await);
    }
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]);
    create.args(nodes.iter().map(|node| node.addr().to_string()));
    create.args(["--cluster-replicas", &replicas.to_string()]);
    let created = timeout(DEADLINE, create.arg("--cluster-yes").output()).await;
    let created = created.unwrap().unwrap();
    assert!(created.status.success(), "{created:?}");
    for node in &nodes {
        node.until("the cluster is up", async || {
            node.says("CLUSTER INFO", "cluster_state:ok").await
        })
        .await;
    }
    nodes
}

fn of(nodes: &[Server]) -> Redis {
    Redis::cluster(nodes.iter().map(|node| node.addr().to_string()))
}

/// Returns the primary that has the namespace, and the slot.
async fn owner(nodes: &[Server]) -> (usize, String) {
    let slot = nodes[0].answer(&["CLUSTER", "KEYSLOT", "{test}:m"]).await;
    for (n, node) in nodes.iter().enumerate() {
        let keys = node.answer(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).await;
        if keys != "0" && node.says("ROLE", "master").await {
            return (n, slot);
        }
    }
    panic!("nobody has the slot");
}

/// Moves a slot with all its keys to another node.
async fn move_slot(nodes: &[Server], from: usize, to: usize, slot: &str) {
    let ids = [
        nodes[from].answer(&["CLUSTER", "MYID"]).await,
        nodes[to].answer(&["CLUSTER", "MYID"]).await,
    ];
    let set = async |node: &Server, words: &[&str]| {
        let all = [&["CLUSTER", "SETSLOT", slot], words].concat();
        assert_eq!(node.answer(&all).await, "OK");
    };
    set(&nodes[to], &["IMPORTING", &ids[0]]).await;
    set(&nodes[from], &["MIGRATING", &ids[1]]).await;
    let port = nodes[to].port().to_string();
    loop {
        let keys = nodes[from]
            .answer(&["CLUSTER", "GETKEYSINSLOT", slot, "100"])
            .await;
        if keys.is_empty() {
            break;
        }
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.lines());
        nodes[from].answer(&migrate).await;
    }
    set(&nodes[to], &["NODE", &ids[1]]).await;
    set(&nodes[from], &["NODE", &ids[1]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn servers_on_a_cluster_follow_their_slot_to_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = cluster(folder.path(), 0).await;
    let (one, two) = (hub(of(&nodes)).await, hub(of(&nodes[2..])).await);
    let mut client = Client::join(&two, &["x", "y"], None).await;
    let mut ids = Vec::new();
    for (topic, text) in [("x", "1"), ("y", "2"), ("x", "3")] {
        ids.push(send(&one, topic, text).await);
        assert_eq!(client.data().await, text);
    }
    let _ann = enter(&one, "room:tea", "ann").await;
    let (from, slot) = owner(&nodes).await;
    let said = refusal(Redis::connect(nodes[(from + 1) % 3].url()).namespace("test")).await;
    assert!(said.contains("`Redis::cluster`"), "{said}");
    move_slot(&nodes, from, (from + 1) % 3, &slot).await;
    let fourth = timeout(HEALED, send_at_last(&one, "x", "4")).await.unwrap();
    assert!(!ids.contains(&fourth.to_string()));
    until("the other is back", async || {
        two.sse().stats().backplane == Some(helios::backplane::Status::Up)
    })
    .await;
    send_at_last(&one, "x", "last").await;
    let read = timeout(HEALED, client.until("last")).await.unwrap();
    assert!(support::count(&read, "helios:reset") <= 1, "{read:?}");
    assert_eq!(owner(&nodes).await.0, (from + 1) % 3);
    until("members are known again", async || {
        keys_of(&two, "room:tea")
            .await
            .is_some_and(|keys| keys == ["ann"])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn the_password_in_the_urls_of_a_cluster_is_used_for_all_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = cluster(folder.path(), 0).await;
    for node in &nodes {
        node.ask(&["CONFIG", "SET", "requirepass", "secret"]).await;
    }
    let urls = nodes
        .iter()
        .map(|node| format!("redis://:secret@{}", node.addr()));
    let hub = hub(Redis::cluster(urls)).await;
    let mut client = Client::join(&hub, &["x"], None).await;
    send(&hub, "x", "1").await;
    assert_eq!(client.data().await, "1");
}

/// Begins to move a slot to another node, and moves one key.
async fn begin_to_move(nodes: &[Server], from: usize, to: usize, (slot, key): (&str, &str)) {
    let ids = [
        nodes[from].answer(&["CLUSTER", "MYID"]).await,
        nodes[to].answer(&["CLUSTER", "MYID"]).await,
    ];
    let importing = ["CLUSTER", "SETSLOT", slot, "IMPORTING", &ids[0]];
    assert_eq!(nodes[to].answer(&importing).await, "OK");
    let migrating = ["CLUSTER", "SETSLOT", slot, "MIGRATING", &ids[1]];
    assert_eq!(nodes[from].answer(&migrating).await, "OK");
    let port = nodes[to].port().to_string();
    let migrate = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
    assert_eq!(nodes[from].answer(&migrate).await, "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_member_that_is_lost_while_its_slot_moves_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = cluster(folder.path(), 0).await;
    let killed = tokio::runtime::Runtime::new().unwrap();
    let redis = of(&nodes);
    let ann = killed.spawn(async move {
        let hub = hub(redis).await;
        let ann = enter(&hub, "room:tea", "ann").await;
        (hub, ann)
    });
    let _ann = ann.await.unwrap();
    let (from, slot) = owner(&nodes).await;
    let lease = nodes[from]
        .answer(&["ZRANGE", "{test}:w:l", "0", "0"])
        .await;
    let two = hub(of(&nodes)).await;
    assert_eq!(keys_of(&two, "room:tea").await.unwrap(), ["ann"]);
    // All keys exist, as on a busy server.
    for key in ["{test}:w:g", "{test}:w:t"] {
        nodes[from].ask(&["ZADD", key, "inf", "another"]).await;
    }
    killed.shutdown_background();
    let to = (from + 1) % 3;
    begin_to_move(&nodes, from, to, (&slot, "{test}:w:e")).await;
    nodes[from].ask(&["ZADD", "{test}:w:l", "1", &lease]).await;
    // The other server looks for lost members meanwhile.
    sleep(Duration::from_secs(7)).await;
    move_slot(&nodes, from, to, &slot).await;
    let nobody = async {
        while keys_of(&two, "room:tea")
            .await
            .is_none_or(|keys| !keys.is_empty())
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(2 * DEADLINE, nobody).await.expect("she is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn the_rights_in_the_guide_are_enough_in_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = cluster(folder.path(), 0).await;
    let rights = "on >geheim ~{test}:* &{test}:* +@connection +@scripting +@pubsub +@read +@write +info +time +config|get \
                  +cluster|keyslot +cluster|info +cluster|slots";
    for node in &nodes {
        let words: Vec<_> = ["ACL", "SETUSER", "shop"]
            .into_iter()
            .chain(rights.split_ascii_whitespace())
            .collect();
        assert_eq!(node.answer(&words).await, "OK");
    }
    let of_user = || of(&nodes).user("shop").password("geheim");
    let (one, two) = (hub(of_user()).await, hub(of_user()).await);
    let mut client = Client::join(&two, &["x"], None).await;
    send(&one, "x", "1").await;
    assert_eq!(client.data().await, "1");
    let _ann = enter(&one, "room:tea", "ann").await;
    assert_eq!(keys_of(&two, "room:tea").await.unwrap(), ["ann"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_cluster_is_down_while_the_node_of_the_namespace_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = cluster(folder.path(), 0).await;
    let one = hub(of(&nodes)).await;
    let mut client = Client::join(&one, &["x"], None).await;
    send(&one, "x", "1").await;
    let (at, _) = owner(&nodes).await;
    nodes[at].kill().await;
    assert!(matches!(
        one.sse().publish("x", "no").await,
        Err(SseError::Backplane(_))
    ));
    nodes[at].restart().await;
    send_at_last(&one, "x", "2").await;
    timeout(HEALED, client.until("2")).await.unwrap();
}

/// Returns the replica of a node, once it has copied everything.
async fn replica_of(nodes: &[Server], at: usize) -> usize {
    let port = nodes[at].port().to_string();
    for (n, node) in nodes.iter().enumerate() {
        let role = node.answer(&["ROLE"]).await;
        let role: Vec<_> = role.lines().collect();
        if role.first() == Some(&"slave") && role.get(2) == Some(&&*port) {
            node.until("it is a copy", async || {
                node.says("INFO replication", "master_link_status:up").await
            })
            .await;
            return n;
        }
    }
    panic!("it has no replica");
}

/// Publishes from two hubs and reads from one, before and after `end` takes the primary away.
async fn survives(end: impl AsyncFnOnce(&mut [Server], usize, usize)) {
    let folder = tempfile::tempdir().unwrap();
    let mut nodes = cluster(folder.path(), 1).await;
    let (one, two) = (hub(of(&nodes)).await, hub(of(&nodes)).await);
    let mut client = Client::join(&two, &["x"], None).await;
    let mut texts = HashMap::new();
    for n in 0..10 {
        let text = n.to_string();
        texts.insert(send(&one, "x", &text).await, text.clone());
        assert_eq!(client.data().await, text);
    }
    let (primary, _) = owner(&nodes).await;
    let replica = replica_of(&nodes, primary).await;
    end(&mut nodes, primary, replica).await;
    nodes[replica]
        .until("the replica is promoted", async || {
            nodes[replica].says("ROLE", "master").await
        })
        .await;
    let healed = async {
        for n in 10..20 {
            let text = n.to_string();
            let id = send_at_last(&one, "x", &text).await.to_string();
            assert_eq!(texts.insert(id, text), None, "an id names two events");
        }
        until("the other is back", async || {
            two.sse().stats().backplane == Some(helios::backplane::Status::Up)
        })
        .await;
        send_at_last(&one, "x", "last").await;
        client.until("last").await
    };
    let read = timeout(HEALED, healed).await.unwrap();
    assert_eq!(support::count(&read, "helios:reset"), 1, "{read:?}");
    for event in read
        .iter()
        .filter(|event| event.event == "message" && event.data != "last")
    {
        assert_eq!(texts.get(&event.id), Some(&event.data));
    }
    // A node that starts now also finds the primary.
    let three = hub(of(&nodes)).await;
    send(&three, "x", "from another").await;
    client.until("from another").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_manual_failover_in_a_cluster_resets_each_client_once() {
    survives(async |nodes, _, replica| {
        assert_eq!(nodes[replica].answer(&["CLUSTER", "FAILOVER"]).await, "OK");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_killed_primary_in_a_cluster_resets_each_client_once() {
    survives(async |nodes, primary, _| nodes[primary].kill().await).await;
}
