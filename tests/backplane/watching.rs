//! The topics that a server watches, and for how long.

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::HistoryLimits;
use support::backplane::Log;
use support::{eventually, within};

use super::local::Local;
use super::node::{Node, data, pair};

fn short_lived(options: &mut SseOptions) {
    options.history = HistoryLimits {
        events: 100,
        age: Duration::from_millis(20),
    };
    options.keep_alive = Some(Duration::from_millis(80));
}

#[tokio::test]
async fn an_unused_topic_is_unwatched_and_watched_again_on_demand() {
    let log = Log::new(100);
    let one = Node::start_with(&log, 1, short_lived).await;
    let two = Node::start(&log, 2).await;
    // Keeps the heartbeat running.
    let _other = one.client("other").await;
    let mut client = one.client("x").await;
    let last = two.publish("x", "1").await;
    data(&mut client, 1).await;
    drop(client);
    eventually(|| one.link.count("unwatch x") == 1 && !one.link.is_watched("x")).await;
    two.publish("x", "2").await;
    let (mut client, _) = one.resume("x", &last).await;
    two.publish("x", "3").await;
    assert_eq!(data(&mut client, 2).await, ["2", "3"]);
    assert_eq!(one.link.count("watch x"), 2);
}

#[tokio::test]
async fn a_cancelled_join_leaves_nothing_behind() {
    let log = Log::new(100);
    let one = Node::start_with(&log, 1, short_lived).await;
    let _other = one.client("other").await;
    one.link.silence(true);
    let sse = one.server.sse.clone();
    let join = tokio::spawn(async move { sse.subscribe(["x"]).await.map(drop) });
    eventually(|| one.link.is_watched("x")).await;
    one.publish("x", "nobody waits for it").await;
    join.abort();
    assert!(join.await.unwrap_err().is_cancelled());
    one.link.silence(false);
    eventually(|| !one.link.is_watched("x")).await;
    eventually(|| one.server.sse.stats().topics == 1).await;
    let mut client = one.client("x").await;
    one.publish("x", "1").await;
    assert_eq!(data(&mut client, 1).await, ["1"]);
}

#[tokio::test]
async fn other_waiters_for_a_topic_outlive_the_first_one() {
    let (_log, one, _two) = pair().await;
    one.link.silence(true);
    let joins = [(); 2].map(|()| {
        let sse = one.server.sse.clone();
        tokio::spawn(async move { sse.subscribe(["x"]).await })
    });
    eventually(|| one.link.count("watch x") == 1).await;
    one.link.silence(false);
    let [first, second] = joins;
    first.abort();
    within(second).await.unwrap().unwrap();
    assert_eq!(one.link.count("watch x"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_late_undoes_no_later_one() {
    let log = Log::new(100);
    let one = Local::start(&log, 1).await;
    one.link.silence(true);
    let sse = one.sse().clone();
    let first = tokio::spawn(async move { sse.subscribe(["x"]).await.map(drop) });
    eventually(|| one.link.count("watch x") == 1).await;
    sleep(Duration::from_secs(1)).await;
    first.abort();
    one.link.silence(false);
    // The response comes after the first request has given up.
    one.link.dawdle_always(Duration::from_millis(4_500));
    let (mut client, _) = one.client(&["x"]).await;
    one.sse().publish("x", "1").await.unwrap();
    assert_eq!(client.data().await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_topic_left_during_an_outage_is_unwatched_after_it() {
    let log = Log::new(100);
    let one = Local::start_with(&log, 1, short_lived).await;
    let (client, _) = one.client(&["x"]).await;
    one.link.go_down(true);
    drop(client);
    eventually(|| !one.link.is_watched("x")).await;
}
