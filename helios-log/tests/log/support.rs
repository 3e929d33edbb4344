//! A log without a hub, and the events that it has handed over.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use helios::backplane::{
    Ask, Backplane, BackplaneError, BackplaneErrorKind, BackplaneEvent, BackplaneSink, History,
    NodeId, PastEvent, Publish, Startup, Status,
};
use helios::log::{Durability, Log};
use helios::sse::{EventId, HistoryLimits};

/// Limits under which nothing is forgotten.
pub(crate) const EVERYTHING: HistoryLimits = HistoryLimits {
    events: usize::MAX,
    age: Duration::from_secs(365 * 24 * 60 * 60),
};

/// An event that a sink has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) topic: String,
    pub(crate) id: EventId,
    pub(crate) text: String,
    pub(crate) prev: Option<EventId>,
}

/// A log that was started.
pub(crate) struct Running {
    pub(crate) log: Log,
    pub(crate) newest: EventId,
    seen: Arc<Mutex<Vec<Seen>>>,
    links: Arc<Mutex<Vec<Status>>>,
}

pub(crate) fn text(event: &PastEvent) -> String {
    String::from_utf8(event.bytes.to_vec()).unwrap()
}

/// Opens a log that does not wait long for the folder.
pub(crate) fn log(folder: &Path) -> Log {
    Log::open(folder).wait_for(Duration::from_secs(20))
}

impl Running {
    pub(crate) async fn start(log: Log) -> Result<Self, BackplaneError> {
        Self::start_with(log, |startup| startup).await
    }

    pub(crate) async fn start_with(
        log: Log,
        change: impl FnOnce(Startup) -> Startup,
    ) -> Result<Self, BackplaneError> {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let links: Arc<Mutex<Vec<Status>>> = Arc::default();
        let (seen_too, links_too) = (Arc::clone(&seen), Arc::clone(&links));
        let sink = BackplaneSink::new(move |event| {
            match event {
                BackplaneEvent::Event {
                    topic, event, prev, ..
                } => seen_too.lock().unwrap().push(Seen {
                    topic: topic.to_owned(),
                    id: event.id,
                    text: text(&event),
                    prev,
                }),
                BackplaneEvent::Link(status) => links_too.lock().unwrap().push(status),
                other => panic!("{other:?}"),
            }
            true
        });
        let startup = Startup::new(NodeId::new(7).unwrap(), sink).with_limits(|_| EVERYTHING);
        let started = log.start(change(startup)).await?;
        Ok(Self {
            log,
            newest: started.newest,
            seen,
            links,
        })
    }

    pub(crate) async fn open(folder: &Path) -> Self {
        Self::start(log(folder)).await.unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the events received since the last call.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    pub(crate) fn links(&self) -> Vec<Status> {
        self.links.lock().unwrap().clone()
    }

    pub(crate) async fn publish(&self, topic: &str, text: &str) -> EventId {
        self.try_publish(topic, text).await.unwrap()
    }

    pub(crate) async fn try_publish(
        &self,
        topic: &str,
        text: &str,
    ) -> Result<EventId, BackplaneErrorKind> {
        self.send(Publish::new(topic, text.to_owned().into(), EVERYTHING))
            .await
    }

    pub(crate) async fn send(&self, publish: Publish<'_>) -> Result<EventId, BackplaneErrorKind> {
        let published = self.log.publish(publish).await;
        published.map_err(|error| error.kind())
    }

    /// Returns all events after an id, or `None` if some may be forgotten.
    pub(crate) async fn after(&self, topic: &str, after: EventId) -> Option<Vec<PastEvent>> {
        match self.log.history(Ask::after(topic, after)).await.unwrap() {
            History::Events { events, more, .. } => {
                assert!(!more);
                Some(events)
            }
            _ => None,
        }
    }

    /// Returns all events of a topic that are left.
    pub(crate) async fn newest_of(&self, topic: &str) -> Vec<PastEvent> {
        match self.log.history(Ask::newest(topic)).await.unwrap() {
            History::Events { events, .. } => events,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn texts(&self, topic: &str) -> Vec<String> {
        self.newest_of(topic).await.iter().map(text).collect()
    }

    pub(crate) async fn stop(self) {
        self.log.stop().await;
    }
}

/// Waits until `is_so` returns true.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns how often to repeat a test. By default that is seldom, so that all tests take a minute. The variable
/// requests more.
pub(crate) fn rounds(few: usize, many: usize) -> usize {
    match std::env::var_os("HELIOS_LOG_LONG") {
        Some(_) => many,
        None => few,
    }
}

pub(crate) fn always(folder: &Path) -> Log {
    log(folder).durability(Durability::Always)
}

/// Copies a folder and everything below it.
pub(crate) fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        match from.is_dir() {
            true => copy_all(&from, &to),
            false => copy_file(&from, &to),
        }
    }
}

/// Copies the beginning of a file up to its trailing zeros, and sets its length. The store's journal is 64 MiB of
/// almost nothing.
fn copy_file(from: &Path, to: &Path) {
    let bytes = written(from);
    std::fs::write(to, bytes).unwrap();
    let length = std::fs::metadata(from).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(to).unwrap();
    file.set_len(length).unwrap();
}

/// Returns the bytes of a file before its trailing zeros, or of its beginning if the file is large.
pub(crate) fn written(path: &Path) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    file.take(8 << 20).read_to_end(&mut bytes).unwrap();
    // Skip block by block first, because without optimisation a byte at a time takes long.
    let zeros = [0; 4096];
    let mut blocks = bytes.chunks(zeros.len());
    let block = blocks.rposition(|block| block != &zeros[..block.len()]);
    bytes.truncate(block.map_or(0, |last| (last + 1) * zeros.len()));
    let length = bytes.iter().rposition(|byte| *byte != 0);
    bytes.truncate(length.map_or(0, |last| last + 1));
    bytes
}

/// Returns all files of a folder.
pub(crate) fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

impl Running {
    /// Returns all events of a topic that are left, `None` if some are missing, or why the topic cannot be read.
    pub(crate) async fn log_history(
        &self,
        topic: &str,
    ) -> Result<Option<Vec<PastEvent>>, BackplaneErrorKind> {
        match self.log.history(Ask::newest(topic)).await {
            Ok(History::Events { events, .. }) => Ok(Some(events)),
            Ok(_) => Ok(None),
            Err(error) => Err(error.kind()),
        }
    }
}

/// Returns text that cannot be compressed.
pub(crate) fn noise(length: usize) -> String {
    let letters = std::iter::repeat_with(fastrand::alphanumeric);
    letters.take(length).collect()
}
