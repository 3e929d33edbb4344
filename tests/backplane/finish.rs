//! A topic that ends on one server ends on all of them.

use helios::prelude::*;
use helios::sse::END_MARK;
use support::backplane::Log;
use support::{SseClient, within};

use super::node::{Node, begins_anew, event, pair};

/// Returns everything up to the end of the stream, as data.
async fn rest(mut client: SseClient) -> Vec<String> {
    let mut rest = Vec::new();
    while let Some(event) = within(client.next()).await {
        assert_ne!(event.event, "helios:reset", "{event:?}");
        if event.id == END_MARK {
            rest.push("end".to_owned());
        } else {
            rest.push(event.data);
        }
    }
    rest
}

async fn finish(node: &Node, topic: &str, last: Option<&str>) -> String {
    let sse = &node.server.sse;
    let id = match last {
        Some(last) => sse.finish_with(topic, last).await,
        None => sse.finish(topic).await,
    };
    id.unwrap().to_string()
}

fn is_refused(published: &Result<helios::EventId, SseError>) -> bool {
    matches!(published, Err(SseError::TopicFinished(name)) if name == "x")
}

#[tokio::test]
async fn readers_on_all_servers_get_the_last_event_and_end() {
    for last in [Some("done"), None] {
        let (_log, one, two) = pair().await;
        let clients = [one.client("x").await, two.client("x").await];
        one.publish("x", "1").await;
        finish(&two, "x", last).await;
        let expected: Vec<_> = ["1"].into_iter().chain(last).chain(["end"]).collect();
        for client in clients {
            assert_eq!(rest(client).await, expected);
        }
        for node in [&one, &two] {
            let sse = &node.server.sse;
            assert!(is_refused(&sse.publish("x", "more").await));
            assert!(is_refused(&sse.finish("x").await));
        }
    }
}

#[tokio::test]
async fn a_server_learns_of_an_end_on_the_first_watch() {
    let log = Log::new(2);
    let one = Node::start(&log, 1).await;
    let two = Node::start(&log, 2).await;
    let mut early = one.client("x").await;
    let mut ids = Vec::new();
    for n in ["1", "2", "3"] {
        ids.push(one.publish("x", n).await);
    }
    for _ in 0..3 {
        event(&mut early).await;
    }
    let end = finish(&one, "x", Some("done")).await;
    one.publish("y", "newer").await;
    finish(&one, "empty", None).await;
    for (path, expected) in [
        // Everything that the backplane still remembers.
        ("/earliest/x", vec!["3", "done", "end"]),
        ("/rooms/x", vec!["done", "end"]),
        ("/last/0/x", vec!["done", "end"]),
        ("/rooms/empty", vec!["end"]),
    ] {
        assert_eq!(rest(two.client_of(path).await).await, expected, "{path}");
    }
    let (client, _) = two.resume("x", &ids[2]).await;
    assert_eq!(rest(client).await, ["done", "end"]);
    let (client, _) = two.resume("x", &ids[1]).await;
    assert_eq!(rest(client).await, ["3", "done", "end"]);
    let (client, _) = two.resume("x", &end).await;
    assert_eq!(rest(client).await, ["end"]);
    // It asks once, and knows the end from then on.
    assert_eq!(two.link.count("watch x"), 1);
}

#[tokio::test]
async fn an_end_that_was_lost_on_its_way_is_fetched() {
    let (_log, one, two) = pair().await;
    let client = two.client("x").await;
    two.link.lose(true);
    one.publish("x", "1").await;
    finish(&one, "x", Some("done")).await;
    two.link.flush().await;
    two.link.lose(false);
    two.link.torn();
    assert_eq!(rest(client).await, ["1", "done", "end"]);
    // Nothing is missing after the end, so a break after it holds nobody up.
    let requests = two.link.count("history x");
    two.link.torn();
    two.link.flush().await;
    assert_eq!(rest(two.client("x").await).await, ["done", "end"]);
    assert_eq!(two.link.count("history x"), requests);
}

#[tokio::test]
async fn all_servers_ignore_events_that_come_after_an_end() {
    let (log, one, two) = pair().await;
    log.be_careless();
    let mut both = [one.client("x+y").await, two.client("x+y").await];
    finish(&one, "x", Some("done")).await;
    for node in [&one, &two, &one] {
        node.publish("x", "too late").await;
    }
    one.publish("y", "goes on").await;
    for client in &mut both {
        assert_eq!(event(client).await.data, "done");
        assert_eq!(event(client).await.data, "goes on");
    }
    let late = rest(two.client("x").await).await;
    assert_eq!(late, ["done", "end"]);
    let three = Node::start(&log, 3).await;
    for path in ["/rooms/x", "/earliest/x"] {
        assert_eq!(
            rest(three.client_of(path).await).await,
            ["done", "end"],
            "{path}"
        );
    }
}

#[tokio::test]
async fn another_sequence_knows_of_no_end() {
    let (log, one, two) = pair().await;
    // Keeps the topic in use.
    let mut client = two.client("x+y").await;
    finish(&one, "x", Some("done")).await;
    assert_eq!(event(&mut client).await.data, "done");
    log.forget_all();
    let anew = one.publish("x", "anew").await;
    assert_eq!(event(&mut client).await.event, "helios:reset");
    let (published, _) = begins_anew(&mut client).await;
    assert_eq!((&*published.data, &*published.id), ("anew", &*anew));
    let mut both = [client, two.client("x").await];
    one.publish("x", "more").await;
    for client in &mut both {
        assert_eq!(event(client).await.data, "more");
    }
    finish(&one, "x", None).await;
    assert_eq!(rest(two.client("x").await).await, ["end"]);
}
