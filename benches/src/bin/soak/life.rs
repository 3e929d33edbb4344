//! One client. It connects, reads, misbehaves at random, leaves, and comes back.

mod arriving;
mod jobs;
mod listening;

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use helios::sse::EventId;
use tokio::time::{Instant, timeout};

use crate::kind::Traits;
use crate::ledger::{Fault, Ledger, other};
use crate::post::now;
use crate::server::RETENTION;
use crate::stream::{End, Stream};
use crate::tally::OfKind;
use crate::world::{Phase, World};
use crate::{control, topics};

const BETWEEN_ACTS: Duration = Duration::from_secs(12);
/// How long after a client was slow the server may still end its connection for that.
const EXCUSE: Duration = Duration::from_secs(5);
/// How many bytes a slow client reads at once.
const GULP: usize = 512;
/// How many acts a client remembers.
const DIARY: usize = 12;
/// A client has not kept up if its last event was older than this on arrival.
const BEHIND: Duration = Duration::from_secs(1);

pub(crate) struct Life {
    world: Arc<World>,
    name: usize,
    kind: &'static Traits,
    rng: Rng,
    ledger: Ledger,
    /// Whether the server has reported that no more events will come.
    is_over: bool,
    /// When the current connection was opened.
    arrived: Instant,
    /// The client id of the current connection.
    id: Option<String>,
    /// The position of the current connection, if it is plain. Events without an id of their own have this one.
    position: Option<EventId>,
    /// Until then the server may have ended the connection for being slow.
    excused_until: Instant,
    /// From then on events are new when they arrive.
    fluent_from: Instant,
    /// How old the last event was when it arrived.
    last_age: Duration,
    /// The reason that the server gives for ending the connection.
    reason: Option<String>,
    /// The last acts, to be printed with a fault.
    diary: VecDeque<String>,
}

impl Life {
    pub(crate) fn new(world: Arc<World>, name: usize, kind: &'static Traits, rng: Rng) -> Self {
        let now = Instant::now();
        Self {
            world,
            name,
            kind,
            rng,
            ledger: Ledger::new(RETENTION),
            is_over: false,
            arrived: now,
            id: None,
            position: None,
            excused_until: now,
            fluent_from: now,
            last_age: Duration::ZERO,
            reason: None,
            diary: VecDeque::with_capacity(DIARY),
        }
    }

    /// Runs until all clients have to leave.
    pub(crate) async fn run(mut self) {
        self.count(|counts| counts.clients += 1);
        let born = self.rng.f64() * 5.0;
        self.pause(Duration::from_secs_f64(born)).await;
        let mut open = None;
        while self.world.phase() == Phase::Unruly {
            open = self.visit().await;
            if open.is_none() {
                self.stay_away().await;
            }
        }
        self.last_visit(open).await;
    }

    /// Behaves, and checks at the end that nothing is missing.
    async fn last_visit(&mut self, mut open: Option<Stream>) {
        while self.world.phase() == Phase::Orderly {
            let mut stream = match open.take() {
                Some(stream) => stream,
                None => match self.arrive().await {
                    Some(stream) => stream,
                    None => continue,
                },
            };
            let long = Instant::now() + Duration::from_secs(3600);
            match self.read_until(&mut stream, long, Phase::Orderly).await {
                Ok(()) => open = Some(stream),
                Err(end) => self.ended(end),
            }
        }
        self.part(open);
    }

    /// Leaves after the last publish.
    fn part(&mut self, open: Option<Stream>) {
        match open {
            Some(stream) => {
                self.was_to_be_over();
                for fault in self.ledger.complete(&self.world.marks()) {
                    self.fault(&fault);
                }
                if self.rng.bool() {
                    stream.reset();
                }
            }
            None if self.kind.jobs && self.ledger.topics().is_empty() => {}
            None => self.fault(&other("is not connected at the end")),
        }
    }

    /// Opens and uses one connection. Returns it if it is still open when all clients have to behave.
    async fn visit(&mut self) -> Option<Stream> {
        let mut stream = self.arrive().await?;
        loop {
            let act = Instant::now() + BETWEEN_ACTS.mul_f64(self.rng.f64());
            if let Err(end) = self.read_until(&mut stream, act, Phase::Unruly).await {
                self.ended(end);
                return None;
            }
            if let Err(end) = self.await_end(&mut stream).await {
                self.ended(end);
                return None;
            }
            if self.ledger.topics().is_empty() {
                return None;
            }
            if self.world.phase() != Phase::Unruly {
                return Some(stream);
            }
            match self.rng.u32(..100) {
                0..20 => return self.leave(stream, "left").await,
                20..35 => return self.leave(stream, "reset").await,
                35..43 => return self.leave(stream, "half-closed").await,
                43..63 => self.stall(0.2..3.0, "stalled briefly").await,
                63..69 => self.stall(8.0..30.0, "stalled for long").await,
                69..75 => {
                    if let Err(end) = self.dawdle(&mut stream).await {
                        self.ended(end);
                        return None;
                    }
                }
                75..88 if self.changes_topics() => self.join().await,
                88.. if self.changes_topics() => self.leave_topic().await,
                _ => {}
            }
        }
    }

    /// Returns whether it may join and leave topics. For that it must know its client id, and get all of its snapshots
    /// at the beginning.
    fn changes_topics(&self) -> bool {
        !self.kind.plain && !self.kind.jobs && !self.kind.snapshots
    }

    async fn leave(&mut self, mut stream: Stream, how: &'static str) -> Option<Stream> {
        self.act(how);
        match how {
            "reset" => stream.reset(),
            "half-closed" => {
                stream.half_close().await;
                self.excused_until = Instant::now() + Duration::from_secs(3600);
                let until = Instant::now() + Duration::from_secs(5);
                if let Err(end) = self.read_until(&mut stream, until, Phase::Unruly).await {
                    self.ended(end);
                }
            }
            _ => {}
        }
        None
    }

    async fn stall(&mut self, seconds: std::ops::Range<f64>, how: &'static str) {
        self.act(how);
        let part = self.rng.f64();
        let seconds = seconds.start + part * (seconds.end - seconds.start);
        self.pause(Duration::from_secs_f64(seconds)).await;
        self.was_slow();
    }

    /// Reads little at a time.
    async fn dawdle(&mut self, stream: &mut Stream) -> Result<(), End> {
        self.act("dawdled");
        let until = Instant::now() + Duration::from_secs(self.rng.u64(5..30));
        while Instant::now() < until && self.world.phase() == Phase::Unruly {
            self.was_slow();
            if let Ok(read) = timeout(Duration::from_millis(1), stream.read(GULP)).await {
                read?;
            }
            while let Some(item) = stream.next_read() {
                self.take(item);
            }
            self.pause(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    fn was_slow(&mut self) {
        self.excused_until = Instant::now() + EXCUSE;
        self.fluent_from = Instant::now() + EXCUSE;
    }

    async fn join(&mut self) {
        let topic = topics::any(&mut self.rng);
        if self.ledger.knows(&topic) || self.ledger.topics().len() > 6 {
            return;
        }
        if self.change("join", &topic).await {
            self.ledger.joined(topic, now());
        }
    }

    async fn leave_topic(&mut self) {
        let topics = self.ledger.topics();
        let topic = match self.rng.choice(&topics) {
            Some(topic) if topics.len() > 1 => (*topic).to_owned(),
            _ => return,
        };
        if self.change("leave", &topic).await {
            self.ledger.left(&topic, now());
        }
    }

    /// Joins or leaves a topic, without reading meanwhile. Returns false if the connection is over.
    async fn change(&mut self, what: &'static str, topic: &str) -> bool {
        let Some(id) = &self.id else { return false };
        let target = format!("/{what}?client={id}&topic={topic}");
        self.act(what);
        self.note(topic);
        match control::ask(self.world.server, "POST", &target).await {
            Ok(_) => true,
            Err(error) => {
                // The server knows that the connection is over. The bytes on the connection decide whether that is
                // right.
                // right.
                let gone = error.to_string();
                if !gone.contains(" 410 ") {
                    self.fault(&other(gone));
                }
                false
            }
        }
    }

    /// Judges why the server has ended the connection.
    fn ended(&mut self, end: End) {
        let reason = self.reason.take();
        let name = match &reason {
            Some(reason) => format!("{end:?}, {reason}"),
            None => format!("{end:?}"),
        };
        self.note(&name);
        if self.kind.plain && end == End::Whole {
            self.told_end();
        }
        let excused = Instant::now() <= self.excused_until || self.is_over;
        let fault = other(format!("was cut without a cause: {name}"));
        self.world.tally.lock().end(name);
        match (excused, self.last_age > BEHIND) {
            (true, _) => {}
            // On a busy machine, even a client that means to read may fall behind.
            (false, true) => self.act("fell behind"),
            (false, false) => self.fault(&fault),
        }
    }

    async fn stay_away(&mut self) {
        let part = self.rng.f64();
        let seconds = match self.rng.u32(..100) {
            0..75 => 2.0 * part,
            75..95 => 2.0 + 10.0 * part,
            _ => 18.0 + 22.0 * part,
        };
        self.pause(Duration::from_secs_f64(seconds)).await;
    }

    /// It does not matter which of the two ends the pause.
    async fn pause(&self, time: Duration) {
        // The pause may end either way.
        let _ = timeout(time, self.world.after(Phase::Unruly)).await;
    }

    fn count(&self, change: impl FnOnce(&mut OfKind)) {
        let mut counts = self.world.tally.lock();
        change(counts.kinds.entry(self.kind.name).or_default());
    }

    fn act(&mut self, what: &'static str) {
        self.world.tally.lock().act(what);
        self.note(what);
    }

    fn note(&mut self, what: impl Display) {
        if self.diary.len() == DIARY {
            self.diary.pop_front();
        }
        let at = self.world.started.elapsed().as_secs_f64();
        self.diary.push_back(format!("{at:.2} s: {what}"));
    }

    fn fault(&self, fault: &Fault) {
        let diary = self.diary.iter().map(String::as_str);
        self.world.tally.fault(self.name, self.kind, fault, diary);
    }
}
