//! The state of one SSE connection, from its handle's making to its last byte.

mod bag;
mod deferred;
mod life;
#[cfg(test)]
mod races;
mod reader;
mod reset;
mod rooms;
mod task;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Waker};

use bytes::Bytes;
use helios_core::encode::encode;
use helios_core::event::SseEvent;
use helios_core::hub::{FRAME_BYTES, Liveness, OutboxLimits, Subscriber};
use helios_core::interceptor::{MapData, map_through};
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::sse::{ClientId, CloseReason, SseError};
use tokio::sync::Notify;

use super::control;
use super::hooks::{self, SseHooks};
use super::hub::{Hub, lock};
use super::stream::SseStream;
use super::topics::Membership;
use crate::panics::caught;
use crate::peer::Peer;
use bag::Bag;
use deferred::Deferred;
use life::{Decision, Finished, Life};
use reset::PendingReset;

pub(super) use life::{CloseCallback, Ending, Farewell};
pub(super) use rooms::JoinAt;
use task::Task;

/// Bytes that wait before `send` waits too: about two frames keep the socket busy.
const HIGH_WATER: usize = 2 * FRAME_BYTES;

pub(super) struct Client {
    pub(super) id: ClientId,
    /// Set when the hub knows the id.
    hub: OnceLock<Weak<Hub>>,
    pub(super) attachment: OnceLock<Attachment>,
    state: Mutex<State>,
    /// Signalled when the outbox has been read from.
    pub(super) room: Notify,
    /// Signalled when the end is announced.
    pub(super) closing: Notify,
    /// Signalled when the connection is over.
    pub(super) over: Notify,
    pub(super) bag: Bag,
}

/// What a connection learns from the request that it is attached to.
pub(super) struct Attachment {
    pub(super) hub: Arc<Hub>,
    /// Of the controllers above the route, outermost first.
    pub(super) hooks: Arc<[Arc<dyn SseHooks>]>,
    /// How many of them have accepted the connection, and are owed a close hook.
    pub(super) accepted: AtomicUsize,
    pub(super) mapper: Option<EventMapper>,
    pub(super) last_event_id: Option<String>,
    pub(super) restart: bool,
    pub(super) peer: Option<Arc<Peer>>,
}

/// The closure interceptors of the route, with the request that they are shown.
pub(super) struct EventMapper {
    pub(super) mappers: Arc<[&'static dyn MapData]>,
    pub(super) request: RequestContext,
    pub(super) head: ResponseHead,
}

impl EventMapper {
    fn map(&self, event: SseEvent) -> SseEvent {
        let mut head = self.head.clone();
        event.map_data(|data| map_through(&self.mappers, data, &self.request, &mut head))
    }
}

struct State {
    life: Life,
    deferred: Deferred,
    /// The topics are read, also if the connection is not live yet.
    begun: bool,
    /// The response head has left: what is joined from now on is not resumed.
    head_left: bool,
    /// A reset that came while another one is being answered.
    next_reset: Option<PendingReset>,
    /// The hub's epoch when the first topic was joined.
    joined_in: Option<u64>,
    reader: Subscriber<Membership>,
    task: Task,
    /// The response head may leave.
    head_wanted: bool,
    liveness: Liveness,
}

/// Who sends an event: closure interceptors map only what the route itself sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Own,
    ById,
}

/// Whether a sender that does not wait may go over the limits for a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Steady,
    Burst,
}

/// An event checked and, if the connection is attached, encoded.
pub(super) enum Prepared {
    Queued(SseEvent, Origin, usize),
    Encoded(Bytes),
}

impl Client {
    pub(super) fn new() -> Self {
        let id = ClientId::from_random_bytes(*uuid::Uuid::new_v4().as_bytes());
        Self {
            id,
            hub: OnceLock::new(),
            attachment: OnceLock::new(),
            room: Notify::new(),
            closing: Notify::new(),
            over: Notify::new(),
            bag: Bag::default(),
            state: Mutex::new(State {
                life: Life::detached(),
                deferred: Deferred::default(),
                begun: false,
                head_left: false,
                next_reset: None,
                joined_in: None,
                reader: Subscriber::new(id, OutboxLimits::default()),
                task: Task::default(),
                head_wanted: false,
                liveness: Liveness::default(),
            }),
        }
    }

    /// Lets the hub find the client by its id.
    pub(super) fn register_at(self: &Arc<Self>, hub: &Arc<Hub>) {
        if self.hub.set(Arc::downgrade(hub)).is_ok() {
            hub.register(self);
        }
    }

    fn known_hub(&self) -> Option<Arc<Hub>> {
        self.hub.get().and_then(Weak::upgrade)
    }

    /// Binds the connection to its request.
    pub(super) fn attach(self: &Arc<Self>, attachment: Attachment) -> Result<(), SseError> {
        let hub = Arc::clone(&attachment.hub);
        if self
            .hub
            .get()
            .is_some_and(|known| !known.ptr_eq(&Arc::downgrade(&hub)))
        {
            return Err(SseError::OtherApp);
        }
        self.attachment
            .set(attachment)
            .map_err(|_| SseError::AlreadyAttached)?;
        self.register_at(&hub);
        Ok(())
    }

    /// Begins to read: the topics that were joined from where the client has left off, then what was queued.
    pub(super) fn go_live(self: &Arc<Self>, attachment: &Attachment) {
        let hub = &attachment.hub;
        let reset = self.begin(attachment);
        let ending = loop {
            let queued = lock(&self.state).deferred.take_events();
            let encode = |(event, origin)| self.encode_for(attachment, event, origin);
            let encoded: Vec<_> = queued.into_iter().map(encode).collect();
            let mut state = lock(&self.state);
            state.take_over(hub, encoded);
            if !state.deferred.has_events() {
                break state.go_live(hub);
            }
        };
        hub.connected();
        if let Some(ending) = ending {
            self.end(ending);
        }
        reset.into_iter().for_each(|reset| reset.run(self));
    }

    /// Checks and encodes outside of the lock: interceptors are user code.
    pub(super) fn prepare(&self, event: SseEvent, origin: Origin) -> Result<Prepared, SseError> {
        match self.attachment.get() {
            Some(attachment) if self.is_live() => self
                .encode_for(attachment, event, origin)
                .map(Prepared::Encoded),
            _ => {
                self.check_id(&event)?;
                let encoded = match self.known_hub() {
                    Some(hub) => hub.encode(&event)?,
                    None => encode(&event)?,
                };
                Ok(Prepared::Queued(event, origin, encoded.len()))
            }
        }
    }

    /// The bytes of an event as this connection gets it.
    fn encode_for(
        &self,
        attachment: &Attachment,
        event: SseEvent,
        origin: Origin,
    ) -> Result<Bytes, SseError> {
        self.check_id(&event)?;
        let event = match origin {
            Origin::Own => self.map(event),
            Origin::ById => event,
        };
        attachment.hub.encode(&event)
    }

    /// An event of the route's own, as its closure interceptors leave it.
    pub(super) fn map(&self, event: SseEvent) -> SseEvent {
        let attachment = self.attachment.get();
        match attachment.and_then(|attachment| attachment.mapper.as_ref()) {
            Some(mapper) => mapper.map(event),
            None => event,
        }
    }

    /// Sends what the connection's own source gives, in the task that is going to poll for it. False if that has to wait for
    /// room, or is in vain.
    pub(super) fn write(&self, event: &SseEvent) -> Result<bool, SseError> {
        let Some(Attachment { hub, .. }) = self.attachment.get() else {
            return Ok(false);
        };
        hub.check_reserved(event)?;
        let mut state = lock(&self.state);
        if state.life.closed_reason().is_some() {
            return Ok(false);
        }
        state.check_id(event)?;
        let outbox = &mut state.reader.outbox;
        let written = outbox.has_room(HIGH_WATER)
            && outbox.write(hub.head(), event, hub.options().max_event_bytes)?;
        state.head_wanted |= written;
        Ok(written)
    }

    /// Whether `send` need not wait: there is room, or waiting would be in vain.
    pub(super) fn has_room(&self) -> bool {
        let state = lock(&self.state);
        !state.life.is_open() || state.reader.outbox.has_room(HIGH_WATER)
    }

    /// Puts an event into the queue, to be written after everything that was published until now. What answers a reset is
    /// written `after` that.
    pub(super) fn push(&self, prepared: &Prepared, after: Option<u64>) -> Result<(), SseError> {
        self.push_as(prepared, after, Manner::Steady)
    }

    fn push_as(
        &self,
        prepared: &Prepared,
        after: Option<u64>,
        manner: Manner,
    ) -> Result<(), SseError> {
        let waker = {
            let mut state = lock(&self.state);
            if let Some(reason) = state.life.closed_reason() {
                return Err(SseError::Closed(reason));
            }
            match (prepared, state.life.is_detached()) {
                (Prepared::Queued(event, origin, size), true) => {
                    state.deferred.push(event.clone(), *origin, *size)?;
                }
                (Prepared::Encoded(bytes), _) => match state.answers(after) {
                    Some(at) => state.reader.tell(at, bytes.clone()),
                    None => {
                        let burst = manner == Manner::Burst;
                        let outbox = &mut state.reader.outbox;
                        outbox.push(self.head(), bytes.clone(), burst)?;
                    }
                },
                // It went live between `prepare` and here.
                (Prepared::Queued(event, origin, _), false) => {
                    drop(state);
                    return self.push_as(&self.prepare(event.clone(), *origin)?, after, manner);
                }
            }
            state.head_wanted = true;
            state.task.wake()
        };
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Pushes for `send().await`; `None` if it has to wait for the client to read.
    pub(super) fn push_if_room(
        &self,
        prepared: &Prepared,
        after: Option<u64>,
    ) -> Option<Result<(), SseError>> {
        // What belongs to a reset is waited for by everything else, so it does not wait itself.
        let answers = lock(&self.state).answers(after).is_some();
        if !answers && !self.has_room() {
            return None;
        }
        match self.push(prepared, after) {
            Err(SseError::Full) if self.is_live() => None,
            sent => Some(sent),
        }
    }

    /// No more can be sent.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).life.closed_reason().is_some()
    }

    /// The reason, once the connection is over.
    pub(super) fn finished(&self) -> Option<CloseReason> {
        lock(&self.state).life.finished_reason()
    }

    /// The reason, once the end is announced or decided; until then somebody is known to watch for it.
    pub(super) fn closing_reason(&self) -> Option<CloseReason> {
        lock(&self.state).life.watch()
    }

    fn head(&self) -> u64 {
        let attachment = self.attachment.get();
        attachment.map_or(0, |attachment| attachment.hub.head())
    }

    pub(super) fn is_live(&self) -> bool {
        lock(&self.state).life.is_live()
    }

    pub(super) fn request_head(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.head_wanted = true;
            state.task.wake()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether the response head may leave; else `waker` is woken when it may.
    pub(super) fn poll_head(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        if state.life.is_detached() {
            return false;
        }
        if !state.head_wanted {
            state.task.is_polled_by(cx.waker());
            state.task.waits();
        }
        state.head_wanted
    }

    /// Whether something was sent, so that an error comes too late for a status.
    pub(super) fn has_sent(&self) -> bool {
        lock(&self.state).head_wanted
    }

    pub(super) fn on_close(&self, callback: CloseCallback) {
        let late = lock(&self.state).life.on_close(callback);
        if let Some((callback, reason)) = late {
            caught("an `on_close` callback", || callback(reason));
        }
    }

    /// Says that the connection is to end. Who watches for that may still send until it is decided: by the end of the
    /// stream's own source, or when the grace is over. If nobody does it is decided at once.
    pub(super) fn announce_end(&self, hub: &Hub, ending: Ending) {
        let until = hub.now().saturating_add(hub.options().closing_grace);
        let is_announced = lock(&self.state).life.announce(&ending, until);
        match is_announced {
            true => self.closing.notify_waiters(),
            false => self.end(ending),
        }
    }

    /// Decides the end: the farewell is written after what was sent. The first ending counts.
    pub(super) fn end(&self, ending: Ending) {
        let waker = {
            let mut state = lock(&self.state);
            if !state.end(self.attachment.get(), &ending) {
                return;
            }
            state.task.wake()
        };
        self.ended(waker);
    }

    /// What is to be done when an end is decided and the state is unlocked.
    fn ended(&self, waker: Option<Waker>) {
        self.room.notify_waiters();
        self.closing.notify_waiters();
        waker.into_iter().for_each(Waker::wake);
    }

    /// The stream has failed: error hooks may still send, but not decide another end.
    pub(super) fn fail(&self) {
        lock(&self.state).life.fail();
    }

    /// A connection hook refused: what follows is an ordinary answer.
    pub(super) fn reject(&self) {
        lock(&self.state).life.decide(&Ending {
            reason: CloseReason::Rejected,
            farewell: Farewell::End,
        });
    }

    /// The connection is over; `reason` counts if no end was decided before. Runs the callbacks, and starts the close
    /// hooks in a task of their own. Only the first call does anything, and gives the final reason.
    pub(super) fn finish(self: &Arc<Self>, reason: CloseReason) -> Option<CloseReason> {
        let (reason, was_live) = self.settle(reason)?;
        let attachment = self.attachment.get()?;
        hooks::spawn_close(SseStream::of(Arc::clone(self)), attachment, reason);
        // Last, so that a drain which sees no live connection finds the hooks' task.
        if was_live {
            attachment.hub.disconnected();
        }
        Some(reason)
    }

    /// Ends the state and runs the callbacks. `None` if that was done before.
    fn settle(&self, reason: CloseReason) -> Option<(CloseReason, bool)> {
        let Finished {
            reason,
            was_live,
            callbacks,
        } = lock(&self.state).finish(reason)?;
        self.room.notify_waiters();
        self.closing.notify_waiters();
        self.over.notify_waiters();
        for callback in callbacks {
            caught("an `on_close` callback", || callback(reason));
        }
        if let Some(hub) = self.known_hub() {
            hub.unregister(self.id);
        }
        Some((reason, was_live))
    }
}

impl Attachment {
    fn farewell(&self, ending: &Ending) -> Option<Bytes> {
        let options = self.hub.options();
        match &ending.farewell {
            Farewell::End => (!self.restart).then(|| control::end(options)),
            Farewell::Reconnect(retry) => Some(control::reconnect(options, *retry, ending.reason)),
            Farewell::Error(error) => Some(control::error(error)),
        }
    }
}

impl State {
    /// Takes over what was sent before it is live.
    fn take_over(&mut self, hub: &Hub, encoded: Vec<Result<Bytes, SseError>>) {
        let head = hub.head();
        for encoded in encoded {
            match encoded {
                Ok(bytes) => self.reader.tell(head, bytes),
                // A handle made without its app could not check against the app's options when it was sent to.
                Err(error) => {
                    self.life.decide(&Ending {
                        reason: CloseReason::Error,
                        farewell: Farewell::Error(error),
                    });
                }
            }
        }
    }

    /// Is live from now on. Gives an end that is to be decided at once.
    fn go_live(&mut self, hub: &Hub) -> Option<Ending> {
        let options = hub.options();
        self.reader.outbox.set_limits(options.backlog);
        self.liveness = Liveness::new(hub.now(), options.jittered_max_age());
        match self.life.go_live() {
            None if hub.is_closing() => Some(hub.shutdown_ending()),
            // Who is live when another sequence begins is ended by that.
            None if self.is_of_another_epoch(hub) => {
                Some(hub.reconnect_ending(CloseReason::ServerClosed))
            }
            ending => ending,
        }
    }

    /// Decides the end. False if another one counts.
    fn end(&mut self, attachment: Option<&Attachment>, ending: &Ending) -> bool {
        match (self.life.decide(ending), attachment) {
            (Decision::Refused, _) => return false,
            (Decision::Closes(ending), Some(attachment)) => {
                let at = attachment.hub.head();
                self.reader.end_at(at);
                if let Some(farewell) = attachment.farewell(&ending) {
                    self.reader.tell(at, farewell);
                }
            }
            // It is told when the connection is live.
            _ => {}
        }
        self.head_wanted = true;
        true
    }

    /// Is over: what waits is not written any more. `None` if it was over before.
    fn finish(&mut self, reason: CloseReason) -> Option<Finished> {
        let finished = self.life.finish(reason)?;
        self.reader.outbox.clear();
        self.reader.leave_all().for_each(drop);
        self.deferred.take_events();
        self.task = Task::default();
        Some(finished)
    }
}

impl Drop for Client {
    /// A handle that was never attached tells its callbacks that nothing came of it.
    fn drop(&mut self) {
        self.settle(CloseReason::Rejected);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::task::Poll;
    use std::thread;

    use helios_core::encode::Numberable;
    use helios_core::hub::Frame;

    use super::*;

    pub(super) fn live_client(hub: &Arc<Hub>) -> Arc<Client> {
        let client = Arc::new(Client::new());
        let attachment = Attachment {
            hub: Arc::clone(hub),
            hooks: Arc::new([]),
            accepted: AtomicUsize::new(0),
            mapper: None,
            last_event_id: None,
            restart: false,
            peer: None,
        };
        assert!(client.attach(attachment).is_ok());
        client.go_live(client.attachment.get().unwrap());
        client
    }

    /// Woken or not, the reader must not register behind an event that it has not seen.
    #[test]
    fn an_event_published_while_the_reader_waits_for_the_topic_is_read() {
        let hub = Hub::new();
        let client = live_client(&hub);
        let mut topic = hub.topics.everyone.lock();
        let reader = {
            let (hub, client) = (Arc::clone(&hub), Arc::clone(&client));
            thread::spawn(move || {
                client.poll_frame(&hub, Frame::default(), &Context::from_waker(Waker::noop()))
            })
        };
        // Until the reader has its own state; it then has ample time to come to wait for the topic.
        while client.state.try_lock().is_ok() {
            thread::yield_now();
        }
        for _ in 0..1_000 {
            thread::yield_now();
        }
        let event = Numberable::new(&SseEvent::text("x")).unwrap();
        hub.advance_to(hub.id(1));
        hub.push(&mut topic.ring, 1, &event, None);
        drop(topic);
        let polled = reader.join().unwrap();
        assert_eq!(
            polled,
            Poll::Ready(Some(Bytes::from_static(b"data: x\n\n")))
        );
    }

    #[test]
    fn a_failed_stream_that_is_behind_keeps_its_last_words() {
        let hub = Hub::new();
        let client = live_client(&hub);
        client.fail();
        let apology = client
            .prepare(SseEvent::text("sorry"), Origin::Own)
            .unwrap();
        client.push(&apology, None).unwrap();
        client.end_as_slow();
        let polled = client.poll_frame(&hub, Frame::default(), &Context::from_waker(Waker::noop()));
        assert_eq!(
            polled,
            Poll::Ready(Some(Bytes::from_static(b"data: sorry\n\n")))
        );
        assert_eq!(hub.counters.slow_closes.load(Ordering::Relaxed), 0);
    }
}
