//! Tests of `kill -9` at random moments, under load. Every event that was answered must be present, and no client
//! reset.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use helios::backplane::{Ask, Backplane, History, Publish};
use helios::sse::EventId;
use tokio::task::JoinSet;

use super::support::{EVERYTHING, Running, always, log, rounds, text};

/// The variable with the child's folder.
const CHILD: &str = "HELIOS_LOG_CHILD";

/// The variable that says whether the child always syncs.
const ALWAYS: &str = "HELIOS_LOG_ALWAYS";

const TOPICS: usize = 5;

/// The number of publishers in the child.
const PUBLISHERS: usize = 16;

/// Publishes until it is killed, and prints which events were answered and which were handed over.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_publishes_until_it_is_killed() {
    let Some(folder) = env::var_os(CHILD) else {
        return;
    };
    let folder = Path::new(&folder);
    let log = match env::var_os(ALWAYS) {
        Some(_) => always(folder),
        None => log(folder),
    };
    let log = Arc::new(Running::start(log).await.unwrap());
    let topics: Vec<_> = (0..TOPICS).map(|n| format!("t{n}")).collect();
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    log.log.watch(&names).await.unwrap();
    let told = Arc::new(Mutex::new(()));
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (log, told, topic) = (
            Arc::clone(&log),
            Arc::clone(&told),
            topics[publisher % TOPICS].clone(),
        );
        publishers.spawn(async move {
            for n in 0.. {
                let text = format!("{}-{publisher}-{n}", log.newest.seq());
                let key = (n % 4 == 0).then_some(text.as_str());
                let publish = Publish::new(&topic, text.clone().into(), EVERYTHING).with_key(key);
                let Ok(id) = log.send(publish).await else {
                    return;
                };
                say(&log, &told, &format!("\nok {topic} {id} {text}\n"));
            }
        });
    }
    publishers.join_all().await;
}

/// Prints one answer, behind everything that was handed over before.
fn say(log: &Running, told: &Mutex<()>, answer: &str) {
    let _one_by_one = told.lock().unwrap();
    let mut lines = String::new();
    for seen in log.take_seen() {
        lines += &format!("\nseen {} {} {}", seen.topic, seen.id, seen.text);
    }
    lines += answer;
    // The reader is gone, so the process is about to be killed.
    let _ = std::io::stdout().write_all(lines.as_bytes());
}

/// Kills a child once it has printed this many answers, and returns everything that it printed.
fn child(folder: &Path, is_always: bool, answers: usize) -> Vec<(String, EventId, String)> {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "kill::the_child_publishes_until_it_is_killed",
            "--nocapture",
        ])
        .env(CHILD, folder)
        .stdout(Stdio::piped());
    if is_always {
        command.env(ALWAYS, "1");
    }
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let (mut told, mut left) = (Vec::new(), answers);
    let mut line = String::new();
    while said.read_line(&mut line).unwrap() > 0 {
        // A line that was cut by the kill counts for nothing.
        if line.ends_with('\n')
            && let [kind @ ("ok" | "seen"), topic, id, text] =
                &line.split_whitespace().collect::<Vec<_>>()[..]
        {
            told.push(((*topic).to_owned(), id.parse().unwrap(), (*text).to_owned()));
            left = left.saturating_sub(usize::from(*kind == "ok"));
        }
        line.clear();
        if left == 0 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert_eq!(left, 0, "the child ended before it was killed");
    told
}

/// Returns all events of a topic after an id, page by page.
async fn after(log: &Running, topic: &str, mut after: EventId) -> Vec<(EventId, String)> {
    let mut all = Vec::new();
    loop {
        let ask = Ask::after(topic, after).at_most(1000, usize::MAX);
        let History::Events { events, more, .. } = log.log.history(ask).await.unwrap() else {
            panic!("it was reset");
        };
        all.extend(events.iter().map(|event| (event.id, text(event))));
        match all.last() {
            Some((last, _)) if more => after = *last,
            _ => return all,
        }
    }
}

async fn kill_it(is_always: bool, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let seed = fastrand::get_seed();
    println!("seed {seed}");
    let mut texts: HashMap<EventId, String> = HashMap::new();
    let mut newest: Option<EventId> = None;
    for round in 0..rounds {
        let told = child(folder.path(), is_always, fastrand::usize(1..400));
        let log = Running::open(folder.path()).await;
        let epoch = told[0].1.epoch();
        assert_eq!(log.newest.epoch(), epoch, "round {round}: all are reset");
        let before = newest.unwrap_or(EventId::new(epoch, 0));
        assert_eq!(before.epoch(), epoch);
        for topic in (0..TOPICS).map(|n| format!("t{n}")) {
            for (id, text) in after(&log, &topic, before).await {
                assert_eq!(texts.insert(id, text), None, "an id of two events");
            }
        }
        for (topic, id, text) in told {
            let there = texts.get(&id);
            assert_eq!(there, Some(&text), "round {round}: {topic} {id} is lost");
        }
        newest = Some(log.newest);
        log.stop().await;
    }
    let mut ids: Vec<_> = texts.keys().map(|id| id.seq()).collect();
    ids.sort_unstable();
    assert_eq!(ids.len() as u64, newest.unwrap().seq(), "there are holes");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answered_event_survives_kill_9_with_its_id() {
    kill_it(false, rounds(40, 900)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_where_everything_is_synced() {
    kill_it(true, rounds(10, 100)).await;
}
