//! To clients the servers are one. They receive new and missed events of all servers in one order.

use support::backplane::Log;

use super::node::{Node, data, pair, read};

#[tokio::test]
async fn an_event_reaches_clients_of_both_servers_with_one_id() {
    let (_log, one, two) = pair().await;
    let (mut a, mut b) = (one.client("x").await, two.client("x").await);
    let first = one.publish("x", "1").await;
    let second = two.publish("x", "2").await;
    let both = [("1".to_owned(), first), ("2".to_owned(), second)];
    assert_eq!(read(&mut a, 2).await, both);
    assert_eq!(read(&mut b, 2).await, both);
}

#[tokio::test]
async fn a_client_on_the_other_server_misses_and_repeats_nothing() {
    let (_log, one, two) = pair().await;
    let mut client = one.client("x+y").await;
    one.publish("x", "1").await;
    one.publish("y", "2").await;
    let last = read(&mut client, 2).await.pop().unwrap().1;
    drop(client);
    // No client of the other server has joined these topics before.
    let missed = [
        ("3".to_owned(), one.publish("y", "3").await),
        ("4".to_owned(), two.publish("x", "4").await),
        ("5".to_owned(), one.publish("y", "5").await),
    ];
    one.publish("z", "not for it").await;
    let (mut client, ready) = two.resume("x+y", &last).await;
    assert!(ready.data.contains(r#""resumed":true"#), "{ready:?}");
    let live = ("6".to_owned(), two.publish("x", "6").await);
    let expected: Vec<_> = missed.into_iter().chain([live]).collect();
    assert_eq!(read(&mut client, 4).await, expected);
}

#[tokio::test]
async fn a_broadcast_reaches_all_servers_clients_except_the_excluded_one() {
    let (_log, one, two) = pair().await;
    let (mut a, mut b) = (one.client("x").await, two.client("y").await);
    let except = one.server.sse.clients()[0].id();
    two.server
        .sse
        .broadcast_except(except, "not a")
        .await
        .unwrap();
    two.server.sse.broadcast("all").await.unwrap();
    assert_eq!(data(&mut a, 1).await, ["all"]);
    assert_eq!(data(&mut b, 2).await, ["not a", "all"]);
}

#[tokio::test]
async fn a_broadcast_is_resumed_on_a_server_that_started_later() {
    let log = Log::new(100);
    let one = Node::start(&log, 1).await;
    let mut client = one.client("x").await;
    let last = one.publish("x", "1").await;
    data(&mut client, 1).await;
    drop(client);
    one.server.sse.broadcast("2").await.unwrap();
    let two = Node::start(&log, 2).await;
    let (mut client, _) = two.resume("x", &last).await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
}

#[tokio::test]
async fn an_event_for_one_client_keeps_its_place_among_others() {
    let (_log, one, two) = pair().await;
    let mut client = one.client("x").await;
    let id = one.server.sse.clients()[0].id();
    two.publish("x", "1").await;
    one.link.flush().await;
    one.server.sse.send_to_client(id, "private").await.unwrap();
    two.publish("x", "2").await;
    assert_eq!(data(&mut client, 3).await, ["1", "private", "2"]);
}

#[tokio::test]
async fn a_client_ahead_of_its_server_sees_nothing_twice() {
    let (_log, one, two) = pair().await;
    let (mut a, mut b) = (one.client("x").await, two.client("x").await);
    two.link.pause();
    one.publish("x", "1").await;
    let last = one.publish("x", "2").await;
    assert_eq!(data(&mut a, 2).await, ["1", "2"]);
    let (mut a, ready) = two.resume("x", &last).await;
    assert_eq!(ready.id, last);
    two.link.resume();
    one.publish("x", "3").await;
    assert_eq!(data(&mut a, 1).await, ["3"]);
    assert_eq!(data(&mut b, 3).await, ["1", "2", "3"]);
}
