//! Topics that begin with their history. It comes from the backplane, and events that the backplane has forgotten cause
//! no reset.

use helios::prelude::*;
use helios::sse::HistoryLimits;
use support::backplane::Log;

use super::node::{Node, data, pair};

#[tokio::test]
async fn a_server_new_to_a_topic_replays_all_of_it() {
    let (_log, one, two) = pair().await;
    for n in ["1", "2", "3"] {
        one.publish("x", n).await;
    }
    one.publish("y", "not in x").await;
    let paths = ["/last/2/x", "/earliest/x", "/rooms/x?lastEventId=earliest"];
    let mut clients = Vec::new();
    for path in paths {
        clients.push(two.client_of(path).await);
    }
    one.publish("x", "live").await;
    for (client, held) in clients.iter_mut().zip([1, 0, 0]) {
        let expected = ["1", "2", "3", "live"];
        assert_eq!(data(client, 4 - held).await, expected[held..]);
    }
    let asked = two.link.count("history x");
    // For the newest two, and then for all.
    assert_eq!(asked, 2, "what is held is not fetched");
}

/// One page of other questions has 4 MiB.
#[tokio::test]
async fn a_history_larger_than_a_page_is_replayed_whole_and_fetched_once() {
    let (_log, one, two) = pair().await;
    let text = "x".repeat(100_000);
    for _ in 0..60 {
        one.publish("x", &text).await;
    }
    for path in ["/earliest/x", "/earliest/x"] {
        let mut client = two.client_of(path).await;
        assert_eq!(data(&mut client, 60).await.len(), 60);
    }
    assert_eq!(two.link.count("history x"), 1);
}

#[tokio::test]
async fn a_producers_topic_begins_with_all_history_on_request() {
    let log = Log::new(100);
    let one = Node::start(&log, 1).await;
    for n in ["1", "2"] {
        one.publish("x", n).await;
    }
    // By default it begins after these events.
    let two = Node::start(&log, 2).await;
    let mut client = two.client_of("/produced/x?lastEventId=earliest").await;
    assert_eq!(data(&mut client, 2).await, ["1", "2"]);
}

#[tokio::test]
async fn a_server_with_a_shorter_history_replays_the_newest() {
    let log = Log::new(100);
    let one = Node::start(&log, 1).await;
    let short = |options: &mut helios::SseOptions| {
        options.history = HistoryLimits {
            events: 2,
            age: Duration::from_secs(300),
        };
    };
    let two = Node::start_with(&log, 2, short).await;
    for n in ["1", "2", "3", "4"] {
        one.publish("x", n).await;
    }
    for path in ["/earliest/x", "/last/9/x", "/last/2/x"] {
        let mut client = two.client_of(path).await;
        assert_eq!(data(&mut client, 2).await, ["3", "4"], "{path}");
    }
}

#[tokio::test]
async fn events_forgotten_by_the_backplane_but_held_cause_no_reset() {
    let log = Log::new(2);
    let one = Node::start(&log, 1).await;
    let two = Node::start(&log, 2).await;
    one.publish("x", "1").await;
    let mut reader = two.client("x").await;
    for n in ["2", "3", "4"] {
        one.publish("x", n).await;
    }
    assert_eq!(data(&mut reader, 3).await, ["2", "3", "4"]);
    for (path, held) in [("/earliest/x", 0), ("/last/9/x", 0), ("/last/1/x", 2)] {
        let mut client = two.client_of(path).await;
        let expected = ["2", "3", "4"];
        let read = data(&mut client, 3 - held).await;
        assert_eq!(read, expected[held..], "{path}");
    }
    two.link.mute(true);
    let mut client = two.client_of("/earliest/x").await;
    assert_eq!(data(&mut client, 3).await, ["2", "3", "4"]);
}
