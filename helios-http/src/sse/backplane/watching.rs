//! Selects the topics whose events the backplane hands over.
//!
//! Topics that wait at the same time are watched with one call. When thousands of clients come back at once, they join
//! the same topics and others, and each call is a round trip.

use std::collections::VecDeque;
use std::future::Future;
use std::slice;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use helios_core::hub::EventId;
use helios_core::sse::SseError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::arriving::{Aftermath, settle};
use super::questions::{PastEvent, Watched, WatchedTopic};
use super::replication::{Replication, TIMEOUT, within};
use super::{Backplane, BackplaneError, BackplaneErrorKind};
use crate::failure::with_causes;
use crate::panics::caught_in;
use crate::sse::hub::Publication;
use crate::sse::hub::feed::{Behind, Feed};
use crate::sse::hub::topics::Topic;
use crate::sync::lock;

/// The most topics of one call.
pub(crate) const SLICE: usize = 256;

/// The most calls at the same time. Further topics wait, and are watched together.
const QUESTIONS: usize = 4;

/// How often all topics are watched again.
const AUDIT: Duration = Duration::from_secs(30);

const SECOND: Duration = Duration::from_secs(1);

/// Topics that wait to be watched.
#[derive(Default)]
pub(crate) struct WatchQueue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    topics: VecDeque<Wanted>,
    questions: usize,
}

struct Wanted {
    topic: Arc<Topic>,
    answer: oneshot::Sender<Result<(), BackplaneError>>,
}

impl WatchQueue {
    /// Returns true if the caller has to start a task that makes the calls.
    fn push(&self, wanted: Wanted) -> bool {
        let mut waiting = lock(&self.0);
        waiting.topics.push_back(wanted);
        let asks = waiting.questions < QUESTIONS;
        waiting.questions += usize::from(asks);
        asks
    }
}

/// A task that makes the calls. It is counted until no topics are left, or until it is dropped with its runtime.
struct Asker {
    replication: Arc<Replication>,
    has_stopped: bool,
}

impl Asker {
    /// Returns the topics of the next call. If there are none, the task stops, and the next topic starts another.
    fn next(&mut self) -> Option<Vec<Wanted>> {
        let mut waiting = lock(&self.replication.watches.0);
        let count = waiting.topics.len().min(SLICE);
        if count == 0 {
            self.has_stopped = true;
            waiting.questions -= 1;
            return None;
        }
        Some(waiting.topics.drain(..count).collect())
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if !self.has_stopped {
            let mut waiting = lock(&self.replication.watches.0);
            waiting.questions -= 1;
            // Dropping the topics drops their answers, so the waiting callers fail.
            waiting.topics.clear();
        }
    }
}

impl Replication {
    /// Starts to watch the topic, unless it is watched already.
    pub(crate) async fn watch(self: &Arc<Self>, topic: &Arc<Topic>) -> Result<(), SseError> {
        self.try_watch(topic).await.map_err(SseError::Backplane)
    }

    /// Starts to watch a topic. Only one call for a topic is under way at a time, even if its caller is dropped.
    /// Otherwise a second call that is answered first would be undone when the first one fails.
    pub(super) async fn try_watch(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
    ) -> Result<(), BackplaneError> {
        self.reached()?;
        if topic.watched.initialized() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let (this, topic) = (Arc::clone(self), Arc::clone(topic));
        self.spawn(async move {
            let ask = || async {
                match answer.is_closed() {
                    // No caller waits any more.
                    true => Err(BackplaneErrorKind::Down.into()),
                    false => this.ask(&topic).await,
                }
            };
            let watched = topic.watched.get_or_try_init(ask).await.map(drop);
            let _ = answer.send(watched);
        });
        // An earlier call for the topic may fail first.
        let answered = async { answered.await.unwrap_or_else(|_| Err(gone())) };
        within(2 * TIMEOUT, BackplaneErrorKind::Down, answered).await
    }

    /// Waits for a call that may be for other topics, too.
    async fn ask(self: &Arc<Self>, topic: &Arc<Topic>) -> Result<(), BackplaneError> {
        let (answer, answered) = oneshot::channel();
        let wanted = Wanted {
            topic: Arc::clone(topic),
            answer,
        };
        if self.watches.push(wanted) {
            self.spawn(ask_for_all(Asker {
                replication: Arc::clone(self),
                has_stopped: false,
            }));
        }
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Runs a task on the runtime where the backplane was started, because another runtime may end before.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.runtime.get().cloned();
        match runtime.or_else(|| Handle::try_current().ok()) {
            Some(runtime) => drop(runtime.spawn(task)),
            None => tracing::error!("a backplane outside of a tokio runtime does nothing"),
        }
    }

    async fn watch_slice(self: &Arc<Self>, topics: &[Arc<Topic>]) -> Result<(), BackplaneError> {
        let watched = self.try_watch_slice(topics).await;
        if watched.is_err() {
            self.give_up(topics);
        }
        watched
    }

    async fn try_watch_slice(
        self: &Arc<Self>,
        topics: &[Arc<Topic>],
    ) -> Result<(), BackplaneError> {
        loop {
            for topic in topics {
                await_answer(topic);
            }
            if self.question(topics).await? {
                return Ok(());
            }
        }
    }

    /// Watches these topics with one call, and applies the answer. Returns false if the answer has become void
    /// meanwhile.
    async fn question(self: &Arc<Self>, topics: &[Arc<Topic>]) -> Result<bool, BackplaneError> {
        let epoch = self.hub.epoch();
        let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
        let watched = self.backplane.watch(&names);
        let watched = within(TIMEOUT, BackplaneErrorKind::Down, watched).await?;
        Ok(self.watched(topics, epoch, &watched))
    }

    /// Marks topics as unwatched after a failed call, unless another call was answered.
    fn give_up(&self, topics: &[Arc<Topic>]) {
        for topic in topics {
            let mut state = topic.lock();
            if matches!(&state.feed, Feed::Behind(behind) if behind.is_asked) {
                state.feed = Feed::Off;
            }
        }
    }

    /// Marks the topics as watched, from the event after the answer's id on. Returns false if the answer has become
    /// void meanwhile.
    fn watched(self: &Arc<Self>, topics: &[Arc<Topic>], asked_in: u64, answer: &Watched) -> bool {
        let (hub, id) = (&self.hub, answer.newest);
        let mut aftermath = Aftermath::default();
        {
            let _order = lock(&self.order);
            if id.epoch() != hub.epoch() {
                if hub.epoch() != asked_in {
                    return false;
                }
                self.begin_anew(id, &mut aftermath);
            }
            hub.advance_to(id);
            let unknown = WatchedTopic::default();
            for (n, topic) in topics.iter().enumerate() {
                let of_topic = answer.topics.get(n).unwrap_or(&unknown);
                self.watched_one(topic, id, of_topic, &mut aftermath);
            }
            aftermath.queue_private(self);
        }
        aftermath.carry_out(self);
        true
    }

    fn watched_one(
        &self,
        topic: &Arc<Topic>,
        newest: EventId,
        answer: &WatchedTopic,
        aftermath: &mut Aftermath,
    ) {
        // Events after the answer's place arrive on their own.
        let is_told = |id: &EventId| newest.is_after(*id) == Some(true) || *id == newest;
        let last = answer.last.filter(is_told);
        let finish = answer.finish.as_ref().filter(|finish| is_told(&finish.id));
        let is_asked = {
            let mut state = topic.lock();
            match &state.feed {
                Feed::Behind(behind) => behind.is_asked,
                Feed::Off => false,
                Feed::Live => {
                    let is_lost = last.is_some_and(|last| last.seq() > state.ring.last());
                    if !is_lost && finish.is_some() && !state.ring.is_finished() {
                        // The end was lost, and readers have been notified of a loss before.
                        aftermath.all_woken.push(topic.begin_round(&mut state));
                        state.ring.finish_behind(self.hub.now());
                    }
                    if !is_lost && answer.last.as_ref().is_none_or(is_told) {
                        // No event of the topic lies between. A backplane remembers only for a while that there was
                        // none, so the next request for history has to name a recent id.
                        state.ring.pass(newest.seq());
                    }
                    drop(state);
                    if is_lost {
                        let (name, backplane) = (&*topic.name, self.backplane.name());
                        tracing::warn!(backplane, topic = name, "an event was lost");
                        self.fell_behind(Arc::clone(topic), aftermath);
                    }
                    false
                }
            }
        };
        if is_asked {
            self.begin(topic, newest, last, finish, aftermath);
        }
    }

    /// Applies the first answer for a topic.
    fn begin(
        &self,
        topic: &Arc<Topic>,
        newest: EventId,
        last: Option<EventId>,
        finish: Option<&PastEvent>,
        aftermath: &mut Aftermath,
    ) {
        let hub = &self.hub;
        let end = finish.map(|finish| {
            let end = self.read(topic, &finish.bytes);
            let end = end.filter(|publication| publication.finishes);
            let end = end.unwrap_or_else(|| Publication::end(None));
            (finish.id.seq(), hub.time_of(finish.at), end)
        });
        let mut state = topic.lock();
        aftermath.all_woken.push(topic.begin_round(&mut state));
        // No event of the topic lies between its last event and the answer, nor after its end, so the topic is
        // complete from there on.
        let floor = match (&end, last) {
            (Some((seq, ..)), _) => seq.saturating_sub(1),
            (None, Some(last)) => last.seq(),
            (None, None) => newest.seq(),
        };
        let floor = EventId::new(newest.epoch(), floor);
        let ring = hub.options().ring(&topic.name, floor);
        let ring = ring.in_place_of(&state.ring);
        hub.topics.change(&mut state.ring, |old| *old = ring);
        if let Some((seq, at, end)) = end {
            hub.push_at(&mut state.ring, seq, &end, at);
        }
        if let Feed::Behind(behind) = &mut state.feed {
            behind.is_asked = false;
        }
        let settled = settle(hub, &mut state, aftermath);
        drop(state);
        if !settled {
            aftermath.behind.push(Arc::clone(topic));
        }
    }

    /// Stops watching topics that have no readers here. A backplane that is down also has to forget them, or it would
    /// watch them when it is back.
    pub(crate) async fn unwatch(&self, topics: &[Arc<Topic>]) {
        if self.runtime.get().is_none() {
            return;
        }
        // An audit must not watch these topics again.
        let _no_audit = self.auditing.lock().await;
        let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
        let unwatched = unwatch(&*self.backplane, &names);
        caught_in("a backplane's `unwatch`", unwatched).await;
    }

    /// Watches all topics again at intervals, until the replication is stopped.
    pub(super) fn keep_watched(self: &Arc<Self>) {
        let (replication, stopped) = (Arc::downgrade(self), self.stopped.clone());
        let auditing = async move {
            let mut audits = interval(AUDIT);
            audits.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick is immediate.
            audits.tick().await;
            loop {
                audits.tick().await;
                let Some(this) = replication.upgrade() else {
                    return;
                };
                caught_in("the audit of the backplane", this.audit()).await;
            }
        };
        tokio::spawn(stopped.run_until_cancelled_owned(auditing));
    }

    /// Finds events that were lost after the last event of a topic that has arrived.
    async fn audit(self: &Arc<Self>) {
        for slice in self.hub.topics.all().chunks(SLICE) {
            let Ok(backplane) = self.reached() else {
                return;
            };
            // A void answer is left to the next audit.
            if let Err(error) = self.watch_anew(slice).await {
                let (error, backplane) = (with_causes(&error), backplane.name());
                tracing::warn!(backplane, error, "topics were not watched again");
            }
        }
    }

    /// Watches the live ones of these topics again. Returns false if the answer has become void.
    async fn watch_anew(self: &Arc<Self>, topics: &[Arc<Topic>]) -> Result<bool, BackplaneError> {
        let _no_unwatch = self.auditing.lock().await;
        let live: Vec<_> = topics
            .iter()
            .filter(|topic| is_live(topic))
            .cloned()
            .collect();
        match live.is_empty() {
            true => Ok(true),
            false => self.question(&live).await,
        }
    }

    /// Checks whether the topic has ended, because its end may be among the lost events. If there is no answer, the
    /// audit finds it.
    pub(super) async fn look_for_end(self: &Arc<Self>, topic: &Arc<Topic>) {
        for pause in [Duration::ZERO, SECOND, 2 * SECOND, 4 * SECOND] {
            sleep(pause).await;
            let answer = self.watch_anew(slice::from_ref(topic)).await;
            if answer.is_ok_and(|is_valid| is_valid) {
                return;
            }
        }
    }
}

fn gone() -> BackplaneError {
    BackplaneError::new(BackplaneErrorKind::Down, "it panicked, or was stopped")
}

async fn ask_for_all(mut asker: Asker) {
    let replication = Arc::clone(&asker.replication);
    while let Some(wanted) = asker.next() {
        let topics: Vec<_> = wanted.iter().map(|it| Arc::clone(&it.topic)).collect();
        let watched = caught_in("a backplane's `watch`", replication.watch_slice(&topics)).await;
        match watched {
            Some(watched) => wanted.into_iter().for_each(|wanted| {
                // The caller may have been dropped.
                let _ = wanted.answer.send(watched.clone());
            }),
            None => replication.give_up(&topics),
        }
    }
}

/// Makes events that arrive before the answer wait for it.
fn await_answer(topic: &Topic) {
    let mut state = topic.lock();
    if matches!(state.feed, Feed::Off) {
        state.feed = Feed::Behind(Behind::asked());
    }
}

/// Whether the topic's events arrive, and more may come.
fn is_live(topic: &Topic) -> bool {
    let state = topic.lock();
    matches!(state.feed, Feed::Live) && !state.ring.is_finished() && !state.removed
}

async fn unwatch(backplane: &dyn Backplane, names: &[&str]) {
    let name = backplane.name();
    match timeout(TIMEOUT, backplane.unwatch(names)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = with_causes(&error);
            tracing::warn!(backplane = name, error, "topics were not unwatched");
        }
        Err(_) => tracing::warn!(backplane = name, "unwatching took too long"),
    }
}
