//! A connection's reading: what is written next, and what becomes of a client that does not keep up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use helios_core::encode::KEEP_ALIVE;
use helios_core::event::SseEvent;
use helios_core::hub::{Frame, Lag, OutboxLimits, Overtaken, Verdict};
use helios_core::sse::{CloseReason, ResetReason, SseError, SseReset};

use super::{Attachment, Client, Manner, Origin, State};
use crate::sse::hub::{Hub, lock};
use crate::sse::options::SlowClients;
use crate::sse::stream::SseStream;
use crate::sse::{control, hooks};

/// A reset whose hooks have to be run, once the client's state is unlocked.
pub(in crate::sse) struct PendingReset {
    reset: SseReset,
    /// What the hooks send is written right behind this number, and before what comes after it.
    at: u64,
}

impl PendingReset {
    /// Both in one.
    fn and(mut self, later: Self) -> Self {
        self.reset.topics.extend(later.reset.topics);
        Self {
            reset: SseReset::new(later.reset.reason, self.reset.topics),
            ..later
        }
    }

    pub(super) fn run(self, client: &Arc<Client>) {
        if let Some(attachment) = client.attachment.get() {
            let handle = SseStream::at_reset(Arc::clone(client), self.at);
            hooks::spawn_reset(handle, attachment, self.reset);
        }
    }
}

impl Client {
    /// Gathers the next frame behind what `frame` holds already. `None` is the end of the stream.
    pub(in crate::sse) fn poll_frame(
        self: &Arc<Self>,
        hub: &Hub,
        mut frame: Frame,
        cx: &Context<'_>,
    ) -> Poll<Option<Bytes>> {
        let mut state = lock(&self.state);
        if !state.life.is_live() {
            return Poll::Ready(None);
        }
        state.head_left = true;
        state.liveness.polled();
        if state.task.is_polled_by(cx.waker()) {
            state.reader.wait_anew();
        }
        let private = state.reader.outbox.len();
        loop {
            let head = hub.head();
            match state.reader.gather(head, cx.waker(), &mut frame) {
                // An event came between this head and the look at its topic, where the reader waits for a later one. What
                // came elsewhere is no reason to look again: it may come without end.
                Ok(()) if frame.is_empty() && state.has_missed(hub, head) => {}
                Ok(()) => break,
                Err(overtaken) => {
                    let Some(attachment) = self.attachment.get() else {
                        return Poll::Ready(None);
                    };
                    if let Some(after) = self.overtaken(attachment, &mut state, overtaken) {
                        drop(state);
                        after.run(self);
                        return self.poll_frame(hub, frame, cx);
                    }
                }
            }
        }
        if frame.is_empty() && state.liveness.take_keep_alive() {
            frame = Frame::opening(KEEP_ALIVE);
        }
        if !frame.is_empty() {
            state.liveness.wrote();
            let made_room = state.reader.outbox.len() < private;
            drop(state);
            if made_room {
                self.room.notify_waiters();
            }
            return Poll::Ready(Some(hub.count(frame)));
        }
        if state.life.is_closing() {
            return Poll::Ready(None);
        }
        if state.reader.held_at().is_none() {
            state.liveness.caught_up();
        }
        state.task.waits();
        Poll::Pending
    }

    /// The history has gone on without the reader. Gives what is to be done without the lock.
    fn overtaken(
        self: &Arc<Self>,
        attachment: &Attachment,
        state: &mut State,
        overtaken: Overtaken,
    ) -> Option<Unlocked> {
        let options = attachment.hub.options();
        if !state.life.is_well() {
            // What was sent to this client alone is still owed to it; it will resume the rest.
            state.reader.abandon().for_each(drop);
            return None;
        }
        let reason = match (overtaken.lost, options.slow_clients) {
            (true, _) => ResetReason::Gap,
            (false, SlowClients::DropOldest) if state.reader.held_at().is_none() => {
                ResetReason::Slow
            }
            (false, _) => return Some(Unlocked::EndAsSlow),
        };
        let keep = match reason {
            ResetReason::Slow => half(options.backlog),
            _ => EVERYTHING,
        };
        state
            .skip(self, attachment, keep, reason)
            .map(Unlocked::Reset)
    }

    /// Sends by id: never waits, and a client that does not keep up is closed, or loses what is oldest.
    pub(in crate::sse) fn send_by_id(self: &Arc<Self>, event: SseEvent) -> Result<(), SseError> {
        let prepared = self.prepare(event, Origin::ById)?;
        match self.push_as(&prepared, None, Manner::Burst) {
            Err(SseError::Full) if self.is_live() => {}
            sent => return sent,
        }
        let Some(attachment) = self.attachment.get() else {
            return Err(SseError::Full);
        };
        if lock(&self.state).reader.is_blocked() {
            // It cannot read, for a reason that is not its own.
            return Err(SseError::Full);
        }
        if attachment.hub.options().slow_clients == SlowClients::Disconnect {
            self.end_as_slow();
            return Err(SseError::Closed(CloseReason::SlowClient));
        }
        self.make_room(attachment);
        self.push(&prepared, None)
    }

    /// Drops the older half of what waits for this client alone.
    fn make_room(self: &Arc<Self>, attachment: &Attachment) {
        let hub = &attachment.hub;
        let reset = {
            let mut state = lock(&self.state);
            let backlog = hub.options().backlog;
            let dropped = state
                .reader
                .outbox
                .make_room(backlog.events / 2, backlog.bytes / 2);
            hub.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
            let nothing_published = SseReset::new(ResetReason::Slow, Vec::new());
            state.reset(self, attachment, nothing_published, false)
        };
        reset.into_iter().for_each(|reset| reset.run(self));
    }

    /// Ends a live connection whose client is too far behind: it resumes what was published. One that is ending already,
    /// or has failed, keeps its last words.
    pub(super) fn end_as_slow(&self) {
        let Some(attachment) = self.attachment.get() else {
            return;
        };
        let hub = &attachment.hub;
        let waker = {
            let mut state = lock(&self.state);
            if !state.life.is_well() {
                return;
            }
            let dropped = state.reader.outbox.len() as u64;
            state.reader.outbox.clear();
            // Nothing may be written behind a hole: its id would hide the hole from the next connection.
            state.reader.abandon().for_each(drop);
            hub.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
            hub.counters.slow_closes.fetch_add(1, Ordering::Relaxed);
            let ending = hub.reconnect_ending(CloseReason::SlowClient);
            state.end(Some(attachment), &ending);
            state.task.wake()
        };
        self.ended(waker);
    }

    /// A hook could not answer a reset: the client is to come back, and to be reset again.
    pub(in crate::sse) fn reset_failed(&self) {
        if let Some(attachment) = self.attachment.get() {
            self.end(attachment.hub.reconnect_ending(CloseReason::Error));
        }
    }

    /// The hooks of a reset are done. If another reset came meanwhile it is theirs now, else what follows may be read.
    pub(in crate::sse) fn reset_answered(self: &Arc<Self>) {
        let (waker, next) = {
            let mut state = lock(&self.state);
            state.reader.go_on();
            let next = state.next_reset.take();
            if let Some(next) = &next {
                state.reader.hold_at(next.at);
            }
            (state.task.wake(), next)
        };
        waker.into_iter().for_each(Waker::wake);
        next.into_iter().for_each(|next| next.run(self));
    }

    /// One heartbeat: keep-alive after silence, and the end of a client that does not read, or is old.
    pub(in crate::sse) fn beat(self: &Arc<Self>, hub: &Hub) {
        let Some(attachment) = self.attachment.get() else {
            return;
        };
        let (verdict, overdue, waker) = {
            let mut state = lock(&self.state);
            let now = hub.now();
            // Who waits for the hooks of its reset, or for another server, is not slow itself.
            let lag = match state.reader.is_blocked() {
                true => Lag::default(),
                false => state.lag(),
            };
            let verdict = state.liveness.look(now, lag, &hub.options().patience());
            let overdue = state.life.overdue(now);
            let wakes = verdict == Verdict::KeepAlive;
            let waker = wakes.then(|| state.task.wake()).flatten();
            (verdict, overdue, waker)
        };
        if let Some(ending) = overdue {
            self.end(ending);
        }
        match verdict {
            Verdict::Fine | Verdict::KeepAlive => {}
            Verdict::Stuck => self.cut(),
            Verdict::Slow => self.fell_behind(attachment),
            Verdict::Aged => self.announce_end(hub, hub.reconnect_ending(CloseReason::MaxAge)),
        }
        waker.into_iter().for_each(Waker::wake);
    }

    fn fell_behind(self: &Arc<Self>, attachment: &Attachment) {
        let options = attachment.hub.options();
        if options.slow_clients == SlowClients::Disconnect {
            self.end_as_slow();
            return;
        }
        let skipped = {
            let mut state = lock(&self.state);
            if !state.life.is_well() || state.reader.held_at().is_some() {
                return;
            }
            let skipped = state.skip(self, attachment, half(options.backlog), ResetReason::Slow);
            (skipped, state.task.wake())
        };
        let (reset, waker) = skipped;
        waker.into_iter().for_each(Waker::wake);
        reset.into_iter().for_each(|reset| reset.run(self));
    }

    /// Ends a connection that nobody polls: its body will not end by itself.
    fn cut(self: &Arc<Self>) {
        self.end_as_slow();
        self.finish(CloseReason::SlowClient);
        let attachment = self.attachment.get();
        if let Some(peer) = attachment.and_then(|attachment| attachment.peer.as_ref()) {
            peer.cut();
        }
    }
}

/// What has to wait until the client's state is unlocked.
enum Unlocked {
    EndAsSlow,
    Reset(PendingReset),
}

impl Unlocked {
    fn run(self, client: &Arc<Client>) {
        match self {
            Self::EndAsSlow => client.end_as_slow(),
            Self::Reset(reset) => reset.run(client),
        }
    }
}

const EVERYTHING: Lag = Lag {
    events: u64::MAX,
    bytes: u64::MAX,
};

/// Who is too far behind is brought well below the limit, or it would lose a little all the time.
fn half(limits: OutboxLimits) -> Lag {
    Lag {
        events: limits.events as u64 / 2,
        bytes: limits.bytes as u64 / 2,
    }
}

impl State {
    /// Whether there is something to read that was not there when the `head` was loaded.
    fn has_missed(&self, hub: &Hub, head: u64) -> bool {
        head != hub.head() && self.reader.has_seen_beyond(head)
    }

    /// How far the client is behind; it has yet to see its end, too.
    fn lag(&self) -> Lag {
        let mut lag = self.reader.lag();
        if self.life.is_closing() {
            lag.events = lag.events.max(1);
        }
        lag
    }

    /// Gives up what is oldest and what is gone, and tells the client.
    fn skip(
        &mut self,
        client: &Client,
        attachment: &Attachment,
        keep: Lag,
        reason: ResetReason,
    ) -> Option<PendingReset> {
        let before = self.reader.lag().events;
        let places = self.reader.skip_ahead(keep);
        if places.is_empty() {
            return None;
        }
        let skipped = before.saturating_sub(self.reader.lag().events);
        let dropped = &attachment.hub.counters.dropped;
        dropped.fetch_add(skipped, Ordering::Relaxed);
        let reset = SseReset::new(reason, self.names(&places));
        self.reset(client, attachment, reset, false)
    }

    /// Tells the client that events are missing. It is told at once, before all that is still to be read: cut before it has
    /// been told, it comes back with an id from before the gap. If hooks are to answer, nothing that follows is read until
    /// they are done. Its new position comes when all that was published until now has been written. Who is `nowhere` has
    /// brought an id that means nothing here, and keeps it until then.
    pub(super) fn reset(
        &mut self,
        client: &Client,
        attachment: &Attachment,
        reset: SseReset,
        nowhere: bool,
    ) -> Option<PendingReset> {
        let hub = &attachment.hub;
        let (position, head) = (self.reader.position(), hub.head());
        let id = match nowhere {
            true => attachment.last_event_id.clone(),
            false => Some(hub.id(position).to_string()),
        };
        let id = id.filter(|_| self.reader.uses_ids());
        // A client from another server may be ahead of this one, which is no reason to wait.
        let at = position.min(head);
        self.reader.tell(at, control::reset(hub, id, &reset));
        if self.reader.uses_ids() {
            let ready = hub.id(position.max(head)).to_string();
            let ready = control::ready(hub, client.id, Some(ready), false);
            self.reader.tell_position(head, ready);
        }
        if !attachment.has_reset_hooks() {
            return None;
        }
        let next = PendingReset { reset, at };
        if self.reader.held_at().is_some() {
            self.next_reset = Some(match self.next_reset.take() {
                Some(before) => before.and(next),
                None => next,
            });
            return None;
        }
        self.reader.hold_at(at);
        Some(next)
    }
}
