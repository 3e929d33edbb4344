//! Tests of what every backplane guarantees.

use helios::backplane::{Ask, Backplane, BackplaneErrorKind, History, Publish, Status};
use helios::sse::EventId;
use tokio::task::JoinSet;

use super::support::{EVERYTHING, Running, text};

#[tokio::test]
async fn a_watched_topic_is_handed_over_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let first = log.publish("x", "0").await;
    let watched = log.log.watch(&["x", "y"]).await.unwrap();
    assert_eq!(watched.newest, first);
    assert_eq!(watched.topics[0].last, Some(first));
    assert_eq!(watched.topics[1].last, None);
    for (topic, text) in [("x", "1"), ("z", "2"), ("y", "3"), ("x", "4")] {
        log.publish(topic, text).await;
    }
    let seen = log.seen();
    let texts: Vec<_> = seen.iter().map(|seen| &*seen.text).collect();
    assert_eq!(texts, ["1", "3", "4"]);
    assert_eq!(seen[0].prev, Some(first));
    assert_eq!((seen[1].prev, seen[2].prev), (None, Some(seen[0].id)));
    log.log.unwatch(&["x"]).await.unwrap();
    log.publish("x", "5").await;
    assert_eq!(log.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_events_have_different_ids_and_none_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let log = std::sync::Arc::new(Running::open(folder.path()).await);
    log.log.watch(&["t0", "t1", "t2"]).await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..24 {
        let log = std::sync::Arc::clone(&log);
        tasks.spawn(async move {
            let topic = format!("t{}", task % 3);
            let mut ids = Vec::new();
            for n in 0..50 {
                ids.push(log.publish(&topic, &format!("{task}-{n}")).await);
            }
            let ascend = |two: &[EventId]| two[1].is_after(two[0]) == Some(true);
            assert!(ids.windows(2).all(ascend));
            ids
        });
    }
    let mut ids: Vec<_> = tasks.join_all().await.concat();
    ids.sort_by_key(|id| id.seq());
    let seqs: Vec<_> = ids.iter().map(|id| id.seq()).collect();
    assert_eq!(seqs, (1..=1200).collect::<Vec<_>>());
    let seen = log.seen();
    assert!(seen.windows(2).all(|two| two[0].id.seq() < two[1].id.seq()));
    assert_eq!(seen.len(), 1200);
    for topic in ["t0", "t1", "t2"] {
        let of_topic: Vec<_> = seen.iter().filter(|seen| seen.topic == topic).collect();
        assert!(
            of_topic
                .windows(2)
                .all(|two| two[1].prev == Some(two[0].id))
        );
        let texts: Vec<_> = of_topic.iter().map(|seen| seen.text.clone()).collect();
        assert_eq!(log.texts(topic).await, texts);
    }
}

#[tokio::test]
async fn history_is_given_page_by_page_from_either_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    for n in 1..=9 {
        log.publish(if n % 3 == 0 { "other" } else { "x" }, &n.to_string())
            .await;
    }
    let page = async |ask: Ask<'static>| match log.log.history(ask).await.unwrap() {
        History::Events { events, more, .. } => {
            let texts: Vec<_> = events.iter().map(text).collect();
            (texts.join(" "), more)
        }
        _ => ("gone".to_owned(), false),
    };
    let id = |seq| EventId::new(log.newest.epoch(), seq);
    let all = Ask::after("x", id(0));
    for (ask, texts, more) in [
        (all.clone(), "1 2 4 5 7 8", false),
        (all.clone().at_most(2, 100), "1 2", true),
        (all.clone().at_most(6, 100), "1 2 4 5 7 8", false),
        (all.at_most(9, 0), "1", true),
        // An id of another topic.
        (Ask::after("x", id(6)), "7 8", false),
        (Ask::after("x", id(9)), "", false),
        (Ask::after("x", id(1000)), "", false),
        (Ask::newest("x"), "1 2 4 5 7 8", false),
        (Ask::newest("x").at_most(2, 100), "7 8", true),
        (Ask::newest("x").at_most(0, 100), "", true),
        (Ask::newest("none"), "", false),
        (Ask::after("none", id(3)), "", false),
        (Ask::after("x", EventId::new(1, 3)), "gone", false),
    ] {
        let asked = format!("{ask:?}");
        assert_eq!(page(ask).await, (texts.to_owned(), more), "{asked}");
    }
}

#[tokio::test]
async fn an_event_with_a_key_is_published_once_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let once = |topic, text: &'static str| {
        Publish::new(topic, text.into(), EVERYTHING).with_key(Some("once"))
    };
    // The first two are in one group.
    let both = log
        .log
        .publish_all(vec![once("x", "1"), once("x", "2")])
        .await;
    let first = *both[0].as_ref().unwrap();
    assert_eq!(*both[1].as_ref().unwrap(), first);
    assert_eq!(log.send(once("x", "3")).await, Ok(first));
    assert_ne!(log.send(once("y", "4")).await, Ok(first));
    log.stop().await;
    let log = Running::open(folder.path()).await;
    assert_eq!(log.send(once("x", "5")).await, Ok(first));
    let end = once("x", "6").finishing(true);
    assert_eq!(log.send(end).await, Ok(first));
    assert_eq!(log.texts("x").await, ["1"]);
}

#[tokio::test]
async fn a_finished_topic_stays_finished_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Running::open(folder.path()).await;
    let end = Publish::new("x", "end".into(), EVERYTHING).with_key(Some("end"));
    let id = log.send(end.clone().finishing(true)).await.unwrap();
    for _ in 0..2 {
        let refused = log.try_publish("x", "more").await;
        assert_eq!(refused, Err(BackplaneErrorKind::Finished));
        assert_eq!(log.send(end.clone().finishing(true)).await, Ok(id));
        let watched = log.log.watch(&["y", "x"]).await.unwrap();
        assert!(watched.topics[0].finish.is_none());
        let finish = watched.topics[1].finish.as_ref().unwrap();
        assert_eq!((finish.id, text(finish)), (id, "end".to_owned()));
        log.stop().await;
        log = Running::open(folder.path()).await;
    }
    // Both are in one group.
    let publish = |text: &'static str| Publish::new("z", text.into(), EVERYTHING);
    let group = vec![publish("1"), publish("2").finishing(true), publish("3")];
    let answers = log.log.publish_all(group).await;
    assert!(answers[0].is_ok() && answers[1].is_ok());
    let refused = answers[2].as_ref().unwrap_err().kind();
    assert_eq!(refused, BackplaneErrorKind::Finished);
}

#[tokio::test]
async fn after_its_end_everything_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    assert_eq!(log.log.status(), Status::Up);
    log.log.stop().await;
    log.log.stop().await;
    assert_eq!(log.log.status(), Status::Down);
    let refused = log.try_publish("x", "1").await;
    assert_eq!(refused, Err(BackplaneErrorKind::Down));
    let refused = log.log.history(Ask::newest("x")).await.map(drop);
    assert_eq!(refused.unwrap_err().kind(), BackplaneErrorKind::Down);
    assert!(log.links().is_empty());
}
