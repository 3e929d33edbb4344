//! The link of a node: what is published comes through it, in order, and between the events the marks that tell a place.
//!
//! It is one connection, made anew when it breaks. Nothing resubscribes behind its back: whatever may have been lost in between, the
//! hub is told so, at its place.
//!
//! # Why an answer has its place
//!
//! A script tells what it finds, and publishes a mark to the node's own channel. Redis runs nothing beside a script, so what was
//! published before it has been pushed before the mark, and what is published after it comes behind. The answer is given when the mark
//! has come.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use helios_core::backplane::BackplaneError;
use helios_core::hub::EventId;
use helios_http::sse::backplane::{BackplaneEvent, Startup, Status, Watched, WatchedTopic};
use redis::{Client, PushInfo, PushKind, Script, Value};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::entry::{self, Entry};
use crate::failure::{down, failed};
use crate::keys::Keys;
use crate::server::{self, Server, ServerError};

/// How often the link is tried.
const PROBE: Duration = Duration::from_secs(5);

/// How long a mark may take. Two of them in a row that do not come break the link.
const MARK: Duration = Duration::from_secs(5);

/// The pauses between two attempts to connect: from the first, doubled, to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Channels that are subscribed to in one journey.
const PIECE: usize = 256;

pub(crate) struct Link {
    client: Client,
    pub(crate) keys: Keys,
    /// The name of a sequence outlives the server's run.
    keeps_everything: bool,
    pub(crate) startup: Startup,
    watch: Script,
    state: Mutex<State>,
    status: AtomicU8,
    marks: AtomicU64,
}

#[derive(Default)]
struct State {
    server: Option<Server>,
    watched: HashSet<String>,
    /// Who waits for a mark.
    waiting: HashMap<String, oneshot::Sender<()>>,
}

/// Why the link broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("the connection has ended")]
    Ended,
    #[error("Redis does not answer")]
    Silent,
    #[error("Redis has failed")]
    Failed(#[source] BackplaneError),
}

impl Link {
    pub(crate) fn new(
        client: Client,
        keys: Keys,
        keeps_everything: bool,
        startup: Startup,
    ) -> Self {
        Self {
            client,
            keys,
            keeps_everything,
            startup,
            watch: Script::new(include_str!("scripts/watch.lua")),
            state: Mutex::default(),
            status: AtomicU8::new(code(Status::Down)),
            marks: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> Status {
        match self.status.load(Ordering::Acquire) {
            0 => Status::Up,
            1 => Status::Suspect,
            _ => Status::Down,
        }
    }

    fn set_status(&self, status: Status) {
        if self.status.swap(code(status), Ordering::AcqRel) != code(status) {
            self.startup.sink.accept(BackplaneEvent::Link(status));
        }
    }

    /// The server that is asked now.
    pub(crate) fn server(&self) -> Result<Server, BackplaneError> {
        let server = self.lock().server.clone();
        server.ok_or_else(|| down("the link is down"))
    }

    /// What a sequence is bound to.
    pub(crate) fn run(&self, server: &Server) -> String {
        match self.keeps_everything {
            true => "kept".to_owned(),
            false => server.run.clone(),
        }
    }

    /// Connects for the first time, and gives the newest id. The rest is for [`Link::keep`].
    pub(crate) async fn open(
        self: &Arc<Self>,
    ) -> Result<(EventId, UnboundedReceiver<PushInfo>), Broken> {
        let (sender, mut pushes) = mpsc::unbounded_channel();
        let server = server::connect(&self.client, sender).await?;
        let newest = self.begin(server, &mut pushes).await?;
        Ok((newest, pushes))
    }

    /// Keeps the link up, for as long as somebody listens.
    pub(crate) async fn keep(self: Arc<Self>, mut pushes: UnboundedReceiver<PushInfo>) {
        loop {
            let broken = self.carry(&mut pushes).await;
            self.broke(&broken);
            pushes = self.reopen().await;
        }
    }

    fn broke(&self, broken: &Broken) {
        tracing::warn!(
            error = broken as &dyn std::error::Error,
            "the link to Redis broke"
        );
        let mut state = self.lock();
        state.server = None;
        // Who waits is told so.
        state.waiting.clear();
        drop(state);
        self.set_status(Status::Down);
    }

    /// Connects again, however often that fails, and tells the hub that anything may have been lost.
    async fn reopen(self: &Arc<Self>) -> UnboundedReceiver<PushInfo> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.open().await {
                Ok((newest, pushes)) => {
                    self.startup.sink.accept(BackplaneEvent::torn(newest));
                    return pushes;
                }
                Err(error) => {
                    self.lock().server = None;
                    tracing::debug!(error = &error as &dyn std::error::Error, "no link to Redis");
                }
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Subscribes to all that is watched, and gives the newest id at the place from which nothing is lost. What has come before it is
    /// not handed over: the hub asks for it.
    async fn begin(
        self: &Arc<Self>,
        server: Server,
        pushes: &mut UnboundedReceiver<PushInfo>,
    ) -> Result<EventId, Broken> {
        let mut channels: Vec<_> = {
            let state = self.lock();
            state
                .watched
                .iter()
                .map(|topic| self.keys.channel(topic))
                .collect()
        };
        channels.push(self.keys.marks(self.startup.node));
        self.subscribe(&server, "SSUBSCRIBE", &channels)
            .await
            .map_err(Broken::Failed)?;
        let mark = self.next_mark();
        let asked = self
            .ask(&server, &[], &mark)
            .await
            .map_err(Broken::Failed)?;
        let found = async {
            while let Some(push) = pushes.recv().await {
                match self.read(push) {
                    Some(Push::Mark(found)) if found == mark => return Ok(()),
                    Some(Push::End) => return Err(Broken::Ended),
                    _ => {}
                }
            }
            Err(Broken::Ended)
        };
        timeout(MARK, found).await.map_err(|_| Broken::Silent)??;
        self.lock().server = Some(server);
        self.set_status(Status::Up);
        Ok(asked.newest)
    }

    /// Hands over what comes, until the link breaks.
    async fn carry(self: &Arc<Self>, pushes: &mut UnboundedReceiver<PushInfo>) -> Broken {
        let mut probes = interval(PROBE);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        probes.tick().await;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                push = pushes.recv() => match push.map(|push| self.read(push)) {
                    None | Some(Some(Push::End)) => return Broken::Ended,
                    Some(None) => {}
                    Some(Some(Push::Event(topic, entry))) => self.hand(&topic, entry),
                    Some(Some(Push::Mark(mark))) => {
                        heard = Instant::now();
                        self.set_status(Status::Up);
                        if let Some(waiting) = self.lock().waiting.remove(&mark) {
                            let _ = waiting.send(());
                        }
                    }
                },
                _ = probes.tick() => {
                    let silent = heard.elapsed();
                    if silent > 2 * PROBE + PROBE / 2 {
                        return Broken::Silent;
                    }
                    if silent > PROBE + PROBE / 2 {
                        self.set_status(Status::Suspect);
                    }
                    self.probe();
                }
            }
        }
    }

    /// Sends a mark on its way. A server that has become another one is left.
    fn probe(self: &Arc<Self>) {
        let link = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(server) = link.server() else { return };
            let mark = link.next_mark();
            if let Err(error) = link.ask(&server, &[], &mark).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a probe failed");
            }
        });
    }

    fn hand(&self, topic: &str, entry: Entry) {
        let event = BackplaneEvent::event(topic, entry.event, entry.prev);
        self.startup.sink.accept(event);
    }

    fn next_mark(&self) -> String {
        let number = self.marks.fetch_add(1, Ordering::Relaxed);
        // Those of an earlier run of this node mean nothing.
        format!("{}-{number}-{:x}", self.startup.node, fastrand::u64(..))
    }

    /// Watches topics, and answers at the place of its mark.
    pub(crate) async fn watch(&self, topics: &[&str]) -> Result<Watched, BackplaneError> {
        let server = self.server()?;
        let names = topics.iter().map(|topic| (*topic).to_owned());
        self.lock().watched.extend(names);
        let channels: Vec<_> = topics
            .iter()
            .map(|topic| self.keys.channel(topic))
            .collect();
        self.subscribe(&server, "SSUBSCRIBE", &channels).await?;
        let mark = self.next_mark();
        let (waiting, found) = oneshot::channel();
        self.lock().waiting.insert(mark.clone(), waiting);
        let asked = self.ask(&server, topics, &mark).await;
        let found = timeout(MARK, found).await;
        self.lock().waiting.remove(&mark);
        let asked = asked?;
        match found {
            Ok(Ok(())) => Ok(asked),
            _ => Err(down("the link broke")),
        }
    }

    pub(crate) async fn unwatch(&self, topics: &[&str]) -> Result<(), BackplaneError> {
        self.lock()
            .watched
            .retain(|topic| !topics.contains(&topic.as_str()));
        let server = self.server()?;
        let channels: Vec<_> = topics
            .iter()
            .map(|topic| self.keys.channel(topic))
            .collect();
        self.subscribe(&server, "SUNSUBSCRIBE", &channels).await
    }

    async fn subscribe(
        &self,
        server: &Server,
        command: &str,
        channels: &[String],
    ) -> Result<(), BackplaneError> {
        for piece in channels.chunks(PIECE) {
            let mut pipeline = redis::pipe();
            for channel in piece {
                pipeline.cmd(command).arg(channel).ignore();
            }
            let mut connection = server.connection.clone();
            pipeline
                .query_async::<()>(&mut connection)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn ask(
        &self,
        server: &Server,
        topics: &[&str],
        mark: &str,
    ) -> Result<Watched, BackplaneError> {
        let mut ask = self.watch.key(self.keys.sequence());
        ask.arg(&self.keys.prefix)
            .arg(self.run(server))
            .arg(fresh_epoch())
            .arg(self.keys.marks(self.startup.node))
            .arg(mark);
        for topic in topics {
            ask.arg(*topic);
        }
        let mut connection = server.connection.clone();
        let answer: Vec<Value> = ask.invoke_async(&mut connection).await.map_err(failed)?;
        watched(answer)
            .ok_or_else(|| down("Redis has answered what no script of this version gives"))
    }

    fn read(&self, push: PushInfo) -> Option<Push> {
        match push.kind {
            PushKind::Disconnection => return Some(Push::End),
            PushKind::SMessage => {}
            _ => return None,
        }
        let mut data = push.data.into_iter();
        let (channel, message) = (bytes_of(data.next()?)?, bytes_of(data.next()?)?);
        let channel = std::str::from_utf8(&channel).ok()?;
        match self.keys.topic_of(channel) {
            Some(topic) => Some(Push::Event(topic.to_owned(), entry::of_message(message)?)),
            None => Some(Push::Mark(String::from_utf8(message.to_vec()).ok()?)),
        }
    }
}

/// What the link carries.
enum Push {
    Event(String, Entry),
    Mark(String),
    End,
}

const fn code(status: Status) -> u8 {
    match status {
        Status::Up => 0,
        Status::Suspect => 1,
        _ => 2,
    }
}

/// 48 bits: short to write, and exact in a script.
pub(crate) fn fresh_epoch() -> u64 {
    fastrand::u64(1..1 << 48)
}

pub(crate) fn bytes_of(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into()),
        _ => None,
    }
}

/// A number, which Redis tells as one or as a text.
pub(crate) fn number_of(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn watched(answer: Vec<Value>) -> Option<Watched> {
    let mut answer = answer.into_iter();
    let epoch = number_of(&answer.next()?)?;
    let newest = EventId::new(epoch, number_of(&answer.next()?)?);
    let mut topics = Vec::new();
    while let Some(last) = answer.next() {
        let last = number_of(&last)?;
        let finish = bytes_of(answer.next()?)?;
        let finish = entry::of_list(epoch, finish).map(|entry| entry.event);
        let last = (last > 0).then(|| EventId::new(epoch, last));
        topics.push(WatchedTopic::new(last, finish));
    }
    Some(Watched::new(newest, topics))
}

/// Runs until it is dropped.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(task).abort_handle())
}

pub(crate) struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
