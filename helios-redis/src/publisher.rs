//! Publishes events. Publishes at the same time share one call.

use std::sync::Arc;

use bytes::Bytes;
use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_http::sse::backplane::Publish;
use redis::{Script, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::failure::{down, not_published};
use crate::link::{Link, number_of};

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

async fn carry(link: Arc<Link>, mut queue: mpsc::Receiver<Waiting>) {
    let script = Script::new(concat!(
        include_str!("scripts/sequence.lua"),
        include_str!("scripts/publish.lua")
    ));
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(next) => Some(next),
            None => queue.recv().await,
        };
        let Some(first) = first else { return };
        let mut bytes = first.bytes.len();
        let mut batch = vec![first];
        while batch.len() < MOST {
            let Ok(waiting) = queue.try_recv() else { break };
            bytes += waiting.bytes.len();
            if bytes > MOST_BYTES {
                next = Some(waiting);
                break;
            }
            batch.push(waiting);
        }
        // Do not publish for callers that have given up.
        batch.retain(|waiting| !waiting.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        let answers = publish(&link, &script, &batch).await;
        for (n, waiting) in batch.into_iter().enumerate() {
            let answer = match &answers {
                Ok(answers) => answers.get(n).cloned().unwrap_or_else(unknown),
                Err(error) => Err(error.clone()),
            };
            let _ = waiting.answer.send(answer);
        }
    }
}

fn unknown() -> Answer {
    Err(BackplaneErrorKind::Unknown.into())
}

async fn publish(
    link: &Link,
    script: &Script,
    batch: &[Waiting],
) -> Result<Vec<Answer>, BackplaneError> {
    let server = link.server()?;
    let keep = u64::try_from(link.startup.keep_keys.as_millis()).unwrap_or(u64::MAX);
    let mut call = link.of_sequence(script, &server);
    call.arg(keep.clamp(1, MAX_AGE));
    for waiting in batch {
        call.arg(&waiting.topic)
            .arg(&waiting.key)
            .arg(u8::from(waiting.finishes))
            .arg(waiting.events)
            .arg(waiting.age)
            .arg(&waiting.bytes[..]);
    }
    let mut connection = server.questions.clone();
    let answer = call.invoke_async::<Vec<Value>>(&mut connection).await;
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
