//! Tests of a full disk.

use std::fs;
use std::path::Path;
use std::process::Command;

use helios::backplane::{Backplane, BackplaneErrorKind, Status};

use super::support::{Running, log, until};

/// A small file system that exists as long as this value.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(mebibytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(folder.path());
        assert!(mount.status().unwrap().success());
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root; cargo xtask test runs it"]
async fn a_full_disk_refuses_events_serves_history_and_heals() {
    let disk = Small::mount(4);
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![7; 3 << 19]).unwrap();
    let mut log = Running::open(&disk.path().join("log")).await;
    let epoch = log.newest.epoch();
    let mut texts = Vec::new();
    for round in 0..3 {
        let mut refused = 0;
        for n in 0.. {
            let text = format!("{round}-{n}-{}", "x".repeat(5_000));
            match log.try_publish("x", &text).await {
                Ok(_) => texts.push(text),
                Err(kind) => {
                    assert_eq!(kind, BackplaneErrorKind::Full);
                    refused += 1;
                }
            }
            if refused > 5 {
                break;
            }
        }
        assert_eq!(log.log.status(), Status::Up);
        assert_eq!(log.texts("x").await, texts);
        // The process ends while the disk is full, and the folder is opened with a little more room.
        if round == 1 {
            log.stop().await;
            fill(&disk.path().join("rest"));
            log = starts_on_a_full_disk(disk.path(), epoch, &mut texts).await;
            fs::remove_file(disk.path().join("rest")).unwrap();
            fs::write(&ballast, vec![7; 1 << 19]).unwrap();
        } else {
            fs::write(&ballast, vec![7; (2 - round) << 19]).unwrap();
        }
        until("it heals", async || {
            let text = format!("healed {round}");
            let published = log.try_publish("x", &text).await;
            texts.extend(published.is_ok().then_some(text));
            published.is_ok()
        })
        .await;
        assert_eq!(log.texts("x").await, texts);
        assert_eq!(log.newest.epoch(), epoch);
    }
    log.stop().await;
    let log = Running::start(log_of(disk.path())).await.unwrap();
    assert_eq!(log.newest.epoch(), epoch);
    assert_eq!(log.texts("x").await, texts);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root; cargo xtask test runs it"]
async fn a_disk_too_full_for_a_table_has_not_failed() {
    let disk = Small::mount(62);
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![7; 32 << 20]).unwrap();
    let log = Running::open(&disk.path().join("log")).await;
    let epoch = log.newest.epoch();
    let mut texts = Vec::new();
    // Two tables and the journal need more room than there is. The store finds that out in the background.
    let publish = async |texts: &mut Vec<String>, text: String| {
        let published = log.try_publish("x", &text).await;
        match published {
            Ok(_) => texts.push(text),
            Err(kind) => assert_eq!(kind, BackplaneErrorKind::Full),
        }
        published.is_ok()
    };
    for _ in 0..170 {
        assert!(publish(&mut texts, super::support::noise(100_000)).await);
    }
    until("it is full", async || {
        !publish(&mut texts, "small".to_owned()).await
    })
    .await;
    assert_eq!(log.log.status(), Status::Up);
    assert_eq!(log.texts("x").await, texts);
    fs::remove_file(&ballast).unwrap();
    until("it heals", async || {
        publish(&mut texts, "healed".to_owned()).await
    })
    .await;
    for _ in 0..40 {
        publish(&mut texts, super::support::noise(100_000)).await;
    }
    assert_eq!(log.texts("x").await, texts);
    log.stop().await;
    let log = Running::start(log_of(disk.path())).await.unwrap();
    assert_eq!(log.newest.epoch(), epoch);
    assert_eq!(log.texts("x").await, texts);
}

/// Starts on a full disk, and checks that history can be read and nothing is published.
async fn starts_on_a_full_disk(disk: &Path, epoch: u64, texts: &mut Vec<String>) -> Running {
    let start = async |texts: &[String]| {
        let log = Running::start(log_of(disk)).await.unwrap();
        assert_eq!(log.newest.epoch(), epoch);
        assert_eq!(log.texts("x").await, texts);
        log
    };
    let mut log = start(texts).await;
    // The existing journal has a little room. Each start uses some of it.
    let mut starts = 1;
    while log.try_publish("x", "small").await.is_ok() {
        texts.push("small".to_owned());
        while log.try_publish("x", "small").await.is_ok() {
            texts.push("small".to_owned());
        }
        starts += 1;
        assert!(starts < 200, "the disk is not full");
        log.stop().await;
        log = start(texts).await;
    }
    // Start once more, with amends that still have to be made.
    log.stop().await;
    let log = start(texts).await;
    let refused = log.try_publish("x", "too early").await;
    assert_eq!(refused, Err(BackplaneErrorKind::Full));
    assert_eq!(log.log.status(), Status::Up);
    log
}

/// Fills all the room that is left.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
}

fn log_of(disk: &Path) -> helios::log::Log {
    log(&disk.join("log"))
}
