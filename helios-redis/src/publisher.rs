//! Publishes events. Publishes at the same time share one call.
//!
//! # Why events keep their order
//!
//! Redis answers the calls of one connection in their order. While events wait for a call, two are under way, so that
//! Redis need not wait for the next one. Each of them then contains the script itself. Redis might have forgotten a
//! script that is called by its hash, and such a call would be repeated behind a later one.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_http::sse::backplane::Publish;
use redis::{RedisError, Script, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::failure::{down, not_published};
use crate::link::{Link, number_of};
use crate::server::Server;

const SCRIPT: &str = concat!(
    include_str!("scripts/sequence.lua"),
    include_str!("scripts/publish.lua")
);

/// The most calls under way. Further events wait, and share the next call.
const CALLS: usize = 2;

/// The largest number of events in one call.
const MOST: usize = 64;

/// The largest number of bytes in one call, unless a single event is larger.
const MOST_BYTES: usize = 1 << 20;

/// The length of the queue. Further publishes wait until there is room.
const WAITING: usize = 4_096;

/// The size of the queue in KiB. A larger event waits alone.
const WAITING_KIB: u32 = 64 << 10;

type Answer = Result<EventId, BackplaneError>;

pub(crate) struct Publisher {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

struct Waiting {
    topic: String,
    key: String,
    finishes: bool,
    events: usize,
    age: u64,
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
    answer: oneshot::Sender<Answer>,
}

impl Publisher {
    /// Creates a publisher, and the future that sends its events while it is polled.
    pub(crate) fn new(link: Arc<Link>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let room = Arc::new(Semaphore::new(WAITING_KIB as usize));
        (Self { queue, room }, carry(link, waiting))
    }

    pub(crate) async fn publish(&self, publish: &Publish<'_>) -> Answer {
        let answered = self.send(publish).await?;
        answered
            .await
            .unwrap_or_else(|_| Err(BackplaneErrorKind::Unknown.into()))
    }

    /// Queues an event behind all earlier ones. The receiver gets the answer.
    pub(crate) async fn send(
        &self,
        publish: &Publish<'_>,
    ) -> Result<oneshot::Receiver<Answer>, BackplaneError> {
        let stopped = || down("it has stopped");
        let kib = u32::try_from(publish.bytes.len() >> 10).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(kib.clamp(1, WAITING_KIB));
        let room = room.await.map_err(|_| stopped())?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            topic: publish.topic.to_owned(),
            key: publish.key.unwrap_or_default().to_owned(),
            finishes: publish.finishes,
            events: publish.limits.events.clamp(1, MOST_KEPT),
            age: u64::try_from(publish.limits.age.as_millis())
                .unwrap_or(u64::MAX)
                .clamp(1, MAX_AGE),
            bytes: publish.bytes.clone(),
            _room: room,
            answer,
        };
        let sent = self.queue.send(waiting).await;
        sent.map_err(|_| stopped())?;
        Ok(answered)
    }
}

/// The largest number of events of a topic: more than Redis has room for, and a number that a script does not round.
const MOST_KEPT: usize = i32::MAX as usize;

/// The longest time for which Redis keeps anything, in ms: a thousand years.
const MAX_AGE: u64 = 1_000 * 365 * 24 * 60 * 60 * 1_000;

/// The events that are taken from the queue and not sent yet.
struct Gathered {
    queue: mpsc::Receiver<Waiting>,
    /// Those of the next call, with their size in bytes.
    events: Vec<Waiting>,
    bytes: usize,
    /// The event for which that call has no room.
    next: Option<Waiting>,
    /// Whether no more events come.
    is_over: bool,
}

impl Gathered {
    fn new(queue: mpsc::Receiver<Waiting>) -> Self {
        Self {
            queue,
            events: Vec::new(),
            bytes: 0,
            next: None,
            is_over: false,
        }
    }

    fn is_full(&self) -> bool {
        self.next.is_some() || self.events.len() >= MOST
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn push(&mut self, waiting: Waiting) {
        let bytes = self.bytes + waiting.bytes.len();
        if bytes > MOST_BYTES && !self.is_empty() {
            self.next = Some(waiting);
            return;
        }
        self.bytes = bytes;
        self.events.push(waiting);
    }

    /// Takes what is in the queue now, as far as the next call has room.
    fn fill(&mut self) {
        while !self.is_full()
            && let Ok(waiting) = self.queue.try_recv()
        {
            self.push(waiting);
        }
    }

    /// Waits for one more event. Cancel-safe.
    async fn receive(&mut self) {
        match self.queue.recv().await {
            Some(waiting) => self.push(waiting),
            None => self.is_over = true,
        }
    }

    /// Returns the events of the next call, without those of callers that have given up.
    fn take(&mut self) -> Vec<Waiting> {
        self.bytes = 0;
        let mut events = mem::take(&mut self.events);
        if let Some(next) = self.next.take() {
            self.push(next);
        }
        events.retain(|waiting| !waiting.answer.is_closed());
        events
    }
}

/// The way in which a call names the script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// By its hash, which is short. Redis may have forgotten the script.
    Hash,
    Text,
}

async fn carry(link: Arc<Link>, queue: mpsc::Receiver<Waiting>) {
    let script = Script::new(SCRIPT);
    let mut gathered = Gathered::new(queue);
    let mut calls = FuturesOrdered::new();
    // How the calls under way name the script.
    let mut naming = Naming::Hash;
    loop {
        gathered.fill();
        if is_due(&gathered, calls.len(), naming) {
            naming = match gathered.is_full() {
                true => Naming::Text,
                false => Naming::Hash,
            };
            calls.push_back(call(&link, &script, naming, gathered.take()));
        }
        if gathered.is_over && gathered.is_empty() && calls.is_empty() {
            return;
        }
        tokio::select! {
            Some(()) = calls.next(), if !calls.is_empty() => {}
            () = gathered.receive(), if !gathered.is_full() && !gathered.is_over => {}
        }
    }
}

/// Whether the gathered events are sent now, while so many calls are under way.
fn is_due(gathered: &Gathered, calls: usize, naming: Naming) -> bool {
    match calls {
        0 => !gathered.is_empty(),
        // Without a backlog, events wait for the answer, and more of them share a call.
        1..CALLS => gathered.is_full() && naming == Naming::Text,
        _ => false,
    }
}

/// Publishes these events, and answers their callers.
async fn call(link: &Link, script: &Script, naming: Naming, events: Vec<Waiting>) {
    if events.is_empty() {
        return;
    }
    let answers = publish(link, script, naming, &events).await;
    for (n, waiting) in events.into_iter().enumerate() {
        let answer = match &answers {
            Ok(answers) => answers.get(n).cloned().unwrap_or_else(unknown),
            Err(error) => Err(error.clone()),
        };
        // The caller may have given up.
        let _ = waiting.answer.send(answer);
    }
}

fn unknown() -> Answer {
    Err(BackplaneErrorKind::Unknown.into())
}

async fn publish(
    link: &Link,
    script: &Script,
    naming: Naming,
    events: &[Waiting],
) -> Result<Vec<Answer>, BackplaneError> {
    let server = link.server()?;
    let mut answer = run(link, &server, script, naming, events).await;
    if naming == Naming::Hash
        && let Err(error) = &answer
        && error.code() == Some("NOSCRIPT")
    {
        answer = run(link, &server, script, Naming::Text, events).await;
    }
    let answer = answer.map_err(|error| {
        link.failed(&server, &error);
        not_published(error)
    })?;
    let mut answer = answer.iter().map(number_of);
    let epoch = answer.next().flatten();
    let epoch = epoch.ok_or(BackplaneErrorKind::Unknown)?;
    let answers = answer.map(|number| match number {
        Some(0) => Err(BackplaneErrorKind::Finished.into()),
        Some(seq) => Ok(EventId::new(epoch, seq)),
        None => unknown(),
    });
    let answers: Vec<Answer> = answers.collect();
    let newest = answers.iter().rev().find_map(|answer| answer.as_ref().ok());
    if let Some(newest) = newest {
        link.saw(*newest);
    }
    Ok(answers)
}

/// Runs the script for these events.
async fn run(
    link: &Link,
    server: &Server,
    script: &Script,
    naming: Naming,
    events: &[Waiting],
) -> Result<Vec<Value>, RedisError> {
    let keep = u64::try_from(link.startup.keep_keys.as_millis()).unwrap_or(u64::MAX);
    let mut call = match naming {
        Naming::Hash => redis::cmd("EVALSHA").arg(script.get_hash()).to_owned(),
        Naming::Text => redis::cmd("EVAL").arg(SCRIPT).to_owned(),
    };
    call.arg(1)
        .arg(link.keys.sequence())
        .arg(&link.sequence_arguments(server))
        .arg(keep.clamp(1, MAX_AGE));
    for waiting in events {
        call.arg(&waiting.topic)
            .arg(&waiting.key)
            .arg(u8::from(waiting.finishes))
            .arg(waiting.events)
            .arg(waiting.age)
            .arg(&waiting.bytes[..]);
    }
    call.query_async(&mut server.questions.clone()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(events: usize) -> Gathered {
        let (_, queue) = mpsc::channel(1);
        let mut gathered = Gathered::new(queue);
        let room = Arc::new(Semaphore::new(events));
        for _ in 0..events {
            gathered.push(Waiting {
                topic: "a".to_owned(),
                key: String::new(),
                finishes: false,
                events: 1,
                age: 1,
                bytes: vec![0; MOST_BYTES / 128].into(),
                _room: Arc::clone(&room).try_acquire_owned().unwrap(),
                answer: oneshot::channel().0,
            });
        }
        gathered
    }

    #[test]
    fn a_call_by_hash_is_under_way_alone() {
        for (events, calls, naming, due) in [
            (0, 0, Naming::Hash, false),
            (1, 0, Naming::Text, true),
            (1, 1, Naming::Text, false),
            (MOST, 1, Naming::Hash, false),
            (MOST, 1, Naming::Text, true),
            (MOST, 2, Naming::Text, false),
        ] {
            let is_due = is_due(&gathered(events), calls, naming);
            assert_eq!(is_due, due, "{events} events, {calls} calls");
        }
    }
}
