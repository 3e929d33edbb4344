//! The link of a node to Redis. It delivers published events in order, with marks between them.
//!
//! The link reconnects when it breaks. No library resubscribes behind its back, so the link can report to the hub, in the order of
//! events, that some may have been lost.
//!
//! # Why an answer has its place
//!
//! A script returns its answer and publishes a mark to the channel of the node. Redis runs nothing beside a script. So Redis pushes
//! earlier events ahead of the mark, and later ones behind it. The link returns the answer when the mark has arrived.
//!
//! # Why an id never names two events
//!
//! A sequence is bound to a run of the server, so a restart and a failover begin another one. A server that was a replica for a while
//! still has the same run, but may have lost events. A link that has seen it as a replica declares the sequence void. A node that has
//! seen a greater number than the newest one reports that with every call (`scripts/sequence.lua`). One case stays open. A server may
//! become a replica by hand, lose events and be promoted again between two probes. A node that has not seen these events then gives
//! their numbers out again, until a node comes that has.
//!
//! # Why a late call undoes nothing
//!
//! Calls of one connection are in order. A call over a broken connection may still be under way when the link is back, and could undo a
//! later one. So a link that is back first ends its earlier connections at the server.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::EventId;
use helios_http::sse::backplane::{BackplaneEvent, Startup, Status, Watched, WatchedTopic};
use redis::{PushInfo, PushKind, RedisError, Script, ScriptInvocation, Value};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::entry::{self, Entry};
use crate::failure::{down, is_elsewhere, not_answered, refuses_writes, with_causes};
use crate::keys::Keys;
use crate::place::{Access, Place};
use crate::server::{self, Doubts, Pushes, Server, ServerError};

/// The time between two probes.
const PROBE: Duration = Duration::from_secs(2);

/// A link without a mark for this long may be broken.
const SUSPECT: Duration = Duration::from_secs(5);

/// A link without any push for this long is broken. The next probe notices it.
const SILENT: Duration = Duration::from_secs(7);

/// How long a mark may take while events arrive, which prove that the link works.
const SLOW: Duration = Duration::from_secs(20);

/// A link is broken after this number of probes in a row without an answer, although events arrive.
const UNANSWERED: u32 = 2;

/// How long a caller waits for a mark.
const MARK: Duration = Duration::from_secs(5);

/// The first and the longest pause between two attempts to connect. Each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The number of subscriptions that are sent at once.
const PIECE: usize = 256;

/// The length of a node's lease, in milliseconds.
const LEASE: u64 = 15_000;

pub(crate) struct Link {
    place: Place,
    access: Access,
    pub(crate) keys: Keys,
    /// Whether a sequence outlives the run of the server.
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
    /// The run of the last server, and the ids of the connections to it.
    run: String,
    ids: [u64; 2],
    watched: HashSet<String>,
    /// Callers that wait for a mark.
    waiting: HashMap<String, oneshot::Sender<()>>,
    /// The newest id that this node knows.
    seen: Option<EventId>,
    /// The epoch that is over because its server was a replica for a while.
    void: u64,
}

/// The reason why the link broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("the connection has ended, or could not keep up")]
    Ended,
    #[error("Redis does not answer")]
    Silent,
    #[error("this server is not the one to ask any more")]
    Left,
    #[error("Redis has failed")]
    Failed(#[source] BackplaneError),
}

impl Broken {
    /// Returns the error for a start that failed.
    pub(crate) fn refused(self) -> BackplaneError {
        match self {
            Self::Failed(error) => error,
            Self::Server(error) if error.is_final() => {
                BackplaneError::new(BackplaneErrorKind::Refused, error)
            }
            other => down(other),
        }
    }
}

/// A mark that a caller waits for. Dropping it forgets the caller, even if the call was dropped half-way.
struct Mark<'a> {
    link: &'a Link,
    name: String,
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.link.lock().waiting.remove(&self.name);
    }
}

/// The events and doubts of the connections to one server.
pub(crate) struct Connected {
    pushes: Pushes,
    doubts: Arc<Doubts>,
}

/// The state of a connection, as a probe has found it.
#[derive(Clone, Copy)]
enum Probed {
    /// It answers at once.
    Prompt,
    /// No answer comes.
    Lost,
    /// It is slow, for example because many events are in the way, or the answer is an error.
    Unclear,
}

impl Probed {
    fn of(error: Option<&RedisError>, sent: Instant) -> Self {
        match error {
            None if sent.elapsed() < PROBE => Self::Prompt,
            Some(error) if error.is_timeout() => Self::Lost,
            _ => Self::Unclear,
        }
    }
}

/// The times at which the link received something.
struct Heard {
    /// Any push.
    anything: Instant,
    /// A mark, which proves that both directions work.
    mark: Instant,
}

impl Link {
    pub(crate) fn new(
        place: Place,
        access: Access,
        keys: Keys,
        keeps_everything: bool,
        startup: Startup,
    ) -> Self {
        Self {
            place,
            access,
            keys,
            keeps_everything,
            startup,
            watch: Script::new(concat!(
                include_str!("scripts/sequence.lua"),
                include_str!("scripts/watch.lua")
            )),
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

    /// Returns the current server.
    pub(crate) fn server(&self) -> Result<Server, BackplaneError> {
        let server = self.lock().server.clone();
        server.ok_or_else(|| down("the link is down"))
    }

    /// Returns a call of a script that begins with `sequence.lua`.
    pub(crate) fn of_sequence<'a>(
        &self,
        script: &'a Script,
        server: &Server,
    ) -> ScriptInvocation<'a> {
        let mut call = script.key(self.keys.sequence());
        call.arg(&self.sequence_arguments(server));
        call
    }

    /// Returns the arguments of `sequence.lua`.
    pub(crate) fn sequence_arguments(&self, server: &Server) -> [String; 6] {
        let (seen, void) = {
            let state = self.lock();
            (state.seen, state.void)
        };
        let run = match self.keeps_everything {
            true => "kept",
            false => &server.run,
        };
        [
            self.keys.prefix.clone(),
            run.to_owned(),
            fresh_epoch().to_string(),
            void.to_string(),
            seen.map_or(0, EventId::epoch).to_string(),
            seen.map_or(0, EventId::seq).to_string(),
        ]
    }

    /// Notes an id that an answer or an event has shown.
    pub(crate) fn saw(&self, id: EventId) {
        self.lock().saw(id);
    }

    /// Leaves the server if the error shows that another one has to be asked.
    pub(crate) fn failed(&self, server: &Server, error: &RedisError) {
        if !is_elsewhere(error) {
            return;
        }
        if error.code() == Some("READONLY") {
            self.lock().demoted(&server.run);
        }
        server.doubts.left.notify_one();
    }

    /// Connects, and returns the newest id. [`Link::keep`] does the rest.
    pub(crate) async fn open(&self) -> Result<(EventId, Connected), Broken> {
        let sequence = self.keys.sequence();
        let client = self.place.find(&self.access, &sequence).await;
        let client = client.map_err(ServerError::from)?;
        let (server, mut pushes) = server::connect(&client).await.inspect_err(|error| {
            if let ServerError::Replica(run) = error {
                self.lock().demoted(run);
            }
        })?;
        let ended = self.end_earlier(&server).await;
        ended.map_err(Broken::Failed)?;
        let newest = self.begin(&server, &mut pushes).await?;
        let doubts = server.doubts;
        Ok((newest, Connected { pushes, doubts }))
    }

    /// Ends the earlier connections at this server, if there are any.
    async fn end_earlier(&self, server: &Server) -> Result<(), BackplaneError> {
        let (run, ids) = {
            let state = self.lock();
            (state.run.clone(), state.ids)
        };
        if run != server.run {
            return Ok(());
        }
        for id in ids {
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("ID").arg(id);
            match kill.query_async::<u64>(&mut server.questions.clone()).await {
                Ok(_) => {}
                // Redis refuses the user, or a proxy does not know the command.
                Err(error) if error.code().is_some() => {
                    let error = with_causes(&error);
                    tracing::warn!(
                        error,
                        "a call over an earlier connection may still arrive: give the user the right to call `CLIENT KILL`"
                    );
                }
                Err(error) => return Err(self.not_answered(server, error)),
            }
        }
        Ok(())
    }

    /// Keeps the link up while this is polled.
    pub(crate) async fn keep(self: Arc<Self>, mut connected: Connected) {
        loop {
            let broken = self.carry(connected).await;
            self.broke(&broken);
            connected = self.reopen().await;
        }
    }

    /// Fails all calls from now on.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.server = None;
        // This fails all calls that wait for a mark.
        state.waiting.clear();
    }

    fn broke(&self, broken: &Broken) {
        let error = with_causes(broken);
        tracing::warn!(error, "the link to Redis broke");
        self.close();
        self.set_status(Status::Down);
    }

    /// Connects again, however often that fails, and reports to the hub that events may have been lost.
    async fn reopen(self: &Arc<Self>) -> Connected {
        let mut pause = FIRST_PAUSE;
        let mut said = String::new();
        loop {
            match self.open().await {
                Ok((newest, connected)) => {
                    self.startup.sink.accept(BackplaneEvent::torn(newest));
                    return connected;
                }
                Err(error) => {
                    let error = with_causes(&error);
                    if error != said {
                        // Log each reason once.
                        tracing::warn!(error, "there is no link to Redis");
                        said = error;
                    }
                }
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Subscribes to all watched topics, and returns the newest id at the place from which no event is lost. It drops events before
    /// that place, because the hub fetches them.
    async fn begin(&self, server: &Server, pushes: &mut Pushes) -> Result<EventId, Broken> {
        let watched = self.lock().watched.clone();
        let channels = watched.iter().map(|topic| self.keys.channel(topic));
        let channels: Vec<_> = channels.chain([self.marks_here()]).collect();
        self.subscribe(server, "SSUBSCRIBE", &channels)
            .await
            .map_err(Broken::Failed)?;
        let mark = self.next_mark();
        let asked = self.ask(server, &[], &mark).await;
        let asked = asked.map_err(Broken::Failed)?;
        let found = async {
            while let Some(push) = pushes.next().await {
                match self.read(push) {
                    Some(Push::Mark(found)) if found == mark => return Ok(()),
                    Some(Push::End) => return Err(Broken::Ended),
                    _ => {}
                }
            }
            Err(Broken::Ended)
        };
        timeout(MARK, found).await.map_err(|_| Broken::Silent)??;
        self.begin_lease(server).await.map_err(Broken::Failed)?;
        self.hand_out(server, watched)
            .await
            .map_err(Broken::Failed)?;
        self.set_status(Status::Up);
        Ok(asked.newest)
    }

    /// Lets callers use the server, as soon as it is subscribed to the watched topics and to no others. Nothing that can fail comes
    /// after that, and no late `SUNSUBSCRIBE` meets a topic that is watched again.
    async fn hand_out(
        &self,
        server: &Server,
        mut subscribed: HashSet<String>,
    ) -> Result<(), BackplaneError> {
        loop {
            let forgotten: Vec<_> = {
                let mut state = self.lock();
                let forgotten = subscribed.extract_if(|topic| !state.watched.contains(topic));
                let forgotten: Vec<_> = forgotten.map(|topic| self.keys.channel(&topic)).collect();
                if forgotten.is_empty() {
                    state.run.clone_from(&server.run);
                    state.ids = server.ids;
                    state.server = Some(server.clone());
                    return Ok(());
                }
                forgotten
            };
            self.subscribe(server, "SUNSUBSCRIBE", &forgotten).await?;
        }
    }

    /// Hands pushes over until the link breaks.
    async fn carry(self: &Arc<Self>, connected: Connected) -> Broken {
        let Connected { mut pushes, doubts } = connected;
        let mut probes = interval(PROBE);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        probes.tick().await;
        let now = Instant::now();
        let mut heard = Heard {
            anything: now,
            mark: now,
        };
        loop {
            tokio::select! {
                push = pushes.next() => {
                    let Some(push) = push else { return Broken::Ended };
                    heard.anything = Instant::now();
                    match self.read(push) {
                        None => {}
                        Some(Push::Event(topic, entry)) => self.hand(&topic, entry),
                        Some(Push::Mark(mark)) => {
                            heard.mark = heard.anything;
                            self.found(&mark);
                        }
                        Some(Push::Left) => return Broken::Left,
                        Some(Push::End) => return Broken::Ended,
                    }
                }
                () = doubts.left.notified() => return Broken::Left,
                () = doubts.half_open.notified() => return Broken::Silent,
                _ = probes.tick() => {
                    if heard.anything.elapsed() > SILENT || heard.mark.elapsed() > SLOW {
                        return Broken::Silent;
                    }
                    if heard.mark.elapsed() > SUSPECT {
                        self.set_status(Status::Suspect);
                    }
                    self.probe();
                }
            }
        }
    }

    fn found(&self, mark: &str) {
        self.set_status(Status::Up);
        if let Some(waiting) = self.lock().waiting.remove(mark) {
            // The caller may have given up.
            let _ = waiting.send(());
        }
    }

    /// Requests a mark over one connection, and an answer over the other. If one of them fails and the other one does not, its bytes are
    /// lost on their way for good, and the link breaks. Otherwise publishes or subscriptions would fail until the silence shows. It also
    /// breaks if several probes in a row get no answer, since events may arrive over a link to which Redis does not listen any more.
    fn probe(self: &Arc<Self>) {
        let Ok(server) = self.server() else {
            return;
        };
        let link = Arc::clone(self);
        tokio::spawn(async move {
            let (ping, mut listener) = (redis::cmd("PING"), server.listener.clone());
            let sent = Instant::now();
            let pong = async {
                let pong = ping.query_async::<()>(&mut listener).await;
                Probed::of(pong.as_ref().err(), sent)
            };
            let (pong, marked) = tokio::join!(pong, link.mark(&server, sent));
            let Doubts {
                half_open,
                unanswered,
                ..
            } = &*server.doubts;
            let in_a_row = match marked {
                Probed::Lost => unanswered.fetch_add(1, Ordering::AcqRel) + 1,
                _ => {
                    unanswered.store(0, Ordering::Release);
                    0
                }
            };
            let is_half_open = matches!(
                (pong, marked),
                (Probed::Lost, Probed::Prompt) | (Probed::Prompt, Probed::Lost)
            );
            if is_half_open || in_a_row == UNANSWERED {
                half_open.notify_one();
            }
        });
    }

    /// Requests a mark for a probe. Leaves the server if it is not the same primary.
    async fn mark(&self, server: &Server, sent: Instant) -> Probed {
        match server::run_of(&mut server.questions.clone()).await {
            Ok(run) if run == server.run => {}
            Ok(_) => {
                server.doubts.left.notify_one();
                return Probed::Unclear;
            }
            Err(ServerError::Replica(run)) => {
                self.lock().demoted(&run);
                server.doubts.left.notify_one();
                return Probed::Unclear;
            }
            Err(ServerError::Unreachable(error)) => return Probed::of(Some(&error), sent),
            Err(_) => return Probed::Unclear,
        }
        match self.ask_in_place(server, &[]).await {
            Ok(_) => Probed::of(None, sent),
            Err(error) => {
                let error = with_causes(&error);
                tracing::debug!(error, "a probe of Redis failed");
                Probed::Unclear
            }
        }
    }

    fn hand(&self, topic: &str, entry: Entry) {
        {
            let mut state = self.lock();
            state.saw(entry.event.id);
            // The event was under way when its topic was unwatched.
            if !state.watched.contains(topic) {
                return;
            }
        }
        let event = BackplaneEvent::event(topic, entry.event, entry.prev);
        self.startup.sink.accept(event);
    }

    fn marks_here(&self) -> String {
        self.keys.marks(self.startup.node)
    }

    fn next_mark(&self) -> String {
        let number = self.marks.fetch_add(1, Ordering::Relaxed);
        // The random part tells it from marks of an earlier run of this node.
        format!("{}-{number}-{:x}", self.startup.node, fastrand::u64(..))
    }

    /// Watches topics, and returns at the place of the mark.
    pub(crate) async fn watch(&self, topics: &[&str]) -> Result<Watched, BackplaneError> {
        let server = self.server()?;
        let names = topics.iter().map(|topic| (*topic).to_owned());
        self.lock().watched.extend(names);
        let channels = topics.iter().map(|topic| self.keys.channel(topic));
        let channels: Vec<_> = channels.collect();
        self.subscribe(&server, "SSUBSCRIBE", &channels).await?;
        self.ask_in_place(&server, topics).await
    }

    /// Requests the state of these topics and a mark, and returns when the mark has arrived.
    async fn ask_in_place(
        &self,
        server: &Server,
        topics: &[&str],
    ) -> Result<Watched, BackplaneError> {
        let mark = Mark {
            link: self,
            name: self.next_mark(),
        };
        let (waiting, found) = oneshot::channel();
        self.lock().waiting.insert(mark.name.clone(), waiting);
        let asked = self.ask(server, topics, &mark.name).await?;
        match timeout(MARK, found).await {
            Ok(Ok(())) => Ok(asked),
            _ => Err(down("the link broke, or is too slow")),
        }
    }

    /// Unwatches topics. A link that is down does not subscribe to them again.
    pub(crate) async fn unwatch(&self, topics: &[&str]) -> Result<(), BackplaneError> {
        let server = {
            let mut state = self.lock();
            for topic in topics {
                state.watched.remove(*topic);
            }
            state.server.clone()
        };
        let Some(server) = server else { return Ok(()) };
        let channels = topics.iter().map(|topic| self.keys.channel(topic));
        let channels: Vec<_> = channels.collect();
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
            let mut connection = server.listener.clone();
            let done = pipeline.query_async::<()>(&mut connection).await;
            done.map_err(|error| self.not_answered(server, error))?;
        }
        Ok(())
    }

    async fn ask(
        &self,
        server: &Server,
        topics: &[&str],
        mark: &str,
    ) -> Result<Watched, BackplaneError> {
        let mut ask = self.of_sequence(&self.watch, server);
        ask.arg(self.marks_here()).arg(mark);
        for topic in topics {
            ask.arg(*topic);
        }
        let mut connection = server.questions.clone();
        let answer = ask.invoke_async::<Vec<Value>>(&mut connection).await;
        let answer = answer.map_err(|error| self.not_answered(server, error))?;
        let watched = watched(answer)
            .ok_or_else(|| down("Redis has answered what no script of this version gives"))?;
        self.saw(watched.newest);
        Ok(watched)
    }

    /// Renews the lease over a new link. A Redis that refuses writes still hands events over and has their history, so the link is of
    /// use without a lease. The next renewal tries again.
    async fn begin_lease(&self, server: &Server) -> Result<(), BackplaneError> {
        match self.try_renew_lease(server).await {
            Err(error) if refuses_writes(&error) => {
                let error = with_causes(&error);
                tracing::warn!(error, "Redis refuses this node's lease");
                Ok(())
            }
            renewed => renewed.map_err(|error| self.not_answered(server, error)),
        }
    }

    /// Renews the lease of this node, or begins one.
    pub(crate) async fn renew_lease(&self, server: &Server) -> Result<(), BackplaneError> {
        let renewed = self.try_renew_lease(server).await;
        renewed.map_err(|error| self.not_answered(server, error))
    }

    async fn try_renew_lease(&self, server: &Server) -> Result<(), RedisError> {
        let lease = self.keys.lease(self.startup.node);
        let mut connection = server.questions.clone();
        // In contrast to `SET`, this needs no memory.
        let mut renew = redis::cmd("PEXPIRE");
        renew.arg(&lease).arg(LEASE);
        if renew.query_async::<bool>(&mut connection).await? {
            return Ok(());
        }
        let mut begin = redis::cmd("SET");
        begin.arg(&lease).arg(1).arg("PX").arg(LEASE);
        begin.query_async(&mut connection).await
    }

    /// Sends one command.
    pub(crate) async fn query<T: redis::FromRedisValue>(
        &self,
        server: &Server,
        question: &redis::Cmd,
    ) -> Result<T, BackplaneError> {
        let mut connection = server.questions.clone();
        let answer = question.query_async(&mut connection).await;
        answer.map_err(|error| self.not_answered(server, error))
    }

    pub(crate) fn not_answered(&self, server: &Server, error: RedisError) -> BackplaneError {
        self.failed(server, &error);
        not_answered(error)
    }

    fn read(&self, push: PushInfo) -> Option<Push> {
        let kind = push.kind;
        let mut data = push.data.into_iter();
        let mut next = || bytes_of(data.next()?);
        match kind {
            PushKind::Disconnection => Some(Push::End),
            // The node never unsubscribes from its marks, so the slot has moved to another node of the cluster.
            PushKind::SUnsubscribe => {
                (next()?.as_ref() == self.marks_here().as_bytes()).then_some(Push::Left)
            }
            PushKind::SMessage => {
                let (channel, message) = (next()?, next()?);
                let channel = std::str::from_utf8(&channel).ok()?;
                match self.keys.topic_of(channel) {
                    Some(topic) => Some(Push::Event(topic.to_owned(), entry::of_message(message)?)),
                    None => Some(Push::Mark(String::from_utf8(message.to_vec()).ok()?)),
                }
            }
            _ => None,
        }
    }
}

impl State {
    fn saw(&mut self, id: EventId) {
        let is_newer = |seen: EventId| seen.epoch() != id.epoch() || seen.seq() < id.seq();
        if self.seen.is_none_or(is_newer) {
            self.seen = Some(id);
        }
    }

    /// Notes that the server of this run is a replica. It may lose its newest events, and give their numbers out again.
    fn demoted(&mut self, run: &str) {
        if let (Some(seen), true) = (self.seen, self.run == run) {
            self.void = seen.epoch();
        }
    }
}

/// A push that concerns the link.
enum Push {
    Event(String, Entry),
    Mark(String),
    Left,
    End,
}

const fn code(status: Status) -> u8 {
    match status {
        Status::Up => 0,
        Status::Suspect => 1,
        _ => 2,
    }
}

/// Returns a random epoch of 48 bits, which is short and exact in a script.
fn fresh_epoch() -> u64 {
    fastrand::u64(1..1 << 48)
}

pub(crate) fn bytes_of(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into()),
        _ => None,
    }
}

/// Reads a number, which Redis sends as a number or as text.
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

/// Spawns a task that is aborted when the handle is dropped.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(task).abort_handle())
}

pub(crate) struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
