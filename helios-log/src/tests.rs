//! Tests that need a different machine: another boot, a wrong clock, a crash.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use helios_core::hub::{EventId, HistoryLimits};
use helios_core::sse::NodeId;
use helios_http::sse::backplane::{
    Ask, Backplane, BackplaneErrorKind, BackplaneSink, History, Publish, Started, Startup, Status,
};

use crate::folder::{Folder, Mark};
use crate::machine::{Act, Machine};
use crate::store::{Store, event_key, pack, topic_key};
use crate::{Durability, Log, LogError};

const DAYS: HistoryLimits = HistoryLimits {
    events: 1000,
    age: Duration::from_secs(7 * 24 * 60 * 60),
};

fn machine(boot: u128) -> Machine {
    Machine {
        boot,
        now: SystemTime::now,
        disk: |_| Ok(()),
    }
}

async fn start(log: &Log) -> Started {
    let startup = Startup::new(NodeId::new(7).unwrap(), BackplaneSink::new(|_| true));
    let startup = startup.with_limits(|_| DAYS);
    log.start(startup).await.unwrap()
}

async fn publish(log: &Log, text: &'static str) -> EventId {
    let publish = Publish::new("x", text.into(), DAYS).with_key(Some("once"));
    log.publish(publish).await.unwrap()
}

async fn publish_in(log: &Log, topic: &str) -> EventId {
    let publish = Publish::new(topic, "text".into(), DAYS);
    log.publish(publish).await.unwrap()
}

async fn newest(log: &Log) -> usize {
    match log.history(Ask::newest("x")).await.unwrap() {
        History::Events { events, .. } => events.len(),
        _ => panic!("it is gone"),
    }
}

/// Changes what the folder records about its last process.
fn change_mark(path: &Path, change: impl FnOnce(&mut Mark)) {
    let folder = Folder::open(path, Duration::from_secs(20), || true);
    let mut folder = folder.unwrap().unwrap();
    let mut mark = folder.mark().unwrap().unwrap();
    change(&mut mark);
    folder.set_mark(&mark).unwrap();
}

#[tokio::test]
async fn another_boot_is_another_sequence_unless_everything_was_synced() {
    for (durability, ended, boots, kept) in [
        (Durability::Os, false, (5, 5), true),
        (Durability::Os, false, (5, 6), false),
        (Durability::Os, true, (5, 6), true),
        (Durability::Always, false, (5, 6), true),
        // An unknown boot counts as another one.
        (Durability::Os, false, (0, 0), false),
        (Durability::Os, true, (0, 0), true),
        (Durability::Always, false, (0, 0), true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let open = |boot| {
            Log::open(folder.path())
                .durability(durability)
                .on(machine(boot))
        };
        let log = open(boots.0);
        let first = start(&log).await.newest;
        let id = publish(&log, "1").await;
        log.stop().await;
        change_mark(folder.path(), |mark| {
            assert!(mark.ended);
            mark.ended = ended;
        });
        let log = open(boots.1);
        let started = start(&log).await.newest;
        let what = (durability, ended, boots);
        assert_eq!(started == id, kept, "{what:?}");
        assert_eq!(started.epoch() == first.epoch(), kept, "{what:?}");
        assert_eq!(newest(&log).await, 1, "{what:?}");
        log.stop().await;
    }
}

#[tokio::test]
async fn a_store_that_is_behind_its_mark_is_another_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path());
    start(&log).await;
    let id = publish(&log, "1").await;
    log.stop().await;
    change_mark(folder.path(), |mark| mark.newest += 1);
    let log = Log::open(folder.path());
    assert_ne!(start(&log).await.newest.epoch(), id.epoch());
    log.stop().await;
}

fn years(count: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(count * 365 * 24 * 60 * 60)
}

#[tokio::test]
async fn a_clock_that_jumps_resets_no_client_and_delays_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let open = |now| Log::open(folder.path()).on(Machine { now, ..machine(5) });
    let log = open(|| years(60));
    start(&log).await;
    let first = publish(&log, "1").await;
    log.stop().await;
    // The clock was wrong then or is wrong now. No event is older than it can be.
    let mut before = first;
    for now in [|| years(30), || SystemTime::UNIX_EPOCH] {
        let log = open(now);
        assert_eq!(start(&log).await.newest, before);
        let next = publish(&log, "2").await;
        assert_eq!(next.is_after(before), Some(true), "an old key counts");
        assert_eq!(publish(&log, "3").await, next);
        assert!(newest(&log).await > 1);
        before = next;
        log.stop().await;
    }
}

#[tokio::test]
async fn a_clock_that_was_set_while_a_process_ran_resets_no_client_of_the_next() {
    static HOURS: AtomicU64 = AtomicU64::new(24);
    let now = || years(30) + Duration::from_secs(HOURS.load(Ordering::Relaxed) * 60 * 60);
    let folder = tempfile::tempdir().unwrap();
    let open = || Log::open(folder.path()).on(Machine { now, ..machine(5) });
    let mut id = None;
    // Suspended for a month, and later set back by half of that.
    for hours in [24 * 31, 24 * 31, 24 * 15, 24 * 15] {
        let log = open();
        start(&log).await;
        HOURS.store(hours, Ordering::Relaxed);
        let published = publish(&log, "1").await;
        assert_eq!(id.replace(published).unwrap_or(published), published);
        let before = EventId::new(published.epoch(), 0);
        // An event that is too old is trimmed by the next tick, behind those of topics before it.
        let brief = HistoryLimits {
            age: Duration::ZERO,
            ..DAYS
        };
        let publish = Publish::new("z", "text".into(), brief);
        log.publish(publish).await.unwrap();
        let are_left = async |topic| {
            let history = log.history(Ask::after(topic, before)).await.unwrap();
            matches!(history, History::Events { .. })
        };
        until(async || !are_left("z").await).await;
        assert!(are_left("x").await, "{hours}");
        log.stop().await;
    }
}

#[tokio::test]
async fn what_a_clock_makes_too_old_is_told_as_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let open = |now| Log::open(folder.path()).on(Machine { now, ..machine(5) });
    let log = open(|| years(30));
    start(&log).await;
    let id = publish(&log, "1").await;
    log.stop().await;
    let log = open(|| years(60));
    assert_eq!(start(&log).await.newest, id);
    until(async || {
        let zero = EventId::new(id.epoch(), 0);
        match log.history(Ask::after("x", zero)).await.unwrap() {
            History::Events { events, .. } => {
                assert_eq!(events.len(), 1);
                false
            }
            _ => true,
        }
    })
    .await;
    log.stop().await;
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path());
    start(&log).await;
    log.stop().await;
    Mark::write_as_of_version(folder.path(), 2);
    let startup = Startup::new(NodeId::new(7).unwrap(), BackplaneSink::new(|_| true));
    let error = Log::open(folder.path()).start(startup).await.unwrap_err();
    let source = std::error::Error::source(&error);
    let source = source.and_then(|it| it.downcast_ref::<LogError>()).unwrap();
    assert!(matches!(source, LogError::Newer { version: 2, .. }));
    let text = source.to_string();
    assert!(text.contains("update helios-rs"), "{text}");
    assert!(folder.path().join("store").exists());
}

/// Waits until `is_so` returns true, with a limit.
async fn until(is_so: impl AsyncFn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn links_down(log: &Log) {
    until(async || log.status() == Status::Down).await;
}

#[tokio::test]
async fn after_a_failed_sync_the_next_start_is_another_sequence() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    let disk = |act| match act == Act::Sync && FAILS.load(Ordering::Relaxed) {
        true => Err(io::Error::from_raw_os_error(5)),
        false => Ok(()),
    };
    for durability in [Durability::Os, Durability::Always] {
        for at_end in [false, true] {
            let what = (durability, at_end);
            FAILS.store(false, Ordering::Relaxed);
            let folder = tempfile::tempdir().unwrap();
            let machine = Machine { disk, ..machine(5) };
            let open = || Log::open(folder.path()).durability(durability);
            let log = open().on(machine);
            start(&log).await;
            let id = publish(&log, "1").await;
            FAILS.store(true, Ordering::Relaxed);
            if !at_end {
                let publish = Publish::new("x", "2".into(), DAYS);
                let published = log.publish(publish).await.map_err(|error| error.kind());
                match durability {
                    Durability::Os => assert!(published.is_ok()),
                    Durability::Always => assert_eq!(published, Err(BackplaneErrorKind::Unknown)),
                }
                links_down(&log).await;
                // The log does not recover.
                FAILS.store(false, Ordering::Relaxed);
                let publish = Publish::new("x", "3".into(), DAYS);
                let refused = log.publish(publish).await.unwrap_err().kind();
                assert_eq!(refused, BackplaneErrorKind::Down, "{what:?}");
            }
            log.stop().await;
            // The boot is the same.
            let log = open().on(machine);
            FAILS.store(false, Ordering::Relaxed);
            let started = start(&log).await.newest;
            assert_ne!(started.epoch(), id.epoch(), "{what:?}");
            assert!(newest(&log).await > 0, "{what:?}");
            log.stop().await;
            let log = open().on(machine);
            assert_eq!(start(&log).await.newest, started, "{what:?}");
            log.stop().await;
        }
    }
}

#[tokio::test]
async fn an_end_that_was_not_written_finishes_nothing() {
    static FAILS: AtomicBool = AtomicBool::new(true);
    let disk = |act| match act == Act::Commit && FAILS.load(Ordering::Relaxed) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    };
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path()).on(Machine { disk, ..machine(5) });
    start(&log).await;
    let publish = |text: &'static str| Publish::new("x", text.into(), DAYS);
    let group = || vec![publish("end").finishing(true), publish("more")];
    let kinds = async || {
        let answers = log.publish_all(group()).await.into_iter();
        answers
            .map(|answer| answer.map_err(|error| error.kind()).err())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, [Some(BackplaneErrorKind::Full); 2]);
    FAILS.store(false, Ordering::Relaxed);
    let began = std::time::Instant::now();
    let mut answered = kinds().await;
    while answered[0].is_some() {
        assert_eq!(answered, [Some(BackplaneErrorKind::Full); 2]);
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
        answered = kinds().await;
    }
    assert_eq!(answered, [None, Some(BackplaneErrorKind::Finished)]);
    log.stop().await;
}

#[tokio::test]
async fn an_end_of_a_clock_ahead_is_forgotten_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let open = |now| Log::open(folder.path()).on(Machine { now, ..machine(5) });
    let log = open(|| years(60));
    start(&log).await;
    let end = Publish::new("x", "end".into(), DAYS).finishing(true);
    log.publish(end).await.unwrap();
    log.stop().await;
    for (now, is_finished) in [
        ((|| years(30)) as fn() -> SystemTime, true),
        // After the limits of its topic, and a little more.
        (|| years(30) + Duration::from_secs(8 * 24 * 60 * 60), false),
    ] {
        let log = open(now);
        start(&log).await;
        // The state of the topic is written with its next change.
        let watched = log.watch(&["x"]).await.unwrap();
        assert_eq!(watched.topics[0].finish.is_some(), is_finished);
        log.stop().await;
    }
}

#[tokio::test]
async fn an_end_is_not_shortened_by_a_long_wait_for_the_folder() {
    const HOUR: u64 = 60 * 60;
    static HOURS: AtomicU64 = AtomicU64::new(0);
    let now = || years(30) + Duration::from_secs(HOURS.load(Ordering::Relaxed) * HOUR);
    let folder = tempfile::tempdir().unwrap();
    let open = || Log::open(folder.path()).on(Machine { now, ..machine(5) });
    // The first process publishes an end two hours after the second one has begun to wait.
    HOURS.store(2, Ordering::Relaxed);
    let first = open();
    start(&first).await;
    let end = Publish::new("x", "end".into(), DAYS).finishing(true);
    first.publish(end).await.unwrap();
    HOURS.store(0, Ordering::Relaxed);
    let second = open();
    tokio::join!(start(&second), async {
        HOURS.store(2, Ordering::Relaxed);
        first.stop().await;
    });
    second.stop().await;
    HOURS.store(7 * 24 + 1, Ordering::Relaxed);
    let third = open();
    start(&third).await;
    let watched = third.watch(&["x"]).await.unwrap();
    assert!(watched.topics[0].finish.is_some());
    third.stop().await;
}

#[tokio::test]
async fn a_name_too_long_for_the_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path());
    start(&log).await;
    let long = "x".repeat(40_000);
    for (topic, key) in [(&*long, "key"), ("x", &*long)] {
        let publish = Publish::new(topic, "text".into(), DAYS).with_key(Some(key));
        let refused = log.publish(publish).await.unwrap_err().kind();
        assert_eq!(refused, BackplaneErrorKind::Refused);
    }
    let tables = log.tables().unwrap();
    let lease = tables.lease(NodeId::new(7).unwrap(), None).await.unwrap();
    let refused = tables
        .put(lease, &long, "ann", "1", true, 100)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), BackplaneErrorKind::Refused);
    let (topic, key) = (&long[..32 << 10], &long[..16 << 10]);
    let publish = Publish::new(topic, "text".into(), DAYS).with_key(Some(key));
    log.publish(publish).await.unwrap();
    log.stop().await;
}

#[tokio::test]
async fn events_missing_from_the_store_reset_clients_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path());
    let first = start(&log).await.newest;
    let id = |seq| EventId::new(first.epoch(), seq);
    for n in 1..=5 {
        assert_eq!(publish_in(&log, "x").await, id(n));
    }
    log.stop().await;
    for (missing, after, expected) in [
        (3, Some(1), None),
        (3, Some(2), None),
        (3, Some(3), Some(2)),
        (3, None, Some(2)),
        // The last event.
        (5, Some(3), None),
        (5, None, Some(0)),
        (5, Some(5), Some(0)),
    ] {
        {
            let store = Store::open(&folder.path().join("store")).unwrap();
            store.commit(&[(event_key("x", missing), None)]).unwrap();
        }
        let log = Log::open(folder.path());
        assert_eq!(start(&log).await.newest, id(5));
        let ask = after.map_or(Ask::newest("x"), |after| Ask::after("x", id(after)));
        // The second time, the hole is known.
        for _ in 0..2 {
            let found = match log.history(ask.clone()).await.unwrap() {
                History::Events { events, .. } => Some(events.len()),
                _ => None,
            };
            assert_eq!(found, expected, "{missing} {after:?}");
        }
        log.stop().await;
    }
}

#[tokio::test]
async fn a_topic_lost_from_the_store_is_another_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path());
    start(&log).await;
    for topic in ["x", "quiet", "x"] {
        publish_in(&log, topic).await;
    }
    log.stop().await;
    let mut before = None;
    for is_lost in [false, true, false] {
        if is_lost {
            let store = Store::open(&folder.path().join("store")).unwrap();
            let lost = [(event_key("quiet", 2), None), (topic_key("quiet"), None)];
            store.commit(&lost).unwrap();
        }
        let log = Log::open(folder.path());
        let epoch = start(&log).await.newest.epoch();
        let before = before.replace(epoch).unwrap_or(epoch);
        assert_eq!(epoch != before, is_lost);
        log.stop().await;
    }
}

#[tokio::test]
async fn another_sequence_begins_above_events_that_the_store_still_has() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path());
    start(&log).await;
    let id = publish(&log, "1").await;
    log.stop().await;
    // As if the states of the last events were lost, and the last group had not been marked yet.
    let left = id.seq() + 700;
    {
        let store = Store::open(&folder.path().join("store")).unwrap();
        let row = (event_key("x", left), Some(pack(&[id.seq(), 1], b"left")));
        store.commit(&[row]).unwrap();
    }
    change_mark(folder.path(), |mark| mark.newest += 500);
    let log = Log::open(folder.path());
    let begun = start(&log).await.newest;
    assert_ne!(begun.epoch(), id.epoch());
    assert!(begun.seq() > left);
    publish_in(&log, "other").await;
    let next = publish_in(&log, "x").await;
    match log.history(Ask::after("x", begun)).await.unwrap() {
        History::Events { events, .. } => {
            let ids: Vec<_> = events.iter().map(|event| event.id).collect();
            assert_eq!(ids, [next]);
        }
        other => panic!("{other:?}"),
    }
    log.stop().await;
}

/// Damages a table of events, and returns whether there is one.
fn damage_a_table(store: &Path) -> bool {
    let trees = std::fs::read_dir(store.join("keyspaces")).unwrap();
    let tables = trees.flat_map(|tree| std::fs::read_dir(tree.unwrap().path().join("tables")));
    let tables = tables.flatten().map(|table| table.unwrap().path());
    let largest = tables.max_by_key(|table| std::fs::metadata(table).unwrap().len());
    let Some(table) = largest else { return false };
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    true
}

#[tokio::test]
async fn a_store_that_has_failed_is_read_and_set_aside_if_it_cannot_be() {
    for (is_damaged, failed) in [(false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let log = Log::open(folder.path());
        start(&log).await;
        let id = publish(&log, "1").await;
        log.stop().await;
        {
            let store = Store::open(&store).unwrap();
            for n in 0..30 {
                let row = (event_key("large", n), Some(vec![n as u8; 1 << 20]));
                store.commit(&[row]).unwrap();
            }
        }
        assert!(!is_damaged || damage_a_table(&store));
        change_mark(folder.path(), |mark| mark.failed = failed);
        let log = Log::open(folder.path());
        let begun = start(&log).await.newest;
        assert_eq!(begun.epoch() != id.epoch(), failed);
        let is_aside = folder.path().join("damaged-1").exists();
        assert_eq!(is_aside, is_damaged && failed);
        publish_in(&log, "x").await;
        log.stop().await;
    }
}

#[tokio::test]
async fn an_event_without_room_for_its_mark_is_undone() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    let disk = |act| match act == Act::Mark && FAILS.load(Ordering::Relaxed) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    };
    let folder = tempfile::tempdir().unwrap();
    let open = || Log::open(folder.path()).on(Machine { disk, ..machine(5) });
    let mut log = open();
    start(&log).await;
    let mut before = publish(&log, "1").await;
    for is_stopped in [false, true] {
        FAILS.store(true, Ordering::Relaxed);
        let publish = || Publish::new("x", "2".into(), DAYS);
        for _ in 0..3 {
            let refused = log.publish(publish()).await.unwrap_err().kind();
            assert_eq!(refused, BackplaneErrorKind::Full);
            assert_eq!(log.status(), Status::Up);
        }
        FAILS.store(false, Ordering::Relaxed);
        if is_stopped {
            log.stop().await;
            log = open();
            assert_eq!(start(&log).await.newest, before);
        }
        let began = std::time::Instant::now();
        let after = loop {
            match log.publish(publish()).await {
                Ok(id) => break id,
                Err(error) => assert_eq!(error.kind(), BackplaneErrorKind::Full),
            }
            assert!(began.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(after.seq(), before.seq() + 1);
        assert_eq!(newest(&log).await as u64, after.seq());
        before = after;
    }
    log.stop().await;
}
