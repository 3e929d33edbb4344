//! Tests of what is kept, and for how long.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use helios::backplane::{Ask, Backplane, BackplaneErrorKind, History, Publish};
use helios::sse::{EventId, HistoryLimits};

use super::support::{EVERYTHING, Running, files, log, until};

const FEW: HistoryLimits = HistoryLimits {
    events: 10,
    age: Duration::from_secs(3600),
};

async fn publish(log: &Running, topic: &str, text: String, limits: HistoryLimits) -> EventId {
    let publish = Publish::new(topic, text.into(), limits);
    log.send(publish).await.unwrap()
}

async fn count(log: &Running, topic: &str) -> usize {
    log.newest_of(topic).await.len()
}

#[tokio::test]
async fn a_topic_is_trimmed_and_clients_that_miss_events_reset() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let mut ids = Vec::new();
    for n in 0..300 {
        ids.push(publish(&log, "x", n.to_string(), FEW).await);
    }
    publish(&log, "y", "other".to_owned(), FEW).await;
    until("the topic is trimmed", async || {
        count(&log, "x").await == 10
    })
    .await;
    assert!(log.after("x", ids[200]).await.is_none());
    assert!(
        log.after("x", EventId::new(ids[0].epoch(), 0))
            .await
            .is_none()
    );
    assert_eq!(log.after("x", ids[289]).await.unwrap().len(), 10);
    assert_eq!(log.after("x", ids[295]).await.unwrap().len(), 4);
    assert_eq!(count(&log, "y").await, 1);
    let watched = log.log.watch(&["x"]).await.unwrap();
    assert_eq!(watched.topics[0].last, ids.last().copied());
    log.stop().await;
    let log = Running::open(folder.path()).await;
    assert!(log.after("x", ids[200]).await.is_none());
    assert_eq!(log.after("x", ids[289]).await.unwrap().len(), 10);
}

#[tokio::test]
async fn old_events_are_forgotten_and_an_end_stays_longer() {
    let folder = tempfile::tempdir().unwrap();
    const BRIEF: HistoryLimits = HistoryLimits {
        events: 100,
        age: Duration::from_millis(30),
    };
    let log = Running::start_with(log(folder.path()), |startup| startup.with_limits(|_| BRIEF));
    let log = log.await.unwrap();
    let first = publish(&log, "x", "old".to_owned(), BRIEF).await;
    let end = Publish::new("over", "end".into(), BRIEF).finishing(true);
    let end = log.send(end).await.unwrap();
    for topic in ["x", "over"] {
        until("it is forgotten", async || count(&log, topic).await == 0).await;
        let before = EventId::new(first.epoch(), 0);
        assert!(log.after(topic, before).await.is_none(), "{topic}");
        assert_eq!(log.after(topic, end).await.unwrap().len(), 0, "{topic}");
    }
    let refused = log.try_publish("over", "more").await;
    assert_eq!(refused, Err(BackplaneErrorKind::Finished));
    let watched = log.log.watch(&["over", "x"]).await.unwrap();
    assert_eq!(watched.topics[0].finish.as_ref().map(|it| it.id), Some(end));
    log.publish("x", "anew").await;
    assert_eq!(log.seen().last().unwrap().prev, Some(first));
}

#[tokio::test]
async fn a_key_counts_for_its_time_only() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::start_with(log(folder.path()), |mut startup| {
        startup.keep_keys = Duration::from_millis(50);
        startup
    });
    let log = log.await.unwrap();
    let once = || Publish::new("x", "1".into(), EVERYTHING).with_key(Some("once"));
    let first = log.send(once()).await.unwrap();
    until("the key is forgotten", async || {
        log.send(once()).await.unwrap() != first
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_bytes_are_forgotten_and_freed_on_disk() {
    const TEXT: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let log = Running::start(log(folder.path()).max_bytes(4 << 20)).await;
    let log = log.unwrap();
    let mut newest = log.newest;
    for n in 0..4_000 {
        let text = format!("{n:0TEXT$}");
        newest = publish(&log, &format!("t{}", n % 7), text, EVERYTHING).await;
    }
    let size = async || {
        let mut size = 0;
        for n in 0..7 {
            size += count(&log, &format!("t{n}")).await * TEXT;
        }
        size
    };
    until("the oldest are forgotten", async || size().await <= 4 << 20).await;
    assert!(size().await > 2 << 20);
    // The newest are kept.
    let ask = Ask::after("t2", EventId::new(newest.epoch(), newest.seq() - 14));
    let History::Events { events, .. } = log.log.history(ask).await.unwrap() else {
        panic!("the newest are forgotten");
    };
    assert_eq!(events.len(), 2);
    // 80 MB were published. The journal has up to 64 MB, most of which is not on the disk.
    until("the disk gets the rest back", async || {
        let tables = files(&folder.path().join("store/keyspaces"));
        // A file that was removed meanwhile uses no room.
        let sizes = tables.iter().filter_map(|it| it.metadata().ok());
        if sizes.map(|it| it.len()).sum::<u64>() < 40 << 20 {
            return true;
        }
        // The store cleans up when it has written a table.
        publish(&log, "t0", format!("{:0TEXT$}", 0), EVERYTHING).await;
        false
    })
    .await;
}

/// The last topic by name is the one that others would keep from its turn.
#[tokio::test(flavor = "multi_thread")]
async fn many_topics_under_load_stay_within_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let topics: Vec<_> = (0..128).map(|n| format!("t{n:03}")).collect();
    let groups = AtomicUsize::new(150);
    let publish = async || {
        let left = |left: usize| left.checked_sub(1);
        while groups.fetch_update(Relaxed, Relaxed, left).is_ok() {
            let events = (0..1024).map(|n| {
                let topic = &topics[n % topics.len()];
                Publish::new(topic, "text".into(), FEW)
            });
            let answers = log.log.publish_all(events.collect()).await;
            assert!(answers.iter().all(Result::is_ok));
        }
    };
    let watch = async || {
        let mut most = 0;
        while groups.load(Relaxed) > 0 {
            most = most.max(count(&log, "t127").await);
        }
        most
    };
    let ((), (), (), most) = tokio::join!(publish(), publish(), publish(), watch());
    // It received 1,200 events.
    assert!(most < 500, "{most}");
}

#[tokio::test]
async fn a_quiet_topic_without_events_is_not_reset() {
    const BRIEF: HistoryLimits = HistoryLimits {
        events: 100,
        age: Duration::from_millis(30),
    };
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let quiet = publish(&log, "quiet", "once".to_owned(), BRIEF).await;
    for n in 0..20 {
        publish(&log, "busy", n.to_string(), BRIEF).await;
    }
    until("it is forgotten", async || count(&log, "quiet").await == 0).await;
    // Each second the log forgets events, then empty topics. When it forgets the second of these, a whole round has passed
    // since it forgot the events of the quiet topic.
    for topic in ["later", "last"] {
        publish(&log, topic, "brief".to_owned(), BRIEF).await;
        until("it is forgotten", async || count(&log, topic).await == 0).await;
    }
    let last = publish(&log, "other", "last".to_owned(), EVERYTHING).await;
    let check = async |log: &Running| {
        let after = log.after("quiet", quiet).await.map(|events| events.len());
        assert_eq!(after, Some(0));
        let zero = EventId::new(quiet.epoch(), 0);
        assert!(log.after("quiet", zero).await.is_none());
        let watched = log.log.watch(&["quiet"]).await.unwrap();
        assert_eq!(watched.topics[0].last, Some(quiet));
    };
    check(&log).await;
    log.stop().await;
    let log = Running::open(folder.path()).await;
    assert_eq!(log.newest, last);
    check(&log).await;
}

#[tokio::test]
async fn small_events_count_with_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::start(log(folder.path()).max_bytes(100_000)).await;
    let log = log.unwrap();
    for _ in 0..32 {
        let group = vec![Publish::new("x", "1".into(), EVERYTHING); 256];
        let answers = log.log.publish_all(group).await;
        assert!(answers.iter().all(Result::is_ok));
    }
    // The texts of the events have 8 kB.
    until("the oldest are forgotten", async || {
        count(&log, "x").await * 50 <= 100_000
    })
    .await;
    assert!(count(&log, "x").await > 1_000);
}
