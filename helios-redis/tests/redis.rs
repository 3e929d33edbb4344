//! Several hubs behind one Redis work as one hub.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use helios::backplane::Status;
use helios::prelude::*;
use helios::sse::{HistoryLimits, SseHub};
use helios_redis::Redis;
use support::{Client, Server, hub, once, send, send_at_last};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn two_servers_share_events_and_resume_on_any_server() {
    let redis = Server::start().await;
    let (one, two) = (redis.hub().await, redis.hub().await);
    let mut a = Client::join(&one, &["x", "y"], None).await;
    let mut b = Client::join(&two, &["x"], None).await;
    let first = send(&one, "x", "1").await;
    send(&two, "y", "2").await;
    send(&two, "x", "3").await;
    for data in ["1", "2", "3"] {
        assert_eq!(a.data().await, data);
    }
    for data in ["1", "3"] {
        assert_eq!(b.data().await, data);
    }
    let three = redis.hub().await;
    let mut c = Client::join(&three, &["x", "y"], Some(&first)).await;
    assert_eq!(c.data().await, "2");
    assert_eq!(c.data().await, "3");
    let id = one.sse().publish_with("x", "4", &once("k")).await.unwrap();
    assert_eq!(
        two.sse().publish_with("x", "5", &once("k")).await.unwrap(),
        id
    );
    two.sse().finish_with("x", "end").await.unwrap();
    let late = one.sse().publish("x", "6").await;
    assert!(matches!(late, Err(SseError::TopicFinished(_))), "{late:?}");
    for data in ["4", "end"] {
        assert_eq!(c.data().await, data);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_redis_that_restarts_empty_begins_another_sequence() {
    let mut redis = Server::start().await;
    let (one, two) = (redis.hub().await, redis.hub().await);
    let mut client = Client::join(&two, &["x"], None).await;
    let before = one.sse().publish("x", "1").await.unwrap();
    assert_eq!(client.data().await, "1");
    redis.restart().await;
    let id = send_at_last(&one, "x", "2").await;
    assert_eq!(id.is_after(before), None, "another sequence");
    loop {
        let event = client.next().await;
        if event.data == "2" || event.event == "helios:reset" || event.event == "helios:reconnect" {
            break;
        }
    }
    assert_eq!(one.sse().stats().backplane, Some(Status::Up));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn an_event_for_one_client_reaches_it_on_another_server() {
    let redis = Server::start().await;
    let (one, two) = (redis.hub().await, redis.hub().await);
    let stream = one.sse().subscribe(["x"]).await.unwrap();
    let id = stream.id();
    let head = http::Request::get("/").body(()).unwrap().into_parts().0;
    let _response = one.respond(head, stream).await;
    two.sse().send_to_client(id, "for you").await.unwrap();
    one.shutdown(Duration::ZERO).await;
    let gone = two.sse().send_to_client(id, "for you").await;
    assert!(matches!(gone, Err(SseError::NoSuchClient(_))), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_history_without_bounds_is_kept() {
    let redis = Server::start().await;
    let boundless = |sse: &mut helios::SseOptions| {
        sse.history = HistoryLimits {
            events: usize::MAX,
            age: Duration::MAX,
        };
    };
    let of_redis = || Redis::connect(redis.url());
    let one = SseHub::behind(of_redis(), boundless).await.unwrap();
    let two = SseHub::behind(of_redis(), boundless).await.unwrap();
    let first = send(&one, "x", "1").await;
    send(&one, "x", "2").await;
    let mut late = Client::join(&two, &["x"], Some(&first)).await;
    assert_eq!(late.data().await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_key_counts_in_its_topic_only() {
    let redis = Server::start().await;
    let hub = redis.hub().await;
    let publish = async |topic: &str, key: &str| {
        let published = hub.sse().publish_with(topic, "1", &once(key)).await;
        published.unwrap()
    };
    let first = publish("orders:7", "paid").await;
    let second = publish("orders", "7:paid").await;
    assert_eq!(second.is_after(first), Some(true));
    assert_eq!(publish("orders:7", "paid").await, first);
    assert_eq!(publish("orders", "7:paid").await, second);
}

/// During a deploy that raises the age, a server asks for events that another one has kept for a shorter time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn an_event_that_another_server_kept_too_short_is_not_missed_in_silence() {
    let redis = Server::start().await;
    let keeping = async |age: Duration| {
        let set_age = |sse: &mut helios::SseOptions| sse.history.age = age;
        let of_redis = Redis::connect(redis.url());
        SseHub::behind(of_redis, set_age).await.unwrap()
    };
    let short = keeping(Duration::from_millis(100)).await;
    let long = keeping(Duration::from_mins(10)).await;
    let first = send(&short, "x", "1").await;
    send(&short, "x", "missed").await;
    redis
        .until("the events expire", async || {
            redis.answer(&["KEYS", "*:l:*"]).await.is_empty()
        })
        .await;
    let mut late = Client::join(&long, &["x"], Some(&first)).await;
    assert_eq!(late.next().await.event, "helios:reset");
}

/// The age counts for each event, although the list of a topic expires as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn events_of_a_busy_topic_expire_one_by_one_and_are_not_missed_in_silence() {
    let redis = Server::start().await;
    let brief = |sse: &mut helios::SseOptions| sse.history.age = Duration::from_secs(2);
    let of_redis = || Redis::connect(redis.url()).namespace("test");
    let one = SseHub::behind(of_redis(), brief).await.unwrap();
    let first = send(&one, "x", "1").await;
    let list = redis.answer(&["KEYS", "*:l:*"]).await;
    redis
        .until("the first event is dropped", async || {
            // The next event is the first one after a tick.
            write_ticks(&redis, &[(0, 1_000_000)]).await;
            send(&one, "x", "later").await;
            let oldest = redis.answer(&["LINDEX", &list, "0"]).await;
            oldest.ends_with("later")
        })
        .await;
    assert_ne!(redis.answer(&["LLEN", &list]).await, "1");
    let two = SseHub::behind(of_redis(), |_| {}).await.unwrap();
    let mut late = Client::join(&two, &["x"], Some(&first)).await;
    assert_eq!(late.next().await.event, "helios:reset");
    let earliest = two.sse().subscribe_from(["x"], Replay::Earliest).await;
    let mut earliest = Client::attach(&two, earliest.unwrap(), None).await;
    assert_eq!(earliest.data().await, "later");
}

/// Returns the clock of Redis in milliseconds.
async fn clock(redis: &Server) -> i64 {
    let time = redis.answer(&["TIME"]).await;
    let mut parts = time.split_ascii_whitespace().map(str::parse::<i64>);
    let mut next = || parts.next().unwrap().unwrap();
    next() * 1_000 + next() / 1_000
}

/// Writes ticks, each of a time before now in seconds, and a number.
async fn write_ticks(redis: &Server, ticks: &[(i64, u64)]) {
    let now = clock(redis).await;
    let ticks = ticks.iter().map(|(ago, seq)| {
        format!(
            "redis.call('RPUSH', KEYS[1], struct.pack('>I8I8', {}, {seq}))",
            now - ago * 1_000
        )
    });
    let script: Vec<_> = ticks.collect();
    let script = format!("redis.call('DEL', KEYS[1]) {}", script.join(" "));
    redis.ask(&["EVAL", &script, "1", "{test}:k"]).await;
}

/// The ticks of a day have to fit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn a_tick_lasts_for_half_a_minute() {
    let redis = Server::start().await;
    let hub = redis.hub().await;
    for (ticks, count) in [
        (&[(20, 0)][..], "1"),
        (&[(31, 0)], "2"),
        // The clock was set back.
        (&[(50, 0), (-20, 0)], "2"),
    ] {
        write_ticks(&redis, ticks).await;
        send(&hub, "x", "1").await;
        assert_eq!(
            redis.answer(&["LLEN", "{test}:k"]).await,
            count,
            "{ticks:?}"
        );
    }
}

const HOUR: i64 = 60 * 60;

/// Returns the first event that a client receives which has seen everything up to this id.
async fn first_after(redis: &Server, id: &str, topic: &str) -> String {
    let mut client = Client::join(&redis.hub().await, &[topic], Some(id)).await;
    client.next().await.event
}

/// Whether the first event of a topic is the first one ever depends on the ticks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn the_first_event_of_a_topic_is_found_behind_an_id_of_the_last_day() {
    let redis = Server::start().await;
    let hub = redis.hub().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(send(&hub, "other", &n.to_string()).await);
    }
    send(&hub, "x", "first").await;
    // Those of ids 2, 5 and 8 are within a day.
    let ticks = [(30 * HOUR, 0), (25 * HOUR, 2), (23 * HOUR, 5), (HOUR, 8)];
    write_ticks(&redis, &ticks).await;
    for (place, event) in [
        (2, "helios:reset"),
        (4, "message"),
        (6, "message"),
        (9, "message"),
    ] {
        let found = first_after(&redis, &ids[place], "x").await;
        assert_eq!(found, event, "behind id {}", place + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn servers_that_disagree_about_keeping_share_a_sequence() {
    let redis = Server::start().await;
    let kept = hub(Redis::connect(redis.url()).keeps_everything()).await;
    let not_kept = redis.hub().await;
    kept.sse().publish("x", "0").await.unwrap();
    // Its run counts from now on.
    let first = not_kept.sse().publish("x", "1").await.unwrap();
    for hub in [&kept, &not_kept, &kept] {
        let next = hub.sse().publish("x", "2").await.unwrap();
        assert_eq!(next.is_after(first), Some(true));
    }
}
