//! Tests with files that were cut, and with flipped bits. They must cause an error or a reset, never silence, and no
//! good data may be lost.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::support::{Running, copy_all, files, noise, rounds, text, until, written};

const TOPICS: [&str; 3] = ["x", "y", "z"];

/// A folder with a history, a copy of its files, and its content.
struct Specimen {
    folder: tempfile::TempDir,
    /// The text of each number.
    texts: HashMap<u64, (&'static str, String)>,
    epoch: u64,
    /// The end of the journal after each event.
    borders: Vec<usize>,
}

impl Specimen {
    async fn new(events: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Running::open(&path).await;
        let (mut texts, mut borders) = (HashMap::new(), Vec::new());
        for n in 1..=events {
            let (topic, text) = (
                TOPICS[n as usize % 3],
                format!("text {n} {}", "x".repeat(40)),
            );
            let id = log.publish(topic, &text).await;
            texts.insert(id.seq(), (topic, text));
            borders.push(written(&journal(&path)).len());
        }
        let epoch = log.newest.epoch();
        log.stop().await;
        let specimen = Self {
            folder,
            texts,
            epoch,
            borders,
        };
        copy_all(&specimen.log(), &specimen.folder.path().join("whole"));
        specimen
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Restores all files. The lock stays, because another one would mark the folder as a copy.
    fn mend(&self) {
        for entry in fs::read_dir(self.log()).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false if path.ends_with("lock") => {}
                false => fs::remove_file(path).unwrap(),
            }
        }
        let lock = self.folder.path().join("whole/lock");
        let _ = fs::remove_file(lock);
        copy_all(&self.folder.path().join("whole"), &self.log());
    }

    /// Opens the damaged folder. Returns how many events are present, and whether clients are reset, or `None` for an
    /// error.
    async fn open(&self, what: &str) -> Option<(usize, bool)> {
        let log = Running::start(super::support::log(&self.log())).await;
        let log = log.ok()?;
        let mut told = log.newest.epoch() != self.epoch;
        let mut there = 0;
        for topic in TOPICS {
            let Ok(events) = log
                .log_history(topic)
                .await
                .map_err(|kind| println!("{what}: {kind:?}"))
            else {
                continue;
            };
            if events.is_none() {
                println!("{what}: {topic} is gone, told {told}");
                told = true;
            }
            let events = events.unwrap_or_default();
            let mut last = 0;
            for event in events {
                let seq = event.id.seq();
                assert!(seq > last, "{what}");
                last = seq;
                let expected = Some(&(topic, text(&event)));
                assert_eq!(
                    self.texts.get(&seq).map(|(t, x)| (*t, x.clone())).as_ref(),
                    expected,
                    "{what}"
                );
                there += 1;
            }
        }
        // The log continues, with a new id.
        let id = log.publish("x", "next").await;
        assert!(told || !self.texts.contains_key(&id.seq()), "{what}");
        log.stop().await;
        Some((there, told))
    }

    fn has_set_aside(&self) -> bool {
        self.log().join("damaged-1").exists()
    }
}

fn journal(log: &Path) -> PathBuf {
    let files = files(&log.join("store"));
    let mut journals = files
        .into_iter()
        .filter(|file| file.extension() == Some("jnl".as_ref()));
    journals.next().unwrap()
}

fn cut(file: &Path, at: usize) {
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(at as u64).unwrap();
}

fn flip(file: &Path, bit: usize) {
    use std::os::unix::fs::FileExt;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit as u64 / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit as u64 / 8).unwrap();
}

/// Checks that each event with a complete record is kept, and that clients are reset if others are missing.
async fn cut_at(specimen: &Specimen, at: usize) {
    specimen.mend();
    cut(&journal(&specimen.log()), at);
    let what = format!("cut at {at}");
    let whole = specimen
        .borders
        .iter()
        .filter(|border| **border <= at)
        .count();
    let opened = specimen.open(&what).await;
    let (there, told) = opened.unwrap_or_else(|| panic!("{what}: it does not open"));
    assert_eq!(told, whole < specimen.borders.len(), "{what}");
    // The first records belong to the store itself.
    if specimen.has_set_aside() {
        assert!(whole == 0, "{what}");
    } else {
        assert_eq!(there, whole, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_cut_between_records_keeps_all_before_the_cut() {
    let specimen = Specimen::new(60).await;
    for border in specimen.borders.clone() {
        cut_at(&specimen, border).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_cut_anywhere_keeps_all_before_the_cut() {
    let specimen = Specimen::new(60).await;
    let end = *specimen.borders.last().unwrap();
    let seed = fastrand::get_seed();
    println!("seed {seed}");
    match rounds(0, 1) {
        0 => {
            for _ in 0..200 {
                cut_at(&specimen, fastrand::usize(0..end)).await;
            }
        }
        _ => {
            for at in end.saturating_sub(64 << 10)..end {
                cut_at(&specimen, at).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_an_error_or_a_reset() {
    let specimen = Specimen::new(60).await;
    let seed = fastrand::get_seed();
    println!("seed {seed}");
    let whole = files(&specimen.log());
    let sizes: Vec<_> = whole
        .iter()
        .map(|file| (file.clone(), written(file).len() * 8))
        .collect();
    let sizes: Vec<_> = sizes.into_iter().filter(|(_, bits)| *bits > 0).collect();
    for round in 0..rounds(200, 4_000) {
        // Each file in turn, and the journal every other time.
        let (file, bits) = match round % 2 {
            0 => sizes
                .iter()
                .find(|(file, _)| *file == journal(&specimen.log()))
                .unwrap(),
            _ => &sizes[round / 2 % sizes.len()],
        };
        specimen.mend();
        let bit = fastrand::usize(0..*bits);
        flip(file, bit);
        let what = format!("bit {bit} of {}", file.display());
        if let Some((there, told)) = specimen.open(&what).await {
            assert!(
                told || there == specimen.texts.len(),
                "{what}: silently lost"
            );
            let kept = there == specimen.texts.len() || specimen.has_set_aside() || told;
            assert!(kept, "{what}");
        }
    }
}

/// Copies a folder and everything below it, with all of its bytes.
fn copy_whole(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        match from.is_dir() {
            true => copy_whole(&from, &to),
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}

/// Returns all files and folders below a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let with_below = |path: PathBuf| match path.is_dir() {
        true => [entries(&path), vec![path]].concat(),
        false => vec![path],
    };
    paths.flat_map(with_below).collect()
}

/// Checks that all that was published to a log is there, in the order of its ids, or that clients were reset. After
/// that it publishes, starts again, and checks that as well.
async fn goes_on(path: &Path, texts: &HashMap<u64, String>, epoch: u64, what: &str) {
    let log = Running::open(path).await;
    let begun = log.newest.epoch();
    let mut of_run = HashMap::new();
    for n in 0..60 {
        let topic = TOPICS[n % TOPICS.len()];
        let text = format!("after {what}: {n}");
        of_run.insert(log.publish(topic, &text).await, (topic, text));
    }
    log.stop().await;
    let log = Running::open(path).await;
    assert_eq!(log.newest.epoch(), begun, "{what}: reset again");
    let mut there = 0;
    for topic in TOPICS {
        for event in log.newest_of(topic).await {
            let text = text(&event);
            match of_run.remove(&event.id) {
                Some(published) => assert_eq!((topic, text), published, "{what}"),
                None => {
                    assert_eq!(texts.get(&event.id.seq()), Some(&text), "{what}");
                    there += 1;
                }
            }
        }
    }
    assert_eq!(of_run.len(), 0, "{what}: published and lost");
    let is_told = begun != epoch;
    assert!(is_told || there == texts.len(), "{what}: silently lost");
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_or_folder_is_a_reset_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = (folder.path().join("log"), folder.path().join("whole"));
    let log = Running::open(&path).await;
    let mut texts = HashMap::new();
    // More than a memtable, so that some events are in tables.
    for n in 0..100 {
        let text = noise(200_000);
        let id = log.publish(TOPICS[n % TOPICS.len()], &text).await;
        texts.insert(id.seq(), text);
    }
    let epoch = log.newest.epoch();
    let is_table = |entry: &PathBuf| entry.is_file() && entry.parent().unwrap().ends_with("tables");
    until("tables of both kinds", async || {
        entries(&path)
            .iter()
            .filter(|entry| is_table(entry))
            .count()
            > 1
    })
    .await;
    log.stop().await;
    copy_whole(&path.join("store"), &whole.join("store"));
    fs::copy(path.join("state"), whole.join("state")).unwrap();
    for lost in entries(&whole.join("store")) {
        fs::remove_dir_all(path.join("store")).unwrap();
        copy_whole(&whole, &path);
        let lost = path.join(lost.strip_prefix(&whole).unwrap());
        match lost.is_dir() {
            true => fs::remove_dir_all(&lost).unwrap(),
            false => fs::remove_file(&lost).unwrap(),
        }
        goes_on(&path, &texts, epoch, &lost.display().to_string()).await;
    }
}

/// Returns the journals of a log, oldest first.
fn journals(log: &Path) -> Vec<PathBuf> {
    let number = |file: &PathBuf| file.file_stem()?.to_str()?.parse::<u64>().ok();
    let files = fs::read_dir(log.join("store")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> = files
        .filter(|file| file.extension() == Some("jnl".as_ref()))
        .collect();
    journals.sort_by_key(number);
    journals
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes much; cargo xtask test runs it"]
async fn a_damaged_sealed_journal_is_never_a_silent_gap() {
    let seed = fastrand::get_seed();
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let copy = folder.path().join("copy");
    let log = Running::open(&path).await;
    let quiet = log.publish("quiet", "before").await;
    let mut ids = Vec::new();
    // Publish until a journal is sealed whose events are not all in tables yet.
    loop {
        let (topic, text) = (["x", "y"][ids.len() % 2], noise(100_000));
        ids.push(log.publish(topic, &text).await);
        if journals(&path).len() > 1 {
            let _ = fs::remove_dir_all(&copy);
            link_all(&path, &copy);
            if journals(&copy).len() > 1 {
                break;
            }
        }
        assert!(ids.len() < 10_000, "no journal was sealed");
    }
    log.stop().await;
    // Take the state of that moment, as if the process had been killed.
    fs::remove_dir_all(path.join("store")).unwrap();
    fs::rename(copy.join("store"), path.join("store")).unwrap();
    fs::copy(copy.join("state"), path.join("state")).unwrap();
    let journals = journals(&path);
    println!("{} events, {journals:?}", ids.len());
    let sealed = &journals[journals.len() - 2];
    let length = fs::metadata(sealed).unwrap().len() as usize;
    // The store does not report a cut.
    cut(sealed, fastrand::usize(length / 2..length - 200_000));
    let log = Running::open(&path).await;
    let told = log.newest.epoch() != quiet.epoch();
    println!("told {told}, newest {}", log.newest);
    // The next event refers to a missing one.
    let next = [
        log.publish("x", "next").await,
        log.publish("y", "next").await,
    ];
    println!("next {next:?}");
    let mut gone = 0;
    for (n, id) in ids.iter().enumerate() {
        let topic = ["x", "y"][n % 2];
        let Some(events) = log.after(topic, *id).await else {
            gone += 1;
            continue;
        };
        let rest = ids.iter().skip(n + 2).step_by(2).copied();
        let rest: Vec<_> = rest.chain([next[n % 2]]).collect();
        let found: Vec<_> = events.iter().map(|event| event.id).collect();
        // Or no events are left.
        let is_whole = found == rest || path.join("damaged-1").exists();
        let counts = (found.len(), rest.len());
        assert!(
            is_whole,
            "{topic} after {id}: silently lost, {counts:?}, {:?} {:?}",
            found.first(),
            found.last()
        );
    }
    println!("{gone} gone");
    assert!(gone > 0 || path.join("damaged-1").exists());
    let quiet = log.after("quiet", quiet).await;
    assert_eq!(quiet.map(|events| events.len()), (!told).then_some(0));
}

/// Links a folder and everything below it, which takes only a moment.
fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        // A file that was removed meanwhile is no longer needed.
        match from.is_dir() {
            true => link_all(&from, &to),
            false if from.ends_with("state") => drop(fs::copy(&from, &to)),
            false => drop(fs::hard_link(&from, &to)),
        }
    }
}
