//! The state of one stream, from the creation of its handle to its last byte. This file contains how it begins and how
//! it ends.
//!
//! All handles of a stream share its [`StreamState`]. [`Parts`] holds everything that changes, behind one lock. The
//! methods of `Parts` return [`Effects`], which are carried out after the lock is released.
//!
//! Its stages are those of [`StreamLifecycle`]:
//!
//! ```text
//! Detached --attached, hooks accept--> Live ----------- end decided ----------> Closing --last byte taken--> Finished
//!     \                                   \--source fails--> Failing --hooks done--/                             /
//!      \--dropped, refused------------------------------ stream dropped, cut -----------------------------------/
//! ```
//!
//! An end that is decided while the stream is detached is kept, and written as soon as it is live. While it is failing,
//! the error hooks run, and only the error ends it. The end is decided once ([`StreamState::end`]), written after
//! everything that was sent before it, and reported once ([`StreamState::finish`]).

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

/// The fields lie in memory in this order, and so do those of its parts. The fields needed for each event come first.
#[repr(C)]
pub(crate) struct StreamState {
    parts: Mutex<Parts>,
    pub(crate) id: ClientId,
    /// The number of [`SseStream`]s of this stream.
    pub(crate) handles: AtomicUsize,
    /// Set when the stream is registered by its id.
    streams: OnceLock<Weak<Streams>>,
    /// Set when the stream is attached to its request.
    request: OnceLock<StreamRequest>,
    /// Signalled when the outbox has been read from.
    pub(crate) room: Notify,
    /// Signalled when the end is announced or decided.
    pub(crate) closing: Notify,
    /// Signalled when the stream has ended.
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
    /// Whether the stream has no source any more, and lives on by its handles and its topics.
    is_driven: bool,
    /// The id that the client had when it was reset at the beginning or by another epoch. It is not of the hub's
    /// current sequence.
    id_before: Option<Box<str>>,
    /// How many answers of the hooks have begun.
    answers: u64,
    /// The answer that the hooks give after the current one.
    next_answer: Option<Box<PendingAnswer>>,
    /// Whether another epoch has begun after the first topic was joined and before the response head leaves.
    begins_anew: bool,
    /// Whether the client gets no position before its snapshot.
    awaits_snapshot: bool,
    /// When the client's credential expires.
    expires_at: Option<Instant>,
    /// Whether the response breaks off after the events that are still to be written.
    breaks_off: bool,
}

/// The stages of the response head.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HeadStage {
    /// An error may still become an ordinary response.
    Held,
    /// The source has sent nothing yet, and the head no longer waits for it.
    MayLeave,
    /// Something was sent, so an error is too late for a status.
    Wanted,
    /// Topics that are joined from now on are not resumed.
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

    /// Creates the state of a stream that this hub knows from its beginning.
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

    /// Changes the state under its lock, and carries out the effects after the lock is released.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut Parts, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = change(&mut lock(&self.parts), &mut effects);
        effects.carry_out(self);
        result
    }

    /// Registers the stream by its id.
    pub(crate) fn register_with(self: &Arc<Self>, streams: &Arc<Streams>) {
        if self.streams.set(Arc::downgrade(streams)).is_ok() {
            streams.register(self);
        }
    }

    fn streams(&self) -> Option<Arc<Streams>> {
        self.streams.get().and_then(Weak::upgrade)
    }

    /// Returns the values taken from the stream's request, or `None` while it is detached.
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

    /// Makes the stream live. Broadcasts reach it, and queued events are written.
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

    /// Whether no more can be sent.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.parts).lifecycle.closed_reason().is_some()
    }

    /// Returns the reason once the stream has ended.
    pub(crate) fn finished(&self) -> Option<CloseReason> {
        lock(&self.parts).lifecycle.finished_reason()
    }

    /// Returns the reason once the end is announced or decided. Until then, notes that the app watches for it.
    pub(crate) fn closing_reason(&self) -> Option<CloseReason> {
        lock(&self.parts).lifecycle.watch()
    }

    pub(crate) fn is_live(&self) -> bool {
        lock(&self.parts).lifecycle.is_live()
    }

    /// Lets the head leave without waiting for the first event of the source.
    pub(crate) fn let_head_leave(&self) {
        lock(&self.parts).raise_head(HeadStage::MayLeave);
    }

    /// Lets the head leave now.
    pub(crate) fn request_head(self: &Arc<Self>) {
        self.change(|parts, effects| {
            parts.raise_head(HeadStage::Wanted);
            effects.wake(&mut parts.task);
        });
    }

    /// Returns whether the response head may leave. If not, the task of `cx` is woken when it may.
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

    /// Whether something was sent, so that an error is too late for a status.
    pub(crate) fn has_sent(&self) -> bool {
        lock(&self.parts).head >= HeadStage::Wanted
    }

    pub(crate) fn on_close(&self, callback: CloseCallback) {
        let late = lock(&self.parts).lifecycle.on_close(callback);
        if let Some((callback, reason)) = late {
            caught("an `on_close` callback", || callback(reason));
        }
    }

    /// Sets when the stream ends. A later call may set another time.
    pub(crate) fn expire_at(&self, at: Option<Instant>) {
        lock(&self.parts).expires_at = at;
    }

    /// Announces that the stream ends for this reason, and that its client should come back. The code that watches for
    /// this may still send until the end is decided, which happens when the stream's own source ends or the `grace` is
    /// over. If nothing watches, the end is decided at once.
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

    /// Announces the shutdown to a stream that may come to its own end within this time.
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

    /// Whether the stream drains in this way at shutdown.
    pub(crate) fn drains_as(&self, drain: Drain) -> bool {
        let request = self.request();
        request.is_some_and(|request| request.route.options.drain == drain)
    }

    /// Ends the stream, and asks its client to come back.
    pub(crate) fn send_away(self: &Arc<Self>, reason: CloseReason) {
        if let Some(StreamRequest { route, .. }) = self.request() {
            self.end(&route.reconnect_ending(reason));
        }
    }

    /// Waits until the stream has ended.
    pub(crate) async fn wait_until_over(&self) -> CloseReason {
        until(&self.over, || self.finished()).await
    }

    /// Decides the end. Its event is written after everything that was sent. The first ending counts.
    pub(crate) fn end(self: &Arc<Self>, ending: &Ending) {
        self.change(|parts, effects| parts.end(self.request(), ending, effects));
    }

    /// Leaves the stream to its handles, because its source has ended.
    pub(crate) fn leave_to_handles(&self) {
        lock(&self.parts).is_driven = true;
    }

    /// Marks the stream as failed. Error hooks may still send, but not decide another end.
    pub(crate) fn fail(&self) {
        lock(&self.parts).lifecycle.fail();
    }

    /// Rejects the stream, because a connection hook refused it or missed events are not available. An ordinary
    /// response follows.
    pub(crate) fn reject(&self) {
        lock(&self.parts).lifecycle.decide(&Ending {
            reason: CloseReason::Rejected,
            event: EndEvent::End,
        });
    }

    /// Ends the stream. `reason` counts if no end was decided before. Runs the callbacks, and starts the close hooks in
    /// their own task. Only the first call has an effect.
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

    /// Ends the state and runs the callbacks. Returns `None` if that was done before.
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

    /// Accepts events that were sent before the stream is live.
    fn take_over(&mut self, head: u64, encoded: Vec<Result<Bytes, SseError>>) {
        for encoded in encoded {
            match encoded {
                Ok(bytes) => self.reader.push_control(head, bytes),
                // A handle created without its app could not check them against the app's options.
                Err(error) => {
                    self.lifecycle.decide(&Ending {
                        reason: CloseReason::Error,
                        event: EndEvent::Error(error),
                    });
                }
            }
        }
    }

    /// Makes the stream live. Returns an end that is to be decided at once.
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

    /// Handles a stream that becomes live after the shutdown has begun. Returns the end that is to be decided at once,
    /// unless the stream may finish.
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
            // The end is sent once the stream is live.
            (Decision::Closes(_) | Decision::Kept, _) => {}
        }
        self.raise_head(HeadStage::Wanted);
        effects.made_room = true;
        effects.closing = true;
        effects.wake(&mut self.task);
    }

    /// Ends the stream. Waiting events are not written any more. Returns `None` if it had ended before.
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
    /// Runs the callbacks of a handle that was never attached, with `Rejected`.
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
