//! Presence on several servers behind one Redis. Events and lists are true, also after failures of servers and of Redis.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Stdio;
use std::time::Duration;

use helios::backplane::Status;
use helios::sse::SseHub;
use helios::testing::backplane::{Proxy, Way};
use helios_redis::Redis;
use support::{Client, DEADLINE, Server, until};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

const TOPIC: &str = "room:tea";

/// The length of a lease, with some time to notice its end.
const LOST: Duration = Duration::from_secs(25);

async fn node(redis: Redis) -> SseHub {
    let options = |sse: &mut helios::SseOptions| {
        sse.presence = vec!["room:*".into()];
        sse.presence_grace = Duration::from_secs(1);
        // Members of these tests read nothing.
        sse.stuck_after = Duration::from_secs(3600);
    };
    SseHub::behind(redis.namespace("test"), options)
        .await
        .unwrap()
}

async fn of(redis: &Server) -> SseHub {
    node(Redis::connect(redis.url())).await
}

async fn enter(hub: &SseHub, key: &str) -> Client {
    support::enter(hub, TOPIC, key).await
}

/// Returns the members, such as `ann here`, or `None` if there is only an old list or an error.
async fn present(hub: &SseHub) -> Option<Vec<String>> {
    let here = hub.sse().present(TOPIC).await.ok()?;
    if here.age().is_some() {
        return None;
    }
    let members = here.members().iter();
    let line =
        |member: &helios::sse::PresentMember| format!("{} {}", member.key, member.status.as_str());
    Some(members.map(line).collect())
}

async fn until_present(hub: &SseHub, expected: &[&str]) {
    until("they are present", async || {
        present(hub).await.is_some_and(|here| here == expected)
    })
    .await;
}

/// Returns the next event as text, such as `joined ann` or `left ann lost`.
async fn told(client: &mut Client) -> String {
    let event = client.next().await;
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
    let name = event.event.trim_start_matches("helios:");
    let (key, reason) = (data["key"].as_str(), data["reason"].as_str());
    let words = [Some(name), key, reason].into_iter().flatten();
    words.collect::<Vec<_>>().join(" ")
}

/// Returns the names of the events up to now.
async fn told_until(client: &mut Client, hub: &SseHub, text: &str) -> Vec<String> {
    support::send_at_last(hub, TOPIC, text).await;
    let read = client.until(text).await;
    let names = read.iter().map(|event| event.event.clone());
    names.filter(|name| name != "message").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_member_on_two_servers_leaves_with_the_last_stream() {
    let redis = Server::start().await;
    let (one, two) = (of(&redis).await, of(&redis).await);
    let mut looker = Client::join(&two, &[TOPIC], None).await;
    let (here, there) = (enter(&one, "ann").await, enter(&two, "ann").await);
    assert_eq!(told(&mut looker).await, "joined ann");
    let _bob = enter(&one, "bob").await;
    assert_eq!(told(&mut looker).await, "joined bob");
    drop(here);
    until_present(&one, &["ann here", "bob here"]).await;
    drop(there);
    assert_eq!(told(&mut looker).await, "left ann left");
    until_present(&two, &["bob here"]).await;
    // A server that stops gives up its members, which leave at the end of their grace.
    one.shutdown(Duration::ZERO).await;
    assert_eq!(told(&mut looker).await, "left bob left");
}

/// The variable with the URL of the child's Redis.
const NODE: &str = "HELIOS_REDIS_PRESENT";

/// A server with a member, which runs until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_has_a_member() {
    let Ok(url) = std::env::var(NODE) else { return };
    let hub = node(Redis::connect(url)).await;
    let _ann = enter(&hub, "ann").await;
    sleep(Duration::from_secs(600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn members_of_a_killed_server_are_lost_once() {
    let redis = Server::start().await;
    let (two, three) = (of(&redis).await, of(&redis).await);
    let mut looker = Client::join(&two, &[TOPIC], None).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child_has_a_member", "--nocapture"])
        .env(NODE, redis.url())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    assert_eq!(told(&mut looker).await, "joined ann");
    // Both servers reap, since both have members.
    let _others = (enter(&two, "bob").await, enter(&three, "cy").await);
    for joined in ["joined bob", "joined cy"] {
        assert_eq!(told(&mut looker).await, joined);
    }
    child.kill().await.unwrap();
    until_present(&three, &["ann unconfirmed", "bob here", "cy here"]).await;
    let lost = timeout(LOST, told(&mut looker)).await.unwrap();
    assert_eq!(lost, "left ann lost");
    until_present(&three, &["bob here", "cy here"]).await;
    assert!(told_until(&mut looker, &two, "the end").await.is_empty());
}

/// Reads until there is a current list, which must have these members.
async fn is_never_short(hub: &SseHub, expected: &[&str]) {
    let reading = async {
        loop {
            if let Some(keys) = support::keys_of(hub, TOPIC).await {
                assert_eq!(keys, expected);
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, reading).await.expect("a list in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_redis_that_restarts_empty_never_lists_too_few() {
    let mut redis = Server::start().await;
    let (one, two) = (of(&redis).await, of(&redis).await);
    let (_ann, _bob) = (enter(&one, "ann").await, enter(&two, "bob").await);
    // This server has never asked for members.
    let three = of(&redis).await;
    until_present(&one, &["ann here", "bob here"]).await;
    redis.restart().await;
    tokio::join!(
        is_never_short(&one, &["ann", "bob"]),
        is_never_short(&three, &["ann", "bob"])
    );
    until_present(&two, &["ann here", "bob here"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_restart_from_a_file_changes_no_members() {
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Server::start_keeping(folder.path(), &["--appendfsync", "always"]).await;
    let of_redis = || node(Redis::connect(redis.url()).keeps_everything());
    let (one, two) = (of_redis().await, of_redis().await);
    let mut looker = Client::join(&two, &[TOPIC], None).await;
    let (_ann, _bob) = (enter(&one, "ann").await, enter(&two, "bob").await);
    for joined in ["joined ann", "joined bob"] {
        assert_eq!(told(&mut looker).await, joined);
    }
    redis.kill().await;
    // Redis is away for longer than a lease, while the servers live.
    sleep(LOST).await;
    redis.restart().await;
    until_present(&one, &["ann here", "bob here"]).await;
    // Now the earlier leases have run out as well.
    sleep(LOST).await;
    assert!(told_until(&mut looker, &two, "the end").await.is_empty());
    until_present(&one, &["ann here", "bob here"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn after_a_lossy_failover_the_list_becomes_right_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let mut primary = Server::start_with(&["--dir", dir]).await;
    let copying = Proxy::start(primary.addr()).await.unwrap();
    let replica = Server::replica_of(copying.addr(), &["--dir", dir]).await;
    let (one, two) = (of(&primary).await, of(&primary).await);
    let (_ann, bob) = (enter(&one, "ann").await, enter(&one, "bob").await);
    until_present(&two, &["ann here", "bob here"]).await;
    replica
        .until("both are copied", async || {
            replica.answer(&["HLEN", "{test}:w:e"]).await == "2"
        })
        .await;
    copying.hold(Way::ToClient);
    // The replica misses these changes.
    let _cy = enter(&two, "cy").await;
    drop(bob);
    until_present(&two, &["ann here", "cy here"]).await;
    primary.kill().await;
    replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    let port = primary.port().to_string();
    replica.ask(&["CONFIG", "SET", "port", &port]).await;
    until("both are back", async || {
        [&one, &two].map(|hub| hub.sse().stats().backplane) == [Some(Status::Up); 2]
    })
    .await;
    let mut looker = Client::join(&two, &[TOPIC], None).await;
    let lost = timeout(LOST, async {
        loop {
            match &*told(&mut looker).await {
                "joined cy" => {}
                other => return other.to_owned(),
            }
        }
    });
    assert_eq!(lost.await.unwrap(), "left bob lost");
    until_present(&one, &["ann here", "cy here"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn members_of_a_cut_off_server_are_lost_and_return() {
    let redis = Server::start().await;
    let proxy = Proxy::start(redis.addr()).await.unwrap();
    let far = node(Redis::connect(format!("redis://{}", proxy.addr()))).await;
    let near = of(&redis).await;
    let mut looker = Client::join(&near, &[TOPIC], None).await;
    let (_ann, _bob) = (enter(&far, "ann").await, enter(&near, "bob").await);
    for joined in ["joined ann", "joined bob"] {
        assert_eq!(told(&mut looker).await, joined);
    }
    until_present(&far, &["ann here", "bob here"]).await;
    proxy.hold(Way::Both);
    until_present(&near, &["ann unconfirmed", "bob here"]).await;
    let lost = timeout(LOST, told(&mut looker)).await.unwrap();
    assert_eq!(lost, "left ann lost");
    // The server that is cut off returns an old list.
    let old = far.sse().present(TOPIC).await.unwrap();
    assert!(old.age().is_some() && old.members().len() == 2, "{old:?}");
    proxy.heal();
    let back = timeout(LOST, told(&mut looker)).await.unwrap();
    assert_eq!(back, "joined ann");
    until_present(&far, &["ann here", "bob here"]).await;
}
