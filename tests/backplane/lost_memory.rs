//! A backplane that begins a new sequence: ids of before mean nothing.

use support::eventually;

use super::node::{data, event, pair, read, reset};

#[tokio::test]
async fn a_backplane_that_lost_its_memory_sends_all_clients_back_and_they_are_told() {
    let (log, one, two) = pair().await;
    let mut clients = [one.client("x").await, two.client("x").await];
    for n in 1..=50 {
        one.publish("x", &n.to_string()).await;
    }
    let mut last = Vec::new();
    for client in &mut clients {
        last.push(read(client, 50).await.pop().unwrap().1);
    }
    log.forget_all();
    one.publish("x", "new").await;
    for (node, (client, last)) in [&one, &two].iter().zip(clients.iter_mut().zip(&last)) {
        assert_eq!(client.names().await, ["helios:reconnect"]);
        let (mut client, ready) = node.resume("x", last).await;
        assert!(ready.data.contains(r#""resumed":false"#), "{ready:?}");
        let (reason, topics) = reset(&mut client).await;
        assert_eq!(
            (&*reason, topics),
            ("epoch", vec!["x".to_owned(), "*".to_owned()])
        );
        assert_eq!(ready.id, *last, "it has this place until it has been reset");
        let ready = event(&mut client).await;
        assert_eq!(ready.event, "helios:ready");
        let (mut client, _) = node.resume("x", &ready.id).await;
        let next = one.publish("x", "next").await;
        assert_eq!(read(&mut client, 1).await, [("next".to_owned(), next)]);
    }
}

#[tokio::test]
async fn a_lost_memory_is_also_noticed_by_who_watches_a_topic() {
    let (log, one, two) = pair().await;
    let mut client = one.client("x").await;
    one.publish("x", "1").await;
    data(&mut client, 1).await;
    log.forget_all();
    let mut fresh = one.client("y").await;
    assert_eq!(client.names().await, ["helios:reconnect"]);
    two.publish("y", "2").await;
    assert_eq!(data(&mut fresh, 1).await, ["2"]);
}

#[tokio::test]
async fn a_memory_lost_while_history_is_fetched_is_not_mixed_up() {
    let (log, one, two) = pair().await;
    let mut client = one.client("x").await;
    one.publish("x", "1").await;
    data(&mut client, 1).await;
    one.link.silence(true);
    let calls = one.link.calls().len();
    one.link.gap("x");
    eventually(|| one.link.calls().len() > calls).await;
    one.link.silence(false);
    log.forget_all();
    two.publish("x", "new").await;
    assert_eq!(client.names().await, ["helios:reconnect"]);
}
