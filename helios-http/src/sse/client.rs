//! The state of one SSE connection, from its handle's making to its last byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use helios_core::encode::{KEEP_ALIVE, encode};
use helios_core::event::SseEvent;
use helios_core::hub::{Cursor, FRAME_BYTES, Frame, Outbox, OutboxLimits, gather};
use helios_core::interceptor::{MapData, map_through};
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::sse::{ClientId, CloseReason, SseError};
use tokio::sync::Notify;

use super::control;
use super::hooks::{self, SseHooks};
use super::hub::{Hub, Slot, lock};
use super::stream::SseStream;
use crate::panics::caught;
use crate::peer::Peer;

/// Runs when the connection is over.
pub(super) type CloseCallback = Box<dyn FnOnce(CloseReason) + Send>;

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
    /// Signalled when the connection is over.
    pub(super) over: Notify,
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
    phase: Phase,
    /// Set once the end is decided, also before the handle is attached.
    ending: Option<Ending>,
    /// Events sent while detached.
    queued: Vec<(SseEvent, Origin)>,
    queued_bytes: usize,
    outbox: Outbox,
    cursor: Cursor,
    slot: Option<Slot>,
    waker: Option<Waker>,
    /// The response head may leave.
    head_wanted: bool,
    /// The stream has failed, and its error hooks run: nothing but the error ends it.
    failing: bool,
    callbacks: Vec<CloseCallback>,
    keep_alive_due: bool,
    last_write: Duration,
    polled: bool,
    idle_since: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Detached,
    Live,
    /// No more is sent; what is published after this number is not for it.
    Closing(u64),
    Finished(CloseReason),
}

/// How a connection ends.
#[derive(Clone)]
pub(super) struct Ending {
    pub(super) reason: CloseReason,
    pub(super) farewell: Farewell,
}

/// The last word to the client.
#[derive(Clone)]
pub(super) enum Farewell {
    End,
    Reconnect(Duration),
    Error(SseError),
}

/// Who sends an event: closure interceptors map only what the route itself sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Own,
    ById,
}

/// An event checked and, if the connection is attached, encoded.
pub(super) enum Prepared {
    Queued(SseEvent, Origin, usize),
    Encoded(Bytes),
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            id: ClientId::from_random_bytes(*uuid::Uuid::new_v4().as_bytes()),
            hub: OnceLock::new(),
            attachment: OnceLock::new(),
            room: Notify::new(),
            over: Notify::new(),
            state: Mutex::new(State {
                phase: Phase::Detached,
                ending: None,
                queued: Vec::new(),
                queued_bytes: 0,
                outbox: Outbox::new(OutboxLimits::default()),
                cursor: Cursor::default(),
                slot: None,
                waker: None,
                head_wanted: false,
                failing: false,
                callbacks: Vec::new(),
                keep_alive_due: false,
                last_write: Duration::ZERO,
                polled: false,
                idle_since: None,
            }),
        }
    }

    /// Lets the hub find the client by its id.
    pub(super) fn register_at(self: &Arc<Self>, hub: &Arc<Hub>) {
        if self.hub.set(Arc::downgrade(hub)).is_ok() {
            hub.register(self);
        }
    }

    /// Binds the connection to its request.
    pub(super) fn attach(self: &Arc<Self>, attachment: Attachment) -> Result<(), SseError> {
        let hub = Arc::clone(&attachment.hub);
        self.attachment
            .set(attachment)
            .map_err(|_| SseError::AlreadyAttached)?;
        self.register_at(&hub);
        Ok(())
    }

    /// Moves what was queued into the outbox and joins the built-in topic.
    pub(super) fn go_live(&self, attachment: &Attachment) {
        let hub = &attachment.hub;
        loop {
            let queued = std::mem::take(&mut lock(&self.state).queued);
            let encode = |(event, origin)| attachment.encode(event, origin);
            let (encoded, refused): (Vec<_>, Vec<_>) =
                queued.into_iter().map(encode).partition(Result::is_ok);
            let mut state = lock(&self.state);
            let head = hub.head();
            for bytes in encoded.into_iter().flatten() {
                state.outbox.push_unbounded(head, bytes);
            }
            // A handle made without its app could not check against the app's options when it was sent to.
            if let Some(error) = refused.into_iter().find_map(Result::err) {
                state.ending.get_or_insert(Ending {
                    reason: CloseReason::Error,
                    farewell: Farewell::Error(error),
                });
            }
            if !state.queued.is_empty() {
                continue;
            }
            state.phase = Phase::Live;
            state.outbox.set_limits(hub.options().backlog);
            state.cursor = hub.everyone.tail();
            state.last_write = hub.now();
            let ending = match state.ending.take() {
                None if hub.is_closing() => Some(hub.shutdown_ending()),
                ending => ending,
            };
            drop(state);
            hub.connected();
            if let Some(ending) = ending {
                self.end(ending);
            }
            return;
        }
    }

    /// Checks and encodes outside of the lock: interceptors are user code.
    pub(super) fn prepare(&self, event: SseEvent, origin: Origin) -> Result<Prepared, SseError> {
        match self.attachment.get() {
            Some(attachment) if self.is_live() => {
                attachment.encode(event, origin).map(Prepared::Encoded)
            }
            _ => {
                let hub = self.hub.get().and_then(Weak::upgrade);
                let encoded = hub.map_or_else(|| Ok(encode(&event)?), |hub| hub.encode(&event))?;
                Ok(Prepared::Queued(event, origin, encoded.len()))
            }
        }
    }

    /// Whether `send` need not wait: there is room, or waiting would be in vain.
    pub(super) fn has_room(&self) -> bool {
        let state = lock(&self.state);
        state.phase != Phase::Live || state.outbox.has_room(HIGH_WATER)
    }

    pub(super) fn push(&self, prepared: &Prepared) -> Result<(), SseError> {
        let waker = {
            let mut state = lock(&self.state);
            if let Some(reason) = state.closed_reason() {
                return Err(SseError::Closed(reason));
            }
            match (prepared, state.phase) {
                (Prepared::Queued(event, origin, size), Phase::Detached) => {
                    state.queue(event.clone(), *origin, *size)?;
                }
                (Prepared::Encoded(bytes), _) => state.outbox.push(self.head(), bytes.clone())?,
                // It went live between `prepare` and here.
                (Prepared::Queued(event, origin, _), _) => {
                    drop(state);
                    return self.push(&self.prepare(event.clone(), *origin)?);
                }
            }
            state.head_wanted = true;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Pushes for `send().await`; `None` if it has to wait for the client to read.
    pub(super) fn push_if_room(&self, prepared: &Prepared) -> Option<Result<(), SseError>> {
        if !self.has_room() {
            return None;
        }
        match self.push(prepared) {
            Err(SseError::Full) if self.is_live() => None,
            sent => Some(sent),
        }
    }

    /// No more can be sent.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed_reason().is_some()
    }

    /// The reason, once the connection is over.
    pub(super) fn finished(&self) -> Option<CloseReason> {
        match lock(&self.state).phase {
            Phase::Finished(reason) => Some(reason),
            _ => None,
        }
    }

    fn head(&self) -> u64 {
        let attachment = self.attachment.get();
        attachment.map_or(0, |attachment| attachment.hub.head())
    }

    /// Sends by id: never waits, and a client that does not keep up is closed.
    pub(super) fn send_by_id(&self, event: SseEvent) -> Result<(), SseError> {
        match self
            .prepare(event, Origin::ById)
            .and_then(|event| self.push(&event))
        {
            Err(SseError::Full) if self.is_live() => {
                self.end_as_slow();
                Err(SseError::Closed(CloseReason::SlowClient))
            }
            sent => sent,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(lock(&self.state).phase, Phase::Live | Phase::Closing(_))
    }

    pub(super) fn request_head(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.head_wanted = true;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether the response head may leave; else `waker` is woken when it may.
    pub(super) fn poll_head(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        if state.phase == Phase::Detached {
            return false;
        }
        if !state.head_wanted {
            state.waker = Some(cx.waker().clone());
        }
        state.head_wanted
    }

    /// Whether events wait, so that an error comes too late for a status.
    pub(super) fn has_sent(&self) -> bool {
        let state = lock(&self.state);
        state.head_wanted || !state.queued.is_empty()
    }

    pub(super) fn on_close(&self, callback: CloseCallback) {
        let reason = {
            let mut state = lock(&self.state);
            let Phase::Finished(reason) = state.phase else {
                state.callbacks.push(callback);
                return;
            };
            reason
        };
        caught("an `on_close` callback", || callback(reason));
    }

    /// Decides the end: the farewell is written after what was sent. The first ending counts.
    pub(super) fn end(&self, ending: Ending) {
        let waker = {
            let mut state = lock(&self.state);
            let refused = state.failing && ending.reason != CloseReason::Error;
            if refused || state.closed_reason().is_some() {
                return;
            }
            if let (Phase::Live, Some(attachment)) = (state.phase, self.attachment.get()) {
                let at = attachment.hub.head();
                state.phase = Phase::Closing(at);
                if let Some(farewell) = attachment.farewell(&ending) {
                    state.outbox.push_unbounded(at, farewell);
                }
            }
            state.ending = Some(ending);
            state.head_wanted = true;
            state.waker.take()
        };
        self.room.notify_waiters();
        waker.into_iter().for_each(Waker::wake);
    }

    /// The stream has failed: error hooks may still send, but not decide another end.
    pub(super) fn fail(&self) {
        lock(&self.state).failing = true;
    }

    /// A connection hook refused: what follows is an ordinary answer.
    pub(super) fn reject(&self) {
        lock(&self.state).ending.get_or_insert(Ending {
            reason: CloseReason::Rejected,
            farewell: Farewell::End,
        });
    }

    /// Ends a live connection whose client is too far behind. One that is ending already, or has
    /// failed, keeps its last words.
    fn end_as_slow(&self) {
        let Some(attachment) = self.attachment.get() else {
            return;
        };
        let hub = &attachment.hub;
        {
            let mut state = lock(&self.state);
            if state.phase != Phase::Live || state.failing {
                return;
            }
            let dropped = state.outbox.len() as u64;
            state.outbox.clear();
            hub.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
            hub.counters.slow_closes.fetch_add(1, Ordering::Relaxed);
        }
        self.end(Ending {
            reason: CloseReason::SlowClient,
            farewell: Farewell::Reconnect(control::jittered(hub.options().retry)),
        });
    }

    /// Gathers the next frame behind what `frame` holds already. `None` is the end of the stream.
    pub(super) fn poll_frame(&self, mut frame: Frame, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let Some(attachment) = self.attachment.get() else {
            return Poll::Ready(None);
        };
        let hub = &attachment.hub;
        let mut state = lock(&self.state);
        state.polled = true;
        let mut topic = hub.everyone.lock();
        // Loaded under the topic's lock: what is published after it finds this reader registered and wakes it.
        let head = match state.phase {
            Phase::Finished(_) | Phase::Detached => return Poll::Ready(None),
            Phase::Live => hub.head(),
            Phase::Closing(at) => at,
        };
        let State { cursor, outbox, .. } = &mut *state;
        if gather(&mut frame, &topic.ring, cursor, outbox, head, self.id).is_err() {
            // If the end is decided already, what was sent to this client alone is still owed to it.
            state.cursor = topic.ring.tail();
            drop((topic, state));
            self.end_as_slow();
            return self.poll_frame(frame, cx);
        }
        let keep_alive_due = std::mem::take(&mut state.keep_alive_due);
        if frame.is_empty() && keep_alive_due {
            frame = Frame::opening(KEEP_ALIVE);
        }
        if !frame.is_empty() {
            state.last_write = hub.now();
            drop((topic, state));
            self.room.notify_waiters();
            hub.counters
                .delivered
                .fetch_add(frame.events(), Ordering::Relaxed);
            hub.counters
                .bytes
                .fetch_add(frame.len() as u64, Ordering::Relaxed);
            return Poll::Ready(Some(frame.into_bytes()));
        }
        if matches!(state.phase, Phase::Closing(_)) {
            return Poll::Ready(None);
        }
        topic.waiting.register(&mut state.slot, cx.waker());
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// One heartbeat: keep-alive after silence, and the end of a client that does not read.
    pub(super) fn beat(self: &Arc<Self>, hub: &Hub) {
        let options = hub.options();
        let now = hub.now();
        let mut state = lock(&self.state);
        let lag = hub.everyone.lock().ring.lag(state.cursor);
        let behind = lag.events + state.outbox.len() as u64;
        let behind_bytes = lag.bytes + state.outbox.bytes() as u64;
        let silent = now.saturating_sub(state.last_write);
        if options.keep_alive.is_some_and(|after| silent >= after) {
            state.keep_alive_due = true;
        }
        let waiting = behind > 0 || state.keep_alive_due;
        if std::mem::take(&mut state.polled) || !waiting {
            state.idle_since = None;
        } else {
            state.idle_since.get_or_insert(now);
        }
        let idle_since = state.idle_since;
        let stuck =
            idle_since.is_some_and(|since| now.saturating_sub(since) >= options.stuck_after);
        let waker = state.keep_alive_due.then(|| state.waker.take()).flatten();
        drop(state);
        if stuck {
            self.cut();
        } else if behind > options.backlog.events as u64
            || behind_bytes > options.backlog.bytes as u64
        {
            self.end_as_slow();
        }
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ends a connection that nobody polls: its body will not end by itself.
    fn cut(self: &Arc<Self>) {
        self.end_as_slow();
        self.finish(CloseReason::SlowClient);
        if let Some(peer) = self
            .attachment
            .get()
            .and_then(|attachment| attachment.peer.as_ref())
        {
            peer.cut();
        }
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
        let (reason, was_live, callbacks) = {
            let mut state = lock(&self.state);
            if matches!(state.phase, Phase::Finished(_)) {
                return None;
            }
            let was_live = state.phase != Phase::Detached;
            let reason = state.closed_reason().unwrap_or(reason);
            state.phase = Phase::Finished(reason);
            state.outbox.clear();
            state.queued = Vec::new();
            state.waker = None;
            if let Some(attachment) = self.attachment.get() {
                attachment
                    .hub
                    .everyone
                    .lock()
                    .waiting
                    .cancel(&mut state.slot);
            }
            (reason, was_live, std::mem::take(&mut state.callbacks))
        };
        self.room.notify_waiters();
        self.over.notify_waiters();
        for callback in callbacks {
            caught("an `on_close` callback", || callback(reason));
        }
        if let Some(hub) = self.hub.get().and_then(Weak::upgrade) {
            hub.forget(self.id);
        }
        Some((reason, was_live))
    }
}

impl Attachment {
    /// The bytes of an event as this connection gets it.
    fn encode(&self, event: SseEvent, origin: Origin) -> Result<Bytes, SseError> {
        let event = match &self.mapper {
            Some(mapper) if origin == Origin::Own => mapper.map(event),
            _ => event,
        };
        self.hub.encode(&event)
    }

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
    /// The reason of the end, once it is decided.
    fn closed_reason(&self) -> Option<CloseReason> {
        match (&self.ending, self.phase) {
            (_, Phase::Finished(reason)) => Some(reason),
            (Some(ending), _) => Some(ending.reason),
            (None, _) => None,
        }
    }

    fn queue(&mut self, event: SseEvent, origin: Origin, size: usize) -> Result<(), SseError> {
        let limits = OutboxLimits::default();
        if self.queued.len() >= limits.events || self.queued_bytes + size > limits.bytes {
            return Err(SseError::Full);
        }
        self.queued_bytes += size;
        self.queued.push((event, origin));
        Ok(())
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
    use std::thread;

    use super::*;

    fn live_client(hub: &Arc<Hub>) -> Arc<Client> {
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
        let mut topic = hub.everyone.lock();
        let reader = {
            let client = Arc::clone(&client);
            thread::spawn(move || {
                client.poll_frame(Frame::default(), &Context::from_waker(Waker::noop()))
            })
        };
        // Until the reader has its own state; it then has ample time to come to wait for the topic.
        while client.state.try_lock().is_ok() {
            thread::yield_now();
        }
        for _ in 0..1_000 {
            thread::yield_now();
        }
        hub.publish(&mut topic, Bytes::from_static(b"data: x\n\n"), None);
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
        client.push(&apology).unwrap();
        client.end_as_slow();
        let polled = client.poll_frame(Frame::default(), &Context::from_waker(Waker::noop()));
        assert_eq!(
            polled,
            Poll::Ready(Some(Bytes::from_static(b"data: sorry\n\n")))
        );
        assert_eq!(hub.counters.slow_closes.load(Ordering::Relaxed), 0);
    }
}
