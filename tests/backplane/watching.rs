//! Which topics a server watches, and for how long.

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::HistoryLimits;
use support::backplane::Log;
use support::{eventually, within};

use super::node::{Node, data, pair};

fn short_lived(options: &mut SseOptions) {
    options.history = HistoryLimits {
        events: 100,
        age: Duration::from_millis(20),
    };
    options.keep_alive = Some(Duration::from_millis(80));
}

#[tokio::test]
async fn an_unused_topic_is_unwatched_and_watched_anew_when_somebody_comes_back() {
    let log = Log::new(100);
    let one = Node::start_with(&log, 1, short_lived).await;
    let two = Node::start(&log, 2).await;
    // Keeps the heart beating.
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
async fn a_join_that_is_given_up_half_way_leaves_nothing_behind() {
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
async fn who_waits_for_the_same_topic_goes_on_when_the_first_gives_up() {
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
