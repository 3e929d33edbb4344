//! The publishers and the readers.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use helios::sse::{Decoded, DecodedEvent, EventId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::judge::{Answers, Seen, Text};
use super::{PUBLISHERS, READERS, TOPICS};
use crate::Error;
use crate::control;
use crate::kind::Kind;
use crate::stream::{Answer, End, Request, Stream};

/// A killed server is back within this time, and an open stream has a keep-alive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a client retries when there is no server.
const AGAIN: Duration = Duration::from_millis(20);

/// The longest pause between two events of a publisher, in milliseconds.
const PAUSE: u64 = 30;

pub(super) struct Shared {
    server: SocketAddr,
    is_over: AtomicBool,
    published: AtomicU64,
    ready: AtomicUsize,
    /// How far each reader has come.
    positions: Vec<AtomicU64>,
    leave: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            is_over: AtomicBool::new(false),
            published: AtomicU64::new(0),
            ready: AtomicUsize::new(0),
            positions: (0..READERS).map(|_| AtomicU64::new(0)).collect(),
            leave: watch::Sender::new(false),
        }
    }

    pub(super) async fn all_are_ready(&self, readers: usize) -> Result<(), Error> {
        let all = async {
            while self.ready.load(Ordering::Relaxed) < readers {
                sleep(AGAIN).await;
            }
        };
        let came = timeout(PATIENCE, all).await;
        came.map_err(|_| "a reader does not come".into())
    }

    /// Waits until there are more than `before`.
    pub(super) async fn publishes_again(&self, before: u64) -> Result<(), Error> {
        let more = async {
            while self.published() == before {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let came = timeout(PATIENCE, more).await;
        came.map_err(|_| "a new server publishes nothing".into())
    }

    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub(super) fn stop_publishing(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Waits until each reader has the last event of its topics, and then makes them leave. Returns whether all have
    /// come that far.
    pub(super) async fn settle(&self, last: &[Option<u64>], within: Duration) -> bool {
        let is_behind = |(name, at): (usize, &AtomicU64)| {
            let wanted = topics_of(name).into_iter().filter_map(|topic| last[topic]);
            wanted.max() > Some(at.load(Ordering::Relaxed))
        };
        let all = async {
            while self.positions.iter().enumerate().any(is_behind) {
                sleep(AGAIN).await;
            }
        };
        let settled = timeout(within, all).await.is_ok();
        self.leave.send_replace(true);
        settled
    }
}

fn topic(n: usize) -> String {
    format!("t{n}")
}

/// Returns one to three topics. Each topic has several readers.
fn topics_of(reader: usize) -> BTreeSet<usize> {
    (0..=reader % 3)
        .map(|n| (reader + n * 3) % TOPICS)
        .collect()
}

pub(super) struct Publisher {
    name: usize,
    shared: Arc<Shared>,
    rng: Rng,
    answers: Answers,
}

impl Publisher {
    pub(super) fn new(name: usize, shared: Arc<Shared>, rng: Rng) -> Self {
        Self {
            name,
            shared,
            rng,
            answers: Answers::default(),
        }
    }

    pub(super) async fn run(mut self) -> Answers {
        let publisher = u32::try_from(self.name).unwrap_or_default();
        for n in 0.. {
            if self.shared.is_over.load(Ordering::Relaxed) {
                break;
            }
            let topic = self.rng.usize(..TOPICS);
            self.say(topic, Text { publisher, n }).await;
            let pause = Duration::from_millis(self.rng.u64(..PAUSE));
            sleep(pause).await;
        }
        self.answers
    }

    /// Publishes a text. Half of the publishers retry with a key until it is there, exactly once. The others never
    /// know.
    async fn say(&mut self, topic_of: usize, text: Text) {
        let once = self.name < PUBLISHERS / 2;
        let target = format!("/say?topic={}&once={once}&text={text}", topic(topic_of));
        loop {
            match control::ask(self.shared.server, "POST", &target).await {
                Ok(body) => {
                    let id = body.strip_suffix('\n').and_then(|id| id.parse().ok());
                    if let Some(id) = id {
                        self.shared.published.fetch_add(1, Ordering::Relaxed);
                        self.answers.unknown.remove(&text);
                        return self.answers.ok.push((topic_of, text, id));
                    }
                }
                Err(error) if was_cut(&error) => {}
                Err(error) => {
                    eprintln!("refused: {error}");
                    self.answers.refused += 1;
                }
            }
            self.answers.unknown.insert(text);
            if !once {
                return;
            }
            sleep(AGAIN).await;
        }
    }
}

/// Returns whether the server was down, or went down during the request.
fn was_cut(error: &Error) -> bool {
    error.is::<io::Error>() || error.to_string() == "no answer"
}

pub(super) struct Reader {
    name: usize,
    shared: Arc<Shared>,
    rng: Rng,
    last: Option<EventId>,
    seen: Seen,
}

impl Reader {
    pub(super) fn new(name: usize, shared: Arc<Shared>, rng: Rng) -> Self {
        Self {
            name,
            shared,
            rng,
            last: None,
            seen: Seen {
                topics: topics_of(name).into_iter().collect(),
                ..Seen::default()
            },
        }
    }

    /// Reconnects with its id again and again, until it has to leave.
    pub(super) async fn run(mut self) -> Seen {
        let mut leave = self.shared.leave.subscribe();
        loop {
            let stays = tokio::select! {
                _ = leave.wait_for(|leave| *leave) => return self.seen,
                stays = self.connect() => stays,
            };
            if stays.is_err() {
                sleep(AGAIN).await;
            }
        }
    }

    /// Reads one connection until the server ends it or the reader has to leave.
    async fn connect(&mut self) -> Result<(), Error> {
        let topics: Vec<_> = self.seen.topics.iter().map(|n| topic(*n)).collect();
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let request = Request {
            kind: Kind::Full.traits(),
            topics: &topics,
            earliest: false,
            wait: None,
            last_event_id: self.last.map(|id| id.to_string()),
        };
        let mut stream = Stream::ask(self.shared.server, &request).await?;
        let Answer::Open(_) = timeout(PATIENCE, stream.head()).await?? else {
            return Err("the connection is refused".into());
        };
        self.seen.connections += 1;
        let until = Instant::now() + Duration::from_millis(self.rng.u64(500..15_000));
        let resumes = self.last.is_some();
        let mut is_first = true;
        loop {
            let item = tokio::select! {
                () = sleep_until(until) => return Ok(()),
                item = timeout(PATIENCE, stream.next()) => item,
            };
            let item: Result<Decoded, End> = match item {
                Ok(item) => item,
                Err(_) => {
                    self.seen.hangs += 1;
                    return Ok(());
                }
            };
            let Ok(item) = item else { return Ok(()) };
            if let Decoded::Event(event) = item {
                self.take(&event, resumes && std::mem::take(&mut is_first))?;
            }
        }
    }

    fn take(&mut self, event: &DecodedEvent, must_resume: bool) -> Result<(), Error> {
        let is_ready = event.event == "helios:ready";
        let is_resumed = event.data.contains("\"resumed\":true");
        if event.event == "helios:reset" || (must_resume && !(is_ready && is_resumed)) {
            self.seen.resets += 1;
            eprintln!(
                "reader {} at {:?}: {} {}",
                self.name, self.last, event.event, event.data
            );
        }
        if event.event == "message" {
            match Text::parse(&event.data) {
                Some(text) => self.seen.events.push((event.id.parse()?, text)),
                None => self.seen.damaged += 1,
            }
        }
        if !event.id.is_empty() {
            let id: EventId = event.id.parse()?;
            if self.last.replace(id).is_none() {
                self.shared.ready.fetch_add(1, Ordering::Relaxed);
            }
            self.shared.positions[self.name].store(id.seq(), Ordering::Relaxed);
        }
        Ok(())
    }
}
