use helios_core::hub::HistoryLimits;
use tokio::time::advance;

use super::log::{END_OUTLIVES, SWEEP};
use super::*;
use crate::sse::backplane::BackplaneSink;

const LIMITS: HistoryLimits = HistoryLimits {
    events: 3,
    age: Duration::from_secs(10),
};

fn publish(topic: &str) -> Publish<'_> {
    Publish::new(topic, "x".into(), LIMITS)
}

async fn started(backplane: InMemory, node: u32) -> InMemory {
    let node = NodeId::new(node).unwrap();
    let startup = Startup::new(node, BackplaneSink::new(|_| true));
    backplane.start(startup).await.unwrap();
    backplane
}

async fn numbers(backplane: &InMemory, ask: Ask<'_>) -> Option<Vec<u64>> {
    match backplane.history(ask).await.unwrap() {
        History::Events { events, .. } => Some(events.iter().map(|event| event.id.seq()).collect()),
        History::Gone => None,
    }
}

#[tokio::test(start_paused = true)]
async fn history_is_kept_up_to_its_limits_then_gone() {
    let backplane = started(InMemory::new(), 1).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(backplane.publish(publish("a")).await.unwrap());
    }
    assert_eq!(
        numbers(&backplane, Ask::newest("a")).await,
        Some(vec![2, 3, 4])
    );
    assert_eq!(
        numbers(&backplane, Ask::after("a", ids[0])).await,
        Some(vec![2, 3, 4])
    );
    let before = EventId::new(ids[0].epoch(), 0);
    assert_eq!(numbers(&backplane, Ask::after("a", before)).await, None);
    advance(LIMITS.age + Duration::from_secs(1)).await;
    assert_eq!(numbers(&backplane, Ask::after("a", ids[2])).await, None);
    assert_eq!(
        numbers(&backplane, Ask::after("a", ids[3])).await,
        Some(vec![])
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_counts_for_two_minutes_and_on_all_nodes() {
    let one = started(InMemory::new(), 1).await;
    let two = started(one.node(), 2).await;
    let keyed = || publish("a").with_key(Some("k"));
    let first = one.publish(keyed()).await.unwrap();
    advance(Duration::from_secs(120)).await;
    assert_eq!(two.publish(keyed()).await.unwrap(), first);
    advance(Duration::from_secs(1)).await;
    assert_ne!(two.publish(keyed()).await.unwrap(), first);
}

#[tokio::test(start_paused = true)]
async fn an_end_outlives_its_event_and_is_forgotten_at_last() {
    let backplane = started(InMemory::new(), 1).await;
    let end = backplane
        .publish(publish("a").finishing(true))
        .await
        .unwrap();
    advance(LIMITS.age * 2).await;
    assert_eq!(
        numbers(&backplane, Ask::after("a", end)).await,
        Some(vec![])
    );
    let watched = backplane.watch(&["a"]).await.unwrap();
    assert_eq!(watched.topics[0].finish.as_ref().unwrap().id, end);
    let refused = backplane.publish(publish("a")).await.unwrap_err();
    assert_eq!(refused.kind(), BackplaneErrorKind::Finished);
    advance(END_OUTLIVES).await;
    assert!(backplane.publish(publish("a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_lease_expires_unless_renewed_and_ends_with_its_node() {
    let one = started(InMemory::new(), 1).await;
    let two = started(one.node(), 2).await;
    let nodes = [1, 2].map(|node| NodeId::new(node).unwrap());
    advance(Duration::from_secs(10)).await;
    one.renew().await.unwrap();
    advance(Duration::from_secs(6)).await;
    assert!(two.is_alive(nodes[0]).await.unwrap());
    assert!(!one.is_alive(nodes[1]).await.unwrap());
    one.stop().await;
    assert!(!two.is_alive(nodes[0]).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn empty_topics_are_forgotten_with_their_history() {
    let backplane = started(InMemory::new(), 1).await;
    let first = backplane.publish(publish("a")).await.unwrap();
    backplane.publish(publish("a")).await.unwrap();
    advance(LIMITS.age * 2).await;
    for _ in 0..SWEEP {
        backplane.publish(publish("b")).await.unwrap();
    }
    assert!(!lock(&backplane.shared.log).knows("a"));
    assert_eq!(numbers(&backplane, Ask::after("a", first)).await, None);
}

#[tokio::test]
async fn while_it_is_down_everything_fails() {
    let backplane = started(InMemory::new(), 1).await;
    backplane.set_status(Status::Down);
    let refused = backplane.publish(publish("a")).await.unwrap_err();
    assert_eq!(refused.kind(), BackplaneErrorKind::Down);
    assert!(backplane.watch(&["a"]).await.is_err());
    backplane.set_status(Status::Up);
    assert_eq!(backplane.publish(publish("a")).await.unwrap().seq(), 1);
}
