//! [`Log`], and its implementation of [`Backplane`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use helios_core::hub::EventId;
use helios_http::sse::backplane::{
    Ask, Backplane, BackplaneError, BackplaneErrorKind, BoxFuture, History, NodeId, Publish,
    Started, Startup, Status, Tables, Watched,
};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::error::{LogError, too_long, with_causes};
use crate::folder::{Folder, boot};
use crate::history::{Question, read_ends, watch};
use crate::machine::Machine;
use crate::members::Members;
use crate::opening::{self, Opened, Opening};
use crate::sequence::Event;
use crate::shared::Shared;
use crate::store::fits;
use crate::writer::{Durability, Message, Request, Writer};

/// The most events that wait to be published. Later publishers wait for a place.
const LONGEST_QUEUE: usize = 1024;

/// Long enough for a replaced process to end: the longest default drain, and a little more.
const WAIT_FOR: Duration = Duration::from_secs(35);

const MAX_BYTES: u64 = 1 << 30;

/// An event log that keeps the history of an app in a folder, so that it outlives the process.
///
/// One process uses the folder at a time. Each event whose publish returned `Ok` is present when the folder is opened
/// again, as [`Durability`] describes, and clients resume where they were. If the event log cannot promise that, for
/// example after a power loss or when a file was damaged, it begins another sequence. It keeps the history that can be
/// read, and each client receives a `helios:reset`, because it may have missed something. [`Log::new_epoch`] lists the
/// other reasons for a new sequence.
///
/// Each topic is kept up to its [limits](helios_core::hub::HistoryLimits), by count and by age, and all topics together
/// up to [`Log::max_bytes`]. The log remembers the last ids of 50,000 topics that have no events any more. Beyond that
/// number, clients of such topics receive a reset when they come back, because they may have missed something.
///
/// While the disk is full, publishing fails with [`Full`](BackplaneErrorKind::Full), but history can be read. An app
/// also starts on a full disk, and publishing continues by itself when there is room. After any other failure to write,
/// publishing fails with [`Down`](BackplaneErrorKind::Down) until the process is restarted, and that start begins
/// another sequence.
///
/// ```
/// use std::time::Duration;
///
/// use helios::log::{Durability, Log};
///
/// let log = Log::open("data/sse")
///     .durability(Durability::Always)
///     .wait_for(Duration::from_secs(60))
///     .max_bytes(4 << 30);
/// ```
pub struct Log {
    path: PathBuf,
    durability: Durability,
    wait_for: Duration,
    max_bytes: u64,
    new_epoch: bool,
    machine: Machine,
    running: OnceLock<Running>,
}

/// The state of a log that has been started.
struct Running {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    members: Members,
    /// Places for events that wait.
    places: Arc<Semaphore>,
}

impl Log {
    /// Creates an event log in this folder. When the app starts, it opens the folder, or creates it if it does not
    /// exist. Before that, nothing is touched.
    #[must_use]
    pub fn open(folder: impl AsRef<Path>) -> Self {
        Self {
            path: folder.as_ref().to_owned(),
            durability: Durability::default(),
            wait_for: WAIT_FOR,
            max_bytes: MAX_BYTES,
            new_epoch: false,
            machine: Machine {
                boot: boot(),
                now: SystemTime::now,
                disk: |_| Ok(()),
            },
            running: OnceLock::new(),
        }
    }

    /// Sets when a publish returns. Default: [`Durability::Os`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how long to wait for another process that holds the folder, such as the one that a deploy replaces. If that
    /// process does not end in time, the app does not start ([`LogError::Held`]). Default: 35 s.
    #[must_use]
    pub fn wait_for(mut self, limit: Duration) -> Self {
        self.wait_for = limit;
        self
    }

    /// Sets how many bytes of events are kept, of all topics together. The oldest events are dropped first. The size of
    /// an event is its payload, the name of its topic, and 51 bytes. The folder can be larger, up to twice this limit
    /// plus 200 MB. Default: 1 GiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Begins another sequence at each start, and resets all clients, because they may have missed something. Use it
    /// for the first start on a folder that was restored from a snapshot of the disk, or from a backup that was copied
    /// over it. Nothing else distinguishes it from the original, so ids would be given out a second time.
    ///
    /// Without this option, another sequence begins by itself in these cases:
    ///
    /// * The folder is a copy. Its file `lock` then has another inode, so a backup that is copied over the folder, with
    ///   `cp` or `rsync`, counts as the original. On systems other than Unix, no copy is detected.
    /// * Events are missing, or the store is damaged.
    /// * The last process could not write.
    /// * The machine was restarted before the process had ended, unless [`Durability::Always`] was in force. Only Linux
    ///   distinguishes boots. On other systems, a process that did not shut down cleanly, as after a `kill -9`, counts
    ///   as one before another boot.
    #[must_use]
    pub fn new_epoch(mut self) -> Self {
        self.new_epoch = true;
        self
    }

    #[cfg(test)]
    pub(crate) fn on(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    fn running(&self) -> Result<&Running, BackplaneError> {
        match self.running.get() {
            None => Err(down("it is not started")),
            Some(running) if running.shared.is_down.load(Ordering::Acquire) => Err(down(
                "the event log has failed or stopped; see the error logged before",
            )),
            Some(running) => Ok(running),
        }
    }

    /// Opens the folder on the thread that will write, and returns the newest id.
    async fn try_start(&self, startup: Startup) -> Result<EventId, BackplaneError> {
        let (messages, received) = mpsc::channel();
        let (answer, answered) = oneshot::channel();
        let setup = Setup {
            path: self.path.clone(),
            wait_for: self.wait_for,
            new_epoch: self.new_epoch,
            durability: self.durability,
            max_bytes: self.max_bytes,
            machine: self.machine,
            startup,
            runtime: Handle::current(),
        };
        let thread = thread::Builder::new().name("helios-log".to_owned());
        let spawned = thread.spawn(move || setup.run(&received, answer));
        spawned.map_err(|error| BackplaneError::new(BackplaneErrorKind::Down, error))?;
        let opened = answered.await.unwrap_or_else(|_| Err(None));
        let shared = opened.map_err(|error| match error {
            Some(error) => BackplaneError::new(BackplaneErrorKind::Down, error),
            None => down("it was stopped while it started"),
        })?;
        let newest = {
            let sequence = shared.sequence();
            sequence.id(sequence.head.newest)
        };
        let (members, store) = (Members::new(messages.clone()), Arc::clone(&shared));
        let restored = spawn_blocking(move || restored(members, &store));
        let running = Running {
            members: restored.await.map_err(|_| down("the store panicked"))?,
            shared,
            messages,
            places: Arc::new(Semaphore::new(LONGEST_QUEUE)),
        };
        match self.running.set(running) {
            Ok(()) => Ok(newest),
            Err(_) => Err(down("it was started twice")),
        }
    }

    /// Sends an event to the writer. The answers arrive later, in the order of the events.
    async fn send(
        &self,
        publish: Publish<'_>,
    ) -> Result<oneshot::Receiver<Result<EventId, BackplaneError>>, BackplaneError> {
        let running = self.running()?;
        if !fits(publish.topic, publish.key.unwrap_or_default()) {
            return Err(too_long());
        }
        let place = Arc::clone(&running.places).acquire_owned().await;
        let (answer, answered) = oneshot::channel();
        let request = Request {
            event: Event {
                topic: publish.topic.into(),
                bytes: publish.bytes,
                limits: publish.limits,
                finishes: publish.finishes,
                key: publish.key.map(str::to_owned),
            },
            answer,
            _permit: place.map_err(|_| down("it has stopped"))?,
        };
        let sent = running.messages.send(Message::Publish(request));
        sent.map_err(|_| down("it has stopped"))?;
        Ok(answered)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("path", &self.path)
            .field("durability", &self.durability)
            .field("wait_for", &self.wait_for)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// Adds the members that the last process published.
fn restored(members: Members, shared: &Shared) -> Members {
    if let Err(error) = shared.in_store(|store| members.restore(store)) {
        let error = with_causes(&error);
        tracing::error!(
            error,
            "the members of the last run cannot be read, so topics do not learn that they are lost"
        );
    }
    members
}

/// The initial state of the writer's thread.
struct Setup {
    path: PathBuf,
    wait_for: Duration,
    new_epoch: bool,
    durability: Durability,
    max_bytes: u64,
    machine: Machine,
    startup: Startup,
    runtime: Handle,
}

type Answer = Result<Arc<Shared>, Option<LogError>>;

impl Setup {
    fn run(self, messages: &Receiver<Message>, answer: oneshot::Sender<Answer>) {
        // The hub spawns tasks when it receives an event.
        let _entered = self.runtime.enter();
        match self.open(|| !answer.is_closed()) {
            Ok(Some(writer)) => {
                if answer.send(Ok(Arc::clone(&writer.shared))).is_ok() {
                    writer.run(messages);
                }
            }
            Ok(None) => drop(answer.send(Err(None))),
            Err(error) => drop(answer.send(Err(Some(error)))),
        }
    }

    fn open(&self, is_wanted: impl Fn() -> bool) -> Result<Option<Writer>, LogError> {
        let Some(mut folder) = Folder::open(&self.path, self.wait_for, is_wanted)? else {
            return Ok(None);
        };
        let opening = Opening {
            boot: self.machine.boot,
            always: self.durability == Durability::Always,
            new_epoch: self.new_epoch,
            now: self.machine.now,
        };
        let Opened {
            store,
            sequence,
            mark,
            clock,
            why,
            amends,
        } = opening::open(&mut folder, &opening, &self.startup)?;
        let (path, newest) = (self.path.display(), sequence.id(sequence.head.newest));
        match why {
            Some(why) => {
                tracing::warn!(%path, %newest, %why, "the event log begins another sequence, so all clients are reset");
            }
            None => tracing::info!(%path, %newest, "the event log is open"),
        }
        let shared = Shared::new(store, sequence, clock);
        let writer = Writer::new(
            Arc::new(shared),
            folder,
            mark,
            self.machine,
            self.startup.clone(),
            self.durability,
            self.max_bytes,
        );
        Ok(Some(match amends {
            Some(amends) => writer.waiting_for_room(amends),
            None => writer,
        }))
    }
}

fn down(text: &str) -> BackplaneError {
    BackplaneError::new(BackplaneErrorKind::Down, text)
}

fn unknown() -> BackplaneError {
    BackplaneErrorKind::Unknown.into()
}

impl Backplane for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        Box::pin(async move { Ok(Started::at(self.try_start(startup).await?)) })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(running) = self.running.get() else {
                return;
            };
            // No other publisher follows.
            running.places.close();
            let (answer, answered) = oneshot::channel();
            if running.messages.send(Message::Stop(answer)).is_ok() {
                // An error means that the writer has already stopped.
                let _ = answered.await;
            }
        })
    }

    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        Box::pin(async move {
            let answered = self.send(event).await?;
            answered.await.unwrap_or_else(|_| Err(unknown()))
        })
    }

    fn publish_all<'a>(
        &'a self,
        events: Vec<Publish<'a>>,
    ) -> BoxFuture<'a, Vec<Result<EventId, BackplaneError>>> {
        Box::pin(async move {
            let mut sent = Vec::with_capacity(events.len());
            for event in events {
                sent.push(self.send(event).await);
            }
            let mut answers = Vec::with_capacity(sent.len());
            for answered in sent {
                answers.push(match answered {
                    Ok(answered) => answered.await.unwrap_or_else(|_| Err(unknown())),
                    Err(error) => Err(error),
                });
            }
            answers
        })
    }

    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        Box::pin(async move {
            let shared = Arc::clone(&self.running()?.shared);
            let question = Question::from(ask);
            let answer = spawn_blocking(move || question.answer(&shared));
            answer
                .await
                .unwrap_or_else(|_| Err(down("the store panicked")))
        })
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(async move {
            let running = self.running()?;
            let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
            let shared = Arc::clone(&running.shared);
            let (mut watched, finished) = watch(&shared, &topics, running.shared.clock.now());
            if finished.is_empty() {
                return Ok(watched);
            }
            let read = spawn_blocking(move || {
                read_ends(&shared, &topics, &finished, &mut watched)?;
                Ok(watched)
            });
            read.await
                .unwrap_or_else(|_| Err(down("the store panicked")))
        })
    }

    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(async move {
            let mut sequence = self.running()?.shared.sequence();
            for topic in topics {
                sequence.watched.remove(*topic);
            }
            Ok(())
        })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        // No other process calls this.
        Box::pin(async { Ok(()) })
    }

    fn is_alive(&self, _: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        // There is no other node.
        Box::pin(async { Ok(false) })
    }

    fn tables(&self) -> Option<&dyn Tables> {
        let running = self.running.get()?;
        Some(&running.members)
    }

    fn status(&self) -> Status {
        match self.running.get() {
            Some(running) if !running.shared.is_down.load(Ordering::Acquire) => Status::Up,
            _ => Status::Down,
        }
    }
}
