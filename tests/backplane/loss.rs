//! Servers fetch events that are lost or late, and reset clients if they cannot.

use helios::prelude::*;
use http::Method;
use support::backplane::{Link, Log, Weather};
use support::{SseClient, eventually};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::local::{Local, LocalClient};
use super::node::{Node, data, pair, read, reset};

#[tokio::test]
async fn the_event_after_a_lost_one_gets_it_fetched() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x").await;
    two.link.lose(true);
    let mut all = vec![one.publish("x", "1").await, one.publish("x", "2").await];
    two.link.flush().await;
    two.link.lose(false);
    all.push(one.publish("x", "3").await);
    let seen = read(&mut client, 3).await;
    assert_eq!(
        seen.iter().map(|(data, _)| &**data).collect::<String>(),
        "123"
    );
    assert!(seen.iter().map(|(_, id)| id).eq(&all));
}

#[tokio::test]
async fn after_a_broken_link_earlier_events_come_first() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x+y").await;
    two.link.lose(true);
    for (topic, text) in [("x", "1"), ("y", "2"), ("x", "3"), ("y", "4")] {
        one.publish(topic, text).await;
    }
    two.link.flush().await;
    two.link.lose(false);
    two.link.torn();
    let last = one.publish("x", "5").await;
    let seen = read(&mut client, 5).await;
    assert_eq!(
        seen.iter().map(|(data, _)| &**data).collect::<String>(),
        "12345"
    );
    assert_eq!(seen[4].1, last);
    // No client can have read past the lost event, so there is no reason for a reset.
    for (n, (_, id)) in seen.iter().enumerate() {
        let (mut client, ready) = two.resume("x+y", id).await;
        assert!(ready.data.contains(r#""resumed":true"#), "{n}: {ready:?}");
        let rest: String = data(&mut client, 4 - n).await.concat();
        assert_eq!(rest, "12345"[n + 1..]);
    }
}

#[tokio::test]
async fn a_gap_during_a_fetch_of_history_is_fetched_too() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x").await;
    // The first response of history does not know of later losses.
    let slow = Weather {
        slow: 20_000,
        ..Weather::default()
    };
    two.link.set_weather(slow);
    for n in 1..=20 {
        two.link.lose(true);
        one.publish("x", &n.to_string()).await;
        two.link.flush().await;
        two.link.lose(false);
        two.link.gap("x");
    }
    let all: Vec<_> = (1..=20).map(|n| n.to_string()).collect();
    assert_eq!(data(&mut client, 20).await, all);
}

/// Returns a client whose server is missing an event that its backplane's history fails to return.
async fn missing() -> (Local, Local, LocalClient) {
    let log = Log::new(100);
    let (one, two) = (Local::start(&log, 1).await, Local::start(&log, 2).await);
    let (client, _) = two.client(&["x", "y"]).await;
    two.link.mute(true);
    two.link.lose(true);
    one.sse().publish("x", "lost").await.unwrap();
    two.link.flush().await;
    two.link.lose(false);
    let calls = two.link.calls().len();
    one.sse().publish("x", "next").await.unwrap();
    while two.link.calls().len() == calls {
        yield_now().await;
    }
    (one, two, client)
}

#[tokio::test(start_paused = true)]
async fn a_history_that_fails_for_a_while_resets_nobody() {
    let (_one, two, mut client) = missing().await;
    sleep(Duration::from_secs(9)).await;
    two.link.mute(false);
    assert_eq!(client.data().await, "lost");
    assert_eq!(client.data().await, "next");
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_made_good_after_an_outage() {
    let (_one, two, mut client) = missing().await;
    two.link.go_down(true);
    sleep(Duration::from_secs(15)).await;
    two.link.go_down(false);
    sleep(Duration::from_secs(8)).await;
    two.link.mute(false);
    assert_eq!(client.data().await, "lost");
    assert_eq!(client.data().await, "next");
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_history_cannot_make_good_is_told() {
    let (_one, _two, mut client) = missing().await;
    let began = Instant::now();
    let told = client.next().await;
    assert_eq!(told.event, "helios:reset");
    assert!(
        told.data.contains(r#""reason":"gap","topics":["x"]"#),
        "{told:?}"
    );
    assert_eq!(client.data().await, "next");
    assert!((10..12).contains(&began.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_server_does_not_wait_for_its_history() {
    let (one, two, client) = missing().await;
    let link = two.link.clone();
    link.go_down(true);
    drop((client, two));
    sleep(Duration::from_secs(60)).await;
    // The link hears with the next event that its hub is gone.
    one.sse().publish("x", "1").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(!link.has_hub());
}

#[tokio::test]
async fn a_history_that_does_not_reach_back_is_told() {
    let log = Log::new(2);
    let one = Node::start(&log, 1).await;
    let two = Node::start(&log, 2).await;
    let mut client = one.client("x+y").await;
    let last = one.publish("x", "0").await;
    data(&mut client, 1).await;
    drop(client);
    for n in 1..=3 {
        one.publish("x", &n.to_string()).await;
    }
    one.publish("y", "4").await;
    let (mut client, ready) = two.resume("x+y", &last).await;
    assert!(ready.data.contains(r#""resumed":false"#), "{ready:?}");
    // At once, because a client that is cut after the events that `y` misses must have had its reset.
    assert_eq!(
        reset(&mut client).await,
        ("expired".to_owned(), vec!["x".to_owned()])
    );
    assert_eq!(data(&mut client, 1).await, ["4"]);
}

#[tokio::test]
async fn a_late_event_resets_clients_that_read_past_it() {
    let (_log, one, two) = pair().await;
    // Keeps the topic watched, since only a server that watches it notices a loss.
    let _other = two.client("x").await;
    let mut client = two.client("x+y").await;
    two.link.lose(true);
    one.publish("x", "1").await;
    two.link.flush().await;
    two.link.lose(false);
    let past = one.publish("y", "2").await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
    drop(client);
    // The server cannot know where the client has read past "1".
    let (mut early, _) = two.resume("x+y", &past).await;
    one.publish("x", "3").await;
    assert_eq!(
        reset(&mut early).await,
        ("gap".to_owned(), vec!["x".to_owned()])
    );
    assert_eq!(data(&mut early, 1).await, ["3"]);
    let (mut late, _) = two.resume("x+y", &past).await;
    assert_eq!(
        reset(&mut late).await,
        ("expired".to_owned(), vec!["x".to_owned()])
    );
}

#[tokio::test]
async fn a_topic_joined_at_a_future_id_begins_after_it() {
    let (_log, one, two) = pair().await;
    let mut client = two.client("x").await;
    let _watches = two.client("y").await;
    two.link.pause();
    let from = one.publish("y", "1").await;
    let joined = two
        .server
        .send(Method::POST, &format!("/join/y/{from}"), &[], "")
        .await;
    assert_eq!(joined.status, 200);
    two.link.resume();
    one.publish("y", "2").await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
}

/// Returns a client in `x`, whose stream is ended while a lost event is being fetched.
async fn end_behind_a_loss(one: &Node, two: &Node, history: impl FnOnce(&Link)) -> SseClient {
    let client = one.client("x").await;
    history(&one.link);
    one.link.lose(true);
    two.publish("x", "lost on its way").await;
    one.link.flush().await;
    one.link.lose(false);
    let calls = one.link.calls().len();
    one.link.gap("x");
    eventually(|| one.link.calls().len() > calls).await;
    one.server.sse.clients().remove(0).close();
    client
}

#[tokio::test]
async fn an_end_waits_for_the_events_that_are_being_fetched() {
    let (_log, one, two) = pair().await;
    let slow = Weather {
        slow: 300_000,
        ..Weather::default()
    };
    let mut client = end_behind_a_loss(&one, &two, |link| link.set_weather(slow)).await;
    assert_eq!(data(&mut client, 1).await, ["lost on its way"]);
    assert_eq!(client.names().await, ["helios:end"]);
}

#[tokio::test]
async fn an_end_is_not_sent_if_earlier_events_are_unavailable() {
    let (_log, one, two) = pair().await;
    let mut client = end_behind_a_loss(&one, &two, |link| link.silence(true)).await;
    assert!(client.finish().await.is_err());
    assert!(!client.text().contains("helios:end"));
}
