//! Tests of folders that are in an unusual state.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use helios::backplane::{Backplane, BackplaneError};
use helios::log::{Log, LogError};
use helios::sse::EventId;

use super::support::{Running, copy_all, log};

async fn refused(log: Log) -> LogError {
    let error = Running::start(log).await.err().expect("an error");
    fault(error)
}

fn fault(error: BackplaneError) -> LogError {
    let source = error.source().and_then(|it| it.downcast_ref::<LogError>());
    match source.expect("a typed error") {
        LogError::Held { path, waited } => LogError::Held {
            path: path.clone(),
            waited: *waited,
        },
        LogError::Newer { path, version } => LogError::Newer {
            path: path.clone(),
            version: *version,
        },
        LogError::Folder { path, source } => LogError::Folder {
            path: path.clone(),
            source: source.kind().into(),
        },
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_clean_restart_goes_on_in_the_same_sequence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er");
    let log = Running::open(&path).await;
    let first = log.publish("x", "1").await;
    log.stop().await;
    let log = Running::open(&path).await;
    assert_eq!(log.newest, first);
    let second = log.publish("x", "2").await;
    assert_eq!(second.is_after(first), Some(true));
    assert_eq!(log.after("x", first).await.unwrap().len(), 1);
    // An app that is dropped does not stop its log.
    drop(log);
    let log = Running::open(&path).await;
    assert_eq!(log.newest, second);
}

#[tokio::test]
async fn a_folder_in_use_is_waited_for_and_then_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::open(folder.path()).await;
    let id = first.publish("x", "1").await;
    let wait = Duration::from_millis(100);
    let held = refused(Log::open(folder.path()).wait_for(wait)).await;
    assert!(matches!(held, LogError::Held { .. }), "{held}");
    assert!(held.to_string().contains("stop it"), "{held}");
    let second = log(folder.path());
    let (second, ()) = tokio::join!(Running::start(second), first.log.stop());
    assert_eq!(second.unwrap().newest, id);
}

#[tokio::test]
async fn an_abandoned_start_leaves_the_folder_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::open(folder.path()).await;
    let waiting = Running::start(log(folder.path()));
    let given_up = tokio::time::timeout(Duration::from_millis(100), waiting).await;
    assert!(given_up.is_err());
    first.stop().await;
    Running::open(folder.path()).await;
}

#[tokio::test]
async fn the_error_names_a_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = refused(log(&path)).await;
        assert!(matches!(error, LogError::Folder { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }
}

#[tokio::test]
async fn a_copied_folder_is_another_sequence_with_the_same_history() {
    let folder = tempfile::tempdir().unwrap();
    let (original, copied) = (folder.path().join("a"), folder.path().join("b"));
    let log = Running::open(&original).await;
    let first = log.publish("x", "1").await;
    log.stop().await;
    copy_all(&original, &copied);
    let copy = Running::open(&copied).await;
    assert_ne!(copy.newest.epoch(), first.epoch());
    assert_eq!(copy.texts("x").await, ["1"]);
    assert!(copy.after("x", first).await.is_none());
    let second = copy.publish("x", "2").await;
    copy.stop().await;
    // This happens only once, and not if the folder was moved.
    fs::rename(&copied, folder.path().join("c")).unwrap();
    let moved = Running::open(&folder.path().join("c")).await;
    assert_eq!(moved.newest, second);
    assert_eq!(Running::open(&original).await.newest, first);
}

#[tokio::test]
async fn a_restored_folder_is_another_sequence_if_requested() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let first = log.publish("x", "1").await;
    log.stop().await;
    let restored = Running::start(super::support::log(folder.path()).new_epoch());
    let restored = restored.await.unwrap();
    assert_ne!(restored.newest.epoch(), first.epoch());
    assert_eq!(restored.texts("x").await, ["1"]);
}

/// Checks that the log goes on with another sequence and an empty history.
async fn begins_anew(folder: &Path, before: EventId) {
    let log = Running::open(folder).await;
    assert_ne!(log.newest.epoch(), before.epoch());
    let id = log.publish("x", "next").await;
    log.stop().await;
    let log = Running::open(folder).await;
    assert_eq!(log.newest, id);
    assert_eq!(log.texts("x").await, ["next"]);
    log.stop().await;
}

#[tokio::test]
async fn a_store_without_its_version_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let id = log.publish("x", "1").await;
    log.stop().await;
    fs::remove_file(folder.path().join("store/version")).unwrap();
    begins_anew(folder.path(), id).await;
    assert!(folder.path().join("damaged-1/0.jnl").exists());
}

#[tokio::test]
async fn a_first_start_that_was_killed_is_begun_anew() {
    // The store creates these one after the other.
    let files = [
        ("lock", ""),
        ("keyspaces", ""),
        ("0.jnl", ""),
        ("version", ""),
        ("version", "FJL\x03"),
    ];
    for count in 0..=files.len() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        fs::create_dir(&store).unwrap();
        for (name, text) in &files[..count] {
            match *name {
                "keyspaces" => fs::create_dir(store.join(name)).unwrap(),
                _ => fs::write(store.join(name), text).unwrap(),
            }
        }
        println!("{count} files");
        begins_anew(folder.path(), EventId::new(0, 0)).await;
    }
}

#[tokio::test]
async fn a_stray_file_does_not_damage_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let id = log.publish("x", "1").await;
    log.stop().await;
    fs::write(folder.path().join("store/keyspaces/.DS_Store"), "stray").unwrap();
    let log = Running::open(folder.path()).await;
    assert_eq!(log.newest, id);
    assert_eq!(log.texts("x").await, ["1"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_fault_of_the_machine_leaves_the_store_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = Running::open(folder.path()).await;
    let id = log.publish("x", "1").await;
    log.stop().await;
    // A loop of links is an error of the system, and not damage to the files.
    let (version, away) = (
        folder.path().join("store/version"),
        folder.path().join("away"),
    );
    fs::rename(&version, &away).unwrap();
    std::os::unix::fs::symlink("version", &version).unwrap();
    let error = refused(super::support::log(folder.path())).await;
    assert!(matches!(error, LogError::Folder { .. }), "{error}");
    assert!(!folder.path().join("damaged-1").exists());
    fs::remove_file(&version).unwrap();
    fs::rename(&away, &version).unwrap();
    let log = Running::open(folder.path()).await;
    assert_eq!(log.newest, id);
    assert_eq!(log.texts("x").await, ["1"]);
}
