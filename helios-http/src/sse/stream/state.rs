//! The state of one stream, from its handle's making to its last byte: how it begins and how it ends.
//!
//! All handles of a stream share its [`StreamState`]. [`Parts`] holds what changes, behind one lock. The methods of `Parts` say
//! what follows ([`Effects`]); it is done when the lock is open again.
//!
//! Its stages are those of [`StreamLifecycle`]:
//!
//! ```text
//! Detached --attached, hooks accept--> Live ----------- end decided ----------> Closing --last byte taken--> Finished
//!     \                                   \--source fails--> Failing --hooks done--/                             /
//!      \--dropped, refused------------------------------ stream dropped, cut -----------------------------------/
//! ```
//!
//! An end that is decided while it is detached is kept, and written as soon as it is live. While it is failing the error
//! hooks run, and only the error ends it. The end is decided once ([`StreamState::end`]), written after what was sent before
//! it, and reported once ([`StreamState::finish`]).

mod appearing;
mod effects;
mod joining;
mod position;
#[cfg(test)]
mod races;
mod reading;
mod reset;
mod sending;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use helios_core::hub::{BacklogLimits, Liveness, Subscriber};
use helios_core::sse::{ClientId, CloseReason, SseError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::panics::caught;
use crate::sse::hub::topics::Membership;
use crate::sse::hub::{Hub, node};
use crate::sse::options::Drain;
use crate::sse::stream::data::StreamData;
use crate::sse::stream::deferred::Deferred;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::hook_tasks;
use crate::sse::stream::lifecycle::{
    CloseCallback, Decision, EndEvent, Ending, Finish, StreamLifecycle,
};
use crate::sse::stream::route::{EndForm, StreamRequest, StreamRoute};
use crate::sse::stream::task::PollTask;
use crate::sse::streams::Streams;
use crate::sync::{lock, until};
use effects::Effects;
use reset::PendingAnswer;

pub(crate) use position::Beginning;
pub(crate) use reading::{BrokenOff, Chunk};

/// Its fields lie in memory in this order, and so do those of its parts: what each event looks at comes first.
#[repr(C)]
pub(crate) struct StreamState {
    parts: Mutex<Parts>,
    pub(crate) id: ClientId,
    /// The [`SseStream`]s there are of it.
    pub(crate) handles: AtomicUsize,
    /// Set when the stream is known by its id.
    streams: OnceLock<Weak<Streams>>,
    /// Set when the stream is attached to its request.
    request: OnceLock<StreamRequest>,
    /// Signalled when the outbox has been read from.
    pub(crate) room: Notify,
    /// Signalled when the end is announced or decided.
    pub(crate) closing: Notify,
    /// Signalled when the stream is over.
    pub(crate) over: Notify,
    pub(crate) data: StreamData,
}

#[repr(C)]
struct Parts {
    task: PollTask,
    head: HeadStage,
    reader: Subscriber<Membership>,
    liveness: Liveness,
    lifecycle: StreamLifecycle,
    deferred: Deferred,
    /// The stream has no source any more: it lives on by its handles and its topics.
    is_driven: bool,
    /// The id that the client had when it was reset at the beginning, or by another epoch: none of the hub's sequence.
    id_before: Option<Box<str>>,
    /// How many answers of the hooks have begun.
    answers: u64,
    /// What the hooks are to answer behind what they are answering.
    next_answer: Option<Box<PendingAnswer>>,
    /// Another epoch has begun since its first topic was joined, and before the response head leaves.
    begins_anew: bool,
    /// It is told no position before its snapshot.
    awaits_snapshot: bool,
    /// When what the client was let in with expires.
    expires_at: Option<Instant>,
    /// The response breaks off behind what is still to be written.
    breaks_off: bool,
}

/// How far the response head has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HeadStage {
    /// An error may still become an ordinary answer.
    Held,
    /// The source has nothing to say yet, and the head need not wait for it any longer.
    MayLeave,
    /// Something was sent: an error comes too late for a status.
    Wanted,
    /// A topic that is joined from now on is not resumed.
    Left,
}

impl StreamState {
    pub(crate) fn new() -> Self {
        let random = *uuid::Uuid::new_v4().as_bytes();
        Self::with_id(match node::of_new_stream() {
            Some(node) => ClientId::of_node(node, random),
            None => ClientId::from_random_bytes(random),
        })
    }

    /// One that this hub knows from its beginning.
    pub(crate) fn of_hub(hub: &Hub) -> Self {
        let random = *uuid::Uuid::new_v4().as_bytes();
        Self::with_id(ClientId::of_node(hub.node, random))
    }

    fn with_id(id: ClientId) -> Self {
        Self {
            parts: Mutex::new(Parts {
                task: PollTask::default(),
                head: HeadStage::Held,
                reader: Subscriber::new(id, BacklogLimits::default()),
                liveness: Liveness::default(),
                lifecycle: StreamLifecycle::detached(),
                deferred: Deferred::default(),
                is_driven: false,
                id_before: None,
                answers: 0,
                next_answer: None,
                begins_anew: false,
                awaits_snapshot: false,
                expires_at: None,
                breaks_off: false,
            }),
            id,
            handles: AtomicUsize::new(0),
            streams: OnceLock::new(),
            request: OnceLock::new(),
            room: Notify::new(),
            closing: Notify::new(),
            over: Notify::new(),
            data: StreamData::default(),
        }
    }

    /// Changes the state under its lock, and does what follows when the lock is open again.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut Parts, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = change(&mut lock(&self.parts), &mut effects);
        effects.carry_out(self);
        result
    }

    /// Lets the stream be found by its id.
    pub(crate) fn register_with(self: &Arc<Self>, streams: &Arc<Streams>) {
        if self.streams.set(Arc::downgrade(streams)).is_ok() {
            streams.register(self);
        }
    }

    fn streams(&self) -> Option<Arc<Streams>> {
        self.streams.get().and_then(Weak::upgrade)
    }

    /// What the stream has learnt from its request; `None` as long as it is detached.
    pub(crate) fn request(&self) -> Option<&StreamRequest> {
        self.request.get()
    }

    /// Binds the stream to its request.
    pub(crate) fn attach(self: &Arc<Self>, request: StreamRequest) -> Result<(), SseError> {
        if let Some(reason) = self.finished() {
            return Err(SseError::Closed(reason));
        }
        let streams = Arc::clone(&request.route.streams);
        let is_of_another = |known: &Weak<Streams>| !known.ptr_eq(&Arc::downgrade(&streams));
        if self.streams.get().is_some_and(is_of_another) {
            return Err(SseError::OtherApp);
        }
        let attached = self.request.set(request);
        attached.map_err(|_| SseError::AlreadyAttached)?;
        self.register_with(&streams);
        Ok(())
    }

    /// Is live from now on: what is broadcast reaches it, and what was queued is written.
    pub(crate) fn go_live(self: &Arc<Self>, request: &StreamRequest) {
        let streams = &request.route.streams;
        let hub = &*streams.hub;
        self.join_everyone(request);
        let ending = loop {
            let queued = lock(&self.parts).deferred.take_events();
            let encode = |(event, origin)| self.encode_for(request, event, origin);
            let encoded: Vec<_> = queued.into_iter().map(encode).collect();
            let live = self.change(|parts, effects| {
                let head = parts.keep_up(hub, Some(request), effects);
                parts.take_over(head, encoded);
                let is_all = !parts.deferred.has_events();
                is_all.then(|| parts.go_live(&request.route))
            });
            if let Some(ending) = live {
                break ending;
            }
        };
        streams.went_live();
        streams.tell_if_stale(self);
        if let Some(ending) = ending {
            self.end(&ending);
        }
    }

    /// No more can be sent.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.parts).lifecycle.closed_reason().is_some()
    }

    /// The reason, once the stream is over.
    pub(crate) fn finished(&self) -> Option<CloseReason> {
        lock(&self.parts).lifecycle.finished_reason()
    }

    /// Returns the reason once the end is announced or decided. Until then, notes that somebody watches for it.
    pub(crate) fn closing_reason(&self) -> Option<CloseReason> {
        lock(&self.parts).lifecycle.watch()
    }

    pub(crate) fn is_live(&self) -> bool {
        lock(&self.parts).lifecycle.is_live()
    }

    /// The head need not wait for what the source says first.
    pub(crate) fn let_head_leave(&self) {
        lock(&self.parts).raise_head(HeadStage::MayLeave);
    }

    /// The head is to leave now.
    pub(crate) fn request_head(self: &Arc<Self>) {
        self.change(|parts, effects| {
            parts.raise_head(HeadStage::Wanted);
            effects.wake(&mut parts.task);
        });
    }

    /// Whether the response head may leave; else the task of `cx` is woken when it may.
    pub(crate) fn poll_head(&self, cx: &Context<'_>) -> bool {
        let mut parts = lock(&self.parts);
        if parts.lifecycle.is_detached() {
            return false;
        }
        let may_leave = parts.head >= HeadStage::MayLeave;
        if !may_leave {
            parts.task.is_polled_by(cx.waker());
            parts.task.waits();
        }
        may_leave
    }

    /// Whether something was sent, so that an error comes too late for a status.
    pub(crate) fn has_sent(&self) -> bool {
        lock(&self.parts).head >= HeadStage::Wanted
    }

    pub(crate) fn on_close(&self, callback: CloseCallback) {
        let late = lock(&self.parts).lifecycle.on_close(callback);
        if let Some((callback, reason)) = late {
            caught("an `on_close` callback", || callback(reason));
        }
    }

    /// The stream is to end then, unless another time is set before.
    pub(crate) fn expire_at(&self, at: Option<Instant>) {
        lock(&self.parts).expires_at = at;
    }

    /// Says that the stream is to end for this reason, and its client to come back. Those who watch for that may still send
    /// until it is decided: by the end of the stream's own source, or when the `grace` is over. If nobody watches it is
    /// decided at once.
    pub(crate) fn announce_end(self: &Arc<Self>, reason: CloseReason, grace: Duration) {
        let Some(StreamRequest { route, .. }) = self.request() else {
            return;
        };
        let ending = route.reconnect_ending(reason);
        let until = route.hub().now().saturating_add(grace);
        let is_announced = self.change(|parts, effects| {
            effects.closing = parts.lifecycle.announce(&ending, until);
            effects.closing
        });
        if !is_announced {
            self.end(&ending);
        }
    }

    /// Says that the server goes down, and that the stream may come to its own end within this time.
    pub(crate) fn let_finish(self: &Arc<Self>, within: Duration) {
        if let Some(StreamRequest { route, .. }) = self.request() {
            let ending = route.reconnect_ending(CloseReason::Shutdown);
            let until = route.hub().now().saturating_add(within);
            self.change(|parts, effects| {
                parts.lifecycle.let_finish(&ending, until);
                effects.closing = true;
            });
        }
    }

    /// Whether this becomes of the stream when the server goes down.
    pub(crate) fn drains_as(&self, drain: Drain) -> bool {
        let request = self.request();
        request.is_some_and(|request| request.route.options.drain == drain)
    }

    /// Ends the stream, and its client is to come back.
    pub(crate) fn send_away(self: &Arc<Self>, reason: CloseReason) {
        if let Some(StreamRequest { route, .. }) = self.request() {
            self.end(&route.reconnect_ending(reason));
        }
    }

    /// Waits until the stream is over.
    pub(crate) async fn wait_until_over(&self) -> CloseReason {
        until(&self.over, || self.finished()).await
    }

    /// Decides the end: its event is written after what was sent. The first ending counts.
    pub(crate) fn end(self: &Arc<Self>, ending: &Ending) {
        self.change(|parts, effects| parts.end(self.request(), ending, effects));
    }

    /// The stream's source is done, and its handles drive it from now on.
    pub(crate) fn leave_to_handles(&self) {
        lock(&self.parts).is_driven = true;
    }

    /// The stream has failed: error hooks may still send, but not decide another end.
    pub(crate) fn fail(&self) {
        lock(&self.parts).lifecycle.fail();
    }

    /// It is refused, by a connection hook or for want of what its client has missed: what follows is an ordinary answer.
    pub(crate) fn reject(&self) {
        lock(&self.parts).lifecycle.decide(&Ending {
            reason: CloseReason::Rejected,
            event: EndEvent::End,
        });
    }

    /// The stream is over; `reason` counts if no end was decided before. Runs the callbacks, and starts the close
    /// hooks in a task of their own. Only the first call does anything.
    pub(crate) fn finish(self: &Arc<Self>, reason: CloseReason) {
        let Some((reason, was_live)) = self.settle(reason) else {
            return;
        };
        let Some(request) = self.request() else {
            return;
        };
        hook_tasks::spawn_close(SseStream::of(Arc::clone(self)), request, reason);
        // Last, so that a drain which sees no live stream finds the hooks' task.
        if was_live {
            request.route.streams.ended();
        }
    }

    /// Ends the state and runs the callbacks. `None` if that was done before.
    fn settle(&self, reason: CloseReason) -> Option<(CloseReason, bool)> {
        let Finish {
            reason,
            was_live,
            callbacks,
        } = lock(&self.parts).finish(reason)?;
        self.room.notify_waiters();
        self.closing.notify_waiters();
        self.over.notify_waiters();
        for callback in callbacks {
            caught("an `on_close` callback", || callback(reason));
        }
        if let Some(streams) = self.streams() {
            streams.unregister(self.id);
        }
        Some((reason, was_live))
    }
}

impl Parts {
    fn raise_head(&mut self, head: HeadStage) {
        self.head = self.head.max(head);
    }

    /// Takes over what was sent before it is live.
    fn take_over(&mut self, head: u64, encoded: Vec<Result<Bytes, SseError>>) {
        for encoded in encoded {
            match encoded {
                Ok(bytes) => self.reader.push_control(head, bytes),
                // A handle made without its app could not check against the app's options when it was sent to.
                Err(error) => {
                    self.lifecycle.decide(&Ending {
                        reason: CloseReason::Error,
                        event: EndEvent::Error(error),
                    });
                }
            }
        }
    }

    /// Is live from now on. Gives an end that is to be decided at once.
    fn go_live(&mut self, route: &StreamRoute) -> Option<Ending> {
        let (streams, hub) = (&route.streams, route.hub());
        let options = hub.options();
        self.reader.outbox.set_limits(options.backlog);
        self.liveness = Liveness::new(hub.now(), options.jittered_max_age());
        match self.lifecycle.go_live() {
            None if streams.is_closing() => self.come_late(route),
            ending => ending,
        }
    }

    /// Is live when the server is going down already. Gives the end that is to be decided at once, unless it may finish.
    fn come_late(&mut self, route: &StreamRoute) -> Option<Ending> {
        let ending = route.reconnect_ending(CloseReason::Shutdown);
        let until = route.streams.finish_until.get();
        match until.filter(|_| route.options.drain == Drain::Finish) {
            Some(until) => {
                self.lifecycle.let_finish(&ending, *until);
                None
            }
            None => Some(ending),
        }
    }

    /// Decides the end, unless another one counts.
    fn end(&mut self, request: Option<&StreamRequest>, ending: &Ending, effects: &mut Effects) {
        let at = match request {
            Some(StreamRequest { route, .. }) => self.keep_up(route.hub(), request, effects),
            None => 0,
        };
        match (self.lifecycle.decide(ending), request) {
            (Decision::Refused, _) => return,
            (Decision::Closes(ending), Some(StreamRequest { route, .. })) => {
                match route.end_form(&ending) {
                    EndForm::Mark(event) => {
                        self.reader.complete_at(at);
                        self.reader.push_position(at, event);
                    }
                    EndForm::Complete => self.reader.complete_at(at),
                    EndForm::Event(event) => {
                        self.reader.end_at(at);
                        self.reader.push_control(at, event);
                    }
                    EndForm::BreakOff => {
                        self.reader.end_at(at);
                        self.breaks_off = true;
                    }
                }
            }
            // It is told when the stream is live.
            (Decision::Closes(_) | Decision::Kept, _) => {}
        }
        self.raise_head(HeadStage::Wanted);
        effects.made_room = true;
        effects.closing = true;
        effects.wake(&mut self.task);
    }

    /// Is over: what waits is not written any more. `None` if it was over before.
    fn finish(&mut self, reason: CloseReason) -> Option<Finish> {
        let finished = self.lifecycle.finish(reason)?;
        self.reader.outbox.clear();
        self.reader.leave_all().for_each(drop);
        self.deferred.take_events();
        self.task = PollTask::default();
        Some(finished)
    }
}

impl Drop for StreamState {
    /// A handle that was never attached tells its callbacks that nothing came of it.
    fn drop(&mut self) {
        self.settle(CloseReason::Rejected);
    }
}

#[cfg(test)]
fn request_to(streams: &Arc<Streams>) -> StreamRequest {
    StreamRequest {
        route: StreamRoute::bare(Arc::clone(streams), helios_core::route::Verb::Get),
        accepted: Default::default(),
        shown: None,
        last_event_id: None,
        peer: None,
        kept: None,
        user: None,
    }
}

#[cfg(test)]
fn live_stream(streams: &Arc<Streams>) -> Arc<StreamState> {
    let stream = Arc::new(StreamState::new());
    assert!(stream.attach(request_to(streams)).is_ok());
    stream.go_live(stream.request().unwrap());
    stream
}
