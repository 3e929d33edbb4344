//! Compares the answers of Redis with those of the reference table, for random calls.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::Stdio;

use helios_core::backplane::BackplaneErrorKind;
use helios_core::presence::table::{LEASE, RENEWAL, Table};
use helios_http::sse::backplane::{Backplane, BackplaneSink, Startup};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;

use super::*;
use crate::Redis;

const TOPICS: [&str; 2] = ["room:tea", "room:\0"];
const KEYS: [&str; 3] = ["ann", "b\0b", "ü"];
const NODES: usize = 3;

/// One more node, whose lease never runs out.
const REAPER: usize = NODES;
const ROOM: usize = 2;

/// The node that calls, and the topic and key of the member.
type Who = (usize, usize, usize);

#[derive(Clone, Debug)]
enum Step {
    Renew(usize),
    Forget(usize),
    Put(Who, u8, bool),
    Remove(Who, Option<u64>),
    /// Confirms one of the last changes, which may be out of date.
    Told(usize, usize),
    Read(usize),
    Reap(usize),
    Pass(u64),
    /// Time passes in which no node renews its lease.
    StandStill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = || 0..NODES;
    let who = || (n(), 0..TOPICS.len(), 0..KEYS.len());
    let step = prop_oneof![
        4 => n().prop_map(Step::Renew),
        1 => n().prop_map(Step::Forget),
        6 => (who(), 0..3_u8, any::<bool>()).prop_map(|(who, data, is_new)| Step::Put(who, data, is_new)),
        4 => (who(), prop_oneof![Just(None), Just(Some(0)), Just(Some(10_000)), Just(Some(40_000))]).prop_map(|(who, grace)| Step::Remove(who, grace)),
        5 => (0..=NODES, 0..8_usize).prop_map(|(n, which)| Step::Told(n, which)),
        2 => (0..TOPICS.len()).prop_map(Step::Read),
        3 => n().prop_map(Step::Reap),
        3 => (1..9_000_u64).prop_map(Step::Pass),
        1 => Just(Step::StandStill),
    ];
    prop::collection::vec(step, 1..120)
}

/// Returns the script with a clock that the test sets.
fn script() -> String {
    let set = "redis.call('HMGET', ARGV[1] .. 'clock', 's', 'us')";
    let script = SCRIPT.replace("redis.call('TIME')", set);
    assert_ne!(script, SCRIPT);
    script
}

struct World {
    redis: Redis,
    table: Table,
    now: Duration,
    leases: [Option<Pair>; NODES + 1],
    /// The ends of the leases in the reference.
    ends: HashMap<Lease, Duration>,
    /// The version in the reference for each version of Redis.
    versions: HashMap<u64, u64>,
    changes: Vec<(MemberChange, MemberChange)>,
}

/// A lease in Redis, and the same one in the reference.
type Pair = (Lease, Lease);

impl World {
    async fn begin(url: &str) -> Self {
        let namespace = format!("test-{:x}", fastrand::u64(..));
        let mut redis = Redis::connect(url).namespace(namespace);
        redis.members.script = Script::new(&script());
        let node = NodeId::new(7).unwrap();
        let sink = BackplaneSink::new(|_| true);
        redis.start(Startup::new(node, sink)).await.unwrap();
        let mut world = Self {
            redis,
            table: Table::new(0),
            now: Duration::ZERO,
            leases: [None; NODES + 1],
            ends: HashMap::new(),
            versions: HashMap::new(),
            changes: Vec::new(),
        };
        world.set_clock(Duration::from_secs(1_700_000_000)).await;
        world.renew_now(REAPER).await;
        world
    }

    async fn command(&self, name: &str, words: &[&str]) -> Value {
        let link = self.redis.members.link.get().unwrap();
        let mut command = redis::cmd(name);
        command.arg(words);
        link.query(&link.server().unwrap(), &command).await.unwrap()
    }

    fn key(&self, name: &str) -> String {
        let link = self.redis.members.link.get().unwrap();
        format!("{}{name}", link.keys.prefix)
    }

    async fn set_clock(&mut self, now: Duration) {
        self.now = now;
        self.write_clock(now).await;
    }

    async fn write_clock(&self, now: Duration) {
        let (s, us) = (now.as_secs().to_string(), now.subsec_micros().to_string());
        let clock = self.key("clock");
        self.command("HSET", &[&clock, "s", &s, "us", &us]).await;
    }

    /// Reaps every lease at the moment when it runs out. The order of several dead leases is free, so the two tables could differ.
    async fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.renew_now(REAPER).await;
            let next = until.min(self.now + RENEWAL);
            let ends = self.ends.values().copied();
            let ends = ends.filter(|end| self.now < *end && *end <= next);
            let Some(end) = ends.min() else {
                self.set_clock(next).await;
                match next == until {
                    true => return,
                    false => continue,
                }
            };
            self.set_clock(end).await;
            self.reap_with(self.leases[REAPER].unwrap()).await;
        }
    }

    async fn renew(&mut self, n: usize) {
        // No two leases end at the same time.
        self.pass(Duration::from_millis(1)).await;
        self.renew_now(n).await;
    }

    async fn renew_now(&mut self, n: usize) {
        let node = NodeId::new(n as u32 + 1).unwrap();
        let known = self.leases[n];
        let ours = known.map(|(ours, _)| ours.incarnation);
        let ours = self.redis.members.lease(node, ours).await.unwrap();
        let theirs = known.map(|(_, theirs)| theirs.incarnation);
        let theirs = Lease::new(node, self.table.renew(self.now, node, theirs));
        let goes_on = known.is_some_and(|(before, _)| before == ours);
        assert_eq!(goes_on, known.is_some_and(|(_, before)| before == theirs));
        assert!(goes_on || known.is_none_or(|(before, _)| before.incarnation < ours.incarnation));
        self.leases[n] = Some((ours, theirs));
        if n != REAPER {
            self.ends.insert(theirs, self.now + LEASE);
        }
    }

    async fn lease(&mut self, n: usize) -> Pair {
        if self.leases[n].is_none() {
            self.renew(n).await;
        }
        self.leases[n].unwrap()
    }

    /// Checks that both hand out the same changes. Versions differ, but each has one counterpart.
    fn handed(
        &mut self,
        ours: impl IntoIterator<Item = MemberChange>,
        theirs: impl IntoIterator<Item = MemberChange>,
    ) {
        let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
            (ours.into_iter().collect(), theirs.into_iter().collect());
        let order = |change: &MemberChange| (change.topic.clone(), change.key.clone());
        ours.sort_by_key(order);
        theirs.sort_by_key(order);
        let without = |changes: &[MemberChange]| -> Vec<_> {
            let changes = changes.iter();
            changes
                .map(|it| (it.topic.clone(), it.key.clone(), it.kind.clone()))
                .collect()
        };
        assert_eq!(without(&ours), without(&theirs));
        for pair in ours.into_iter().zip(theirs) {
            let known = self.versions.insert(pair.0.version, pair.1.version);
            assert!(
                known.is_none_or(|known| known == pair.1.version),
                "{pair:?}"
            );
            self.changes.push(pair);
        }
    }

    async fn told(&mut self, n: usize, which: usize) {
        let at = self.changes.len().checked_sub(1 + which);
        let Some((ours, theirs)) = at.map(|at| self.changes[at].clone()) else {
            return;
        };
        let (lease, reference) = self.lease(n).await;
        let next = self.redis.members.told(lease, &ours).await.unwrap();
        let expected = self.table.told(&theirs, reference);
        self.handed(next, expected);
    }

    async fn reap(&mut self, n: usize) {
        let lease = self.lease(n).await;
        self.reap_with(lease).await;
    }

    async fn reap_with(&mut self, (lease, reference): Pair) {
        let ours = self.redis.members.reap(lease).await.unwrap();
        let theirs = self.table.reap(self.now, reference, 256);
        self.handed(ours, theirs);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Renew(n) => self.renew(n).await,
            // Another process takes the place of this node.
            Step::Forget(n) => self.leases[n] = None,
            Step::Put((n, topic, key), data, is_new) => {
                let (lease, reference) = self.lease(n).await;
                let (topic, key, data) = (TOPICS[topic], KEYS[key], data.to_string());
                let ours = self
                    .redis
                    .members
                    .put(lease, topic, key, &data, is_new, ROOM);
                let ours = ours.await.unwrap();
                let theirs = self
                    .table
                    .put(self.now, reference, (topic, key, &data), ROOM, is_new);
                match (ours, theirs) {
                    (PutAnswer::Kept(ours), PutAnswer::Kept(theirs)) => self.handed(ours, theirs),
                    (ours, theirs) => assert_eq!(ours, theirs),
                }
            }
            Step::Remove((n, topic, key), grace) => {
                let (lease, reference) = self.lease(n).await;
                let (topic, key, grace) =
                    (TOPICS[topic], KEYS[key], grace.map(Duration::from_millis));
                let ours = self.redis.members.remove(lease, topic, key, grace);
                let ours = ours.await.unwrap();
                let theirs = self.table.remove(self.now, reference, (topic, key), grace);
                self.handed(ours, theirs);
            }
            Step::Told(n, which) => self.told(n, which).await,
            Step::Read(topic) => {
                let ours = self.redis.members.read(TOPICS[topic]).await.unwrap();
                assert_eq!(ours, self.table.read(self.now, TOPICS[topic]));
            }
            Step::Reap(n) => self.reap(n).await,
            Step::StandStill => {
                self.set_clock(self.now + 2 * LEASE).await;
                self.renew_now(REAPER).await;
                for end in self.ends.values_mut() {
                    *end = self.now + LEASE;
                }
            }
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)).await,
        }
    }

    /// Checks that every key expires.
    async fn is_bounded(&self) {
        for name in ["w", "w:l", "w:n", "w:e", "w:g", "w:r", "w:t"] {
            let left = self.command("PTTL", &[&self.key(name)]).await;
            // There is no such key, or it expires.
            assert!(matches!(left, Value::Int(-2 | 1..)), "{name}: {left:?}");
        }
    }

    /// Lets one node confirm everything after all others have died, and checks that only its lease is left.
    async fn is_empty_at_last(&self) {
        let (members, node) = (&self.redis.members, NodeId::new(9).unwrap());
        let mut known = None;
        let mut now = self.now;
        for _ in 0..12 {
            now += RENEWAL;
            self.write_clock(now).await;
            let lease = members.lease(node, known).await.unwrap();
            known = Some(lease.incarnation);
            loop {
                let changes = members.reap(lease).await.unwrap();
                if changes.is_empty() {
                    break;
                }
                for change in changes {
                    let mut change = Some(change);
                    while let Some(this) = change {
                        change = members.told(lease, &this).await.unwrap();
                    }
                }
            }
        }
        for topic in TOPICS {
            assert_eq!(members.read(topic).await.unwrap(), []);
        }
        for name in ["w:n", "w:e", "w:g", "w:r", "w:t"] {
            let exists = self.command("EXISTS", &[&self.key(name)]).await;
            assert_eq!(exists, Value::Int(0), "{name}");
        }
        let leases = self.command("ZCARD", &[&self.key("w:l")]).await;
        assert_eq!(leases, Value::Int(1));
    }
}

/// Starts a server for one test.
fn server() -> (Child, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            "/tmp",
        ])
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let process = command.spawn().expect("redis-server is installed");
    (process, format!("redis://127.0.0.1:{port}"))
}

async fn until_it_answers(url: &str) {
    let addr = url.strip_prefix("redis://").unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while tokio::net::TcpStream::connect(addr).await.is_err() {
        assert!(tokio::time::Instant::now() < until, "redis-server starts");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn redis_answers_as_the_table_in_memory_does() {
    let runtime = Runtime::new().unwrap();
    let (_process, url) = runtime.block_on(async { server() });
    runtime.block_on(until_it_answers(&url));
    let config = Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async {
            let mut world = World::begin(&url).await;
            for step in steps {
                world.step(step).await;
            }
            world.is_bounded().await;
            world.is_empty_at_last().await;
            world.redis.stop().await;
        });
        Ok(())
    });
    run.unwrap();
}

/// Calls without the reference.
impl World {
    async fn put_one(&self, lease: Lease, key: &str) -> Option<MemberChange> {
        let put = self.redis.members.put(lease, TOPICS[0], key, "1", true, 10);
        match put.await.unwrap() {
            PutAnswer::Kept(change) => change,
            other => panic!("{other:?}"),
        }
    }

    /// Lets the length of a lease pass, while only these nodes renew theirs.
    async fn one_lease_passes(&mut self, living: &[Lease]) {
        for _ in 0..3 {
            self.set_clock(self.now + LEASE / 3).await;
            for lease in living {
                let again = self
                    .redis
                    .members
                    .lease(lease.node, Some(lease.incarnation));
                assert_eq!(again.await.unwrap(), *lease);
            }
        }
    }

    async fn keys_here(&self) -> Result<Vec<String>, BackplaneError> {
        let rows = self.redis.members.read(TOPICS[0]).await?;
        Ok(rows.iter().map(|row| row.key.to_string()).collect())
    }

    async fn keys_of_lost(&self, lease: Lease) -> Vec<String> {
        let lost = self.redis.members.reap(lease).await.unwrap();
        let lost = lost.iter().inspect(|change| {
            let is_lost = change.kind == MemberChangeKind::Left { is_lost: true };
            assert!(is_lost, "{change:?}");
        });
        lost.map(|change| change.key.to_string()).collect()
    }

    async fn joins(&self, lease: Lease, key: &str) {
        let joined = self.put_one(lease, key).await.unwrap();
        assert!(matches!(joined.kind, MemberChangeKind::Joined { .. }));
        let next = self.redis.members.told(lease, &joined).await.unwrap();
        assert_eq!(next, None);
    }
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn in_another_sequence_rows_stay_for_one_lease() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (_process, url) = server();
        until_it_answers(&url).await;
        let mut world = World::begin(&url).await;
        let node = |number| NodeId::new(number).unwrap();
        let one = world.redis.members.lease(node(1), None).await.unwrap();
        world.joins(one, "ann").await;
        world.joins(one, "bob").await;
        assert_eq!(world.keys_here().await.unwrap(), ["ann", "bob"]);
        // As after a failover, long after the leases have run out.
        world.set_clock(world.now + 4 * LEASE).await;
        world
            .command("HSET", &[&world.key("m"), "run", "another"])
            .await;
        let members = &world.redis.members;
        let two = members.lease(node(2), None).await.unwrap();
        assert_eq!(members.reap(two).await.unwrap(), []);
        let unknown = world.keys_here().await.unwrap_err();
        assert_eq!(unknown.kind(), BackplaneErrorKind::Down);
        let lost = members
            .put(one, TOPICS[0], "cy", "1", true, 10)
            .await
            .unwrap();
        assert_eq!(lost, PutAnswer::LeaseLost);
        let again = members.lease(node(1), Some(one.incarnation)).await.unwrap();
        assert!(again.incarnation > one.incarnation);
        assert_eq!(world.put_one(again, "ann").await, None);
        // No node puts bob again.
        world.one_lease_passes(&[again, two]).await;
        assert_eq!(world.put_one(again, "ann").await, None);
        assert_eq!(world.keys_of_lost(two).await, ["bob"]);
        assert_eq!(world.keys_here().await.unwrap(), ["ann"]);
    });
}

/// Changes the clock of Redis. Then two of three nodes come back, one after the other.
async fn only_the_dead_are_lost(change: impl Fn(Duration) -> Duration) {
    let (_process, url) = server();
    until_it_answers(&url).await;
    let mut world = World::begin(&url).await;
    let lease = async |world: &World, number, known: Option<Lease>| {
        let known = known.map(|lease| lease.incarnation);
        let lease = world
            .redis
            .members
            .lease(NodeId::new(number).unwrap(), known);
        lease.await.unwrap()
    };
    let one = lease(&world, 1, None).await;
    let two = lease(&world, 2, None).await;
    let dead = lease(&world, 3, None).await;
    for (lease, key) in [(one, "ann"), (two, "bob"), (dead, "cy")] {
        world.joins(lease, key).await;
    }
    world.set_clock(change(world.now)).await;
    let two = lease(&world, 2, Some(two)).await;
    assert_eq!(world.keys_of_lost(two).await, [""; 0]);
    assert_eq!(world.keys_here().await.unwrap(), ["ann", "bob", "cy"]);
    let one = lease(&world, 1, Some(one)).await;
    for (lease, key) in [(one, "ann"), (two, "bob")] {
        assert_eq!(world.put_one(lease, key).await, None);
    }
    world.one_lease_passes(&[one, two]).await;
    assert_eq!(world.keys_of_lost(two).await, ["cy"]);
    assert_eq!(world.keys_here().await.unwrap(), ["ann", "bob"]);
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn a_redis_that_stood_still_loses_no_member() {
    let runtime = Runtime::new().unwrap();
    // The leases have run out.
    runtime.block_on(only_the_dead_are_lost(|now| now + 2 * LEASE));
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn a_clock_set_back_keeps_no_dead_member_longer() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(only_the_dead_are_lost(|now| now - 1_000 * LEASE));
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn a_store_that_lost_everything_gives_no_number_out_twice() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (_process, url) = server();
        until_it_answers(&url).await;
        let world = World::begin(&url).await;
        let (members, node) = (&world.redis.members, NodeId::new(1).unwrap());
        let before = members.lease(node, None).await.unwrap();
        let joined = world.put_one(before, "ann").await.unwrap();
        world.command("FLUSHALL", &[]).await;
        world.write_clock(world.now - LEASE).await;
        let after = members.lease(node, Some(before.incarnation)).await.unwrap();
        assert!(after.incarnation > before.incarnation);
        world.write_clock(world.now + LEASE).await;
        let after = members.lease(node, Some(after.incarnation)).await.unwrap();
        let again = world.put_one(after, "ann").await.unwrap();
        assert!(again.version > joined.version);
    });
}

#[test]
fn what_no_script_has_written_is_none() {
    let text = |text: &str| Value::BulkString(text.into());
    let of = |kind| {
        let parts = [
            text("x"),
            text("ann"),
            Value::Int(1),
            text(kind),
            text("null"),
            Value::Int(0),
        ];
        Value::Array(parts.into())
    };
    assert!(change(of("joined")).is_some() && change(of("other")).is_none());
    assert_eq!(rows(Value::Int(-1)), Some(None));
    for odd in [Value::Nil, Value::Int(2), Value::Array(vec![Value::Nil])] {
        assert_eq!(put_answer(odd.clone()), None);
        assert!(changes(odd.clone()).is_none() && rows(odd).is_none());
    }
}
