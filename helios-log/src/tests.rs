//! What only tests can pretend: another boot, a wrong clock, a crash.

use std::path::Path;
use std::time::{Duration, SystemTime};

use helios_core::hub::{EventId, HistoryLimits};
use helios_core::sse::NodeId;
use helios_http::sse::backplane::{
    Ask, Backplane, BackplaneSink, History, Publish, Started, Startup,
};

use crate::folder::{Folder, Mark};
use crate::log::Machine;
use crate::{Log, LogError, Sync};

const DAYS: HistoryLimits = HistoryLimits {
    events: 1000,
    age: Duration::from_secs(7 * 24 * 60 * 60),
};

fn machine(boot: u128) -> Machine {
    Machine {
        boot,
        now: SystemTime::now,
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

async fn newest(log: &Log) -> usize {
    match log.history(Ask::newest("x")).await.unwrap() {
        History::Events { events, .. } => events.len(),
        _ => panic!("it is gone"),
    }
}

/// Changes what the folder says of its last process.
fn change_mark(path: &Path, change: impl FnOnce(&mut Mark)) {
    let folder = Folder::open(path, Duration::from_secs(20), || true);
    let mut folder = folder.unwrap().unwrap();
    let mut mark = folder.mark().unwrap().unwrap();
    change(&mut mark);
    folder.set_mark(&mark).unwrap();
}

#[tokio::test]
async fn another_boot_is_another_sequence_unless_all_was_on_the_disk() {
    for (sync, ended, boots, kept) in [
        (Sync::Os, false, (5, 5), true),
        (Sync::Os, false, (5, 6), false),
        (Sync::Os, true, (5, 6), true),
        (Sync::Always, false, (5, 6), true),
        // A boot that is not known is another one.
        (Sync::Os, false, (0, 0), false),
        (Sync::Os, true, (0, 0), true),
        (Sync::Always, false, (0, 0), true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let open = |boot| Log::open(folder.path()).sync(sync).on(machine(boot));
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
        let what = (sync, ended, boots);
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
async fn a_clock_that_jumps_resets_nobody_and_holds_no_key_for_longer() {
    let folder = tempfile::tempdir().unwrap();
    let open = |now| Log::open(folder.path()).on(Machine { boot: 5, now });
    let log = open(|| years(60));
    start(&log).await;
    let first = publish(&log, "1").await;
    log.stop().await;
    // It was wrong, or is now: nothing is older than it can be.
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
async fn what_a_clock_makes_too_old_is_told_as_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let open = |now| Log::open(folder.path()).on(Machine { boot: 5, now });
    let log = open(|| years(30));
    start(&log).await;
    let id = publish(&log, "1").await;
    log.stop().await;
    let log = open(|| years(60));
    assert_eq!(start(&log).await.newest, id);
    let began = std::time::Instant::now();
    loop {
        let zero = EventId::new(id.epoch(), 0);
        match log.history(Ask::after("x", zero)).await.unwrap() {
            History::Events { events, .. } => assert_eq!(events.len(), 1),
            _ => break,
        }
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    log.stop().await;
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_an_error_that_says_what_to_do() {
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
