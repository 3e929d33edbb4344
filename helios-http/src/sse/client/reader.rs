//! A connection's reading: what is written next, and what becomes of a client that does not keep up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use helios_core::encode::KEEP_ALIVE;
use helios_core::event::SseEvent;
use helios_core::hub::{Frame, Lag, OutboxLimits, Overtaken, Verdict};
use helios_core::sse::{CloseReason, ResetReason, SseError, SseReset};

use super::{Attachment, Client, Origin, Phase, State};
use crate::sse::hub::{Hub, lock};
use crate::sse::options::SlowClients;
use crate::sse::stream::SseStream;
use crate::sse::{control, hooks};

/// A reset whose hooks have to be run, once the client's state is unlocked.
pub(in crate::sse) struct PendingReset {
    reset: SseReset,
    /// What the hooks send is written right behind this number.
    at: u64,
}

impl PendingReset {
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
        mut frame: Frame,
        cx: &Context<'_>,
    ) -> Poll<Option<Bytes>> {
        let Some(attachment) = self.attachment.get() else {
            return Poll::Ready(None);
        };
        let hub = &attachment.hub;
        let mut state = lock(&self.state);
        state.liveness.polled();
        let gathered = loop {
            match state.phase {
                Phase::Finished(_) | Phase::Detached => return Poll::Ready(None),
                Phase::Live => state.register(cx.waker()),
                Phase::Closing => {}
            }
            // After the registration: what is published later than this head wakes the reader.
            let head = hub.head();
            match state.reader.gather(head, &mut frame) {
                Ok(()) => break None,
                Err(overtaken) => match self.overtaken(attachment, &mut state, overtaken) {
                    None => {}
                    Some(after) => break Some(after),
                },
            }
        };
        if let Some(after) = gathered {
            drop(state);
            after.run(self);
            return self.poll_frame(frame, cx);
        }
        if frame.is_empty() && state.liveness.take_keep_alive() {
            frame = Frame::opening(KEEP_ALIVE);
        }
        if !frame.is_empty() {
            state.liveness.wrote(hub.now());
            drop(state);
            self.room.notify_waiters();
            return Poll::Ready(Some(hub.count(frame)));
        }
        if state.phase == Phase::Closing {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
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
        if state.phase == Phase::Closing || state.failing {
            // What was sent to this client alone is still owed to it; it will resume the rest.
            state.reader.leave_all().for_each(drop);
            return None;
        }
        let reason = match (overtaken.lost, options.slow_clients) {
            (true, _) => ResetReason::Gap,
            (false, SlowClients::DropOldest) if !state.reader.is_held() => ResetReason::Slow,
            (false, _) => return Some(Unlocked::EndAsSlow),
        };
        let keep = match reason {
            ResetReason::Slow => half(options.backlog),
            _ => EVERYTHING,
        };
        state.skip(attachment, keep, reason).map(Unlocked::Reset)
    }

    /// Sends by id: never waits, and a client that does not keep up is closed, or loses what is oldest.
    pub(in crate::sse) fn send_by_id(
        self: &Arc<Self>,
        event: SseEvent,
        after: Option<u64>,
    ) -> Result<(), SseError> {
        let prepared = self.prepare(event, Origin::ById)?;
        match self.push(&prepared, after) {
            Err(SseError::Full) if self.is_live() => {}
            sent => return sent,
        }
        let Some(attachment) = self.attachment.get() else {
            return Err(SseError::Full);
        };
        if attachment.hub.options().slow_clients == SlowClients::Disconnect {
            self.end_as_slow();
            return Err(SseError::Closed(CloseReason::SlowClient));
        }
        self.make_room(attachment);
        self.push(&prepared, after)
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
            state.reset(attachment, Vec::new(), ResetReason::Slow)
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
        {
            let mut state = lock(&self.state);
            if state.phase != Phase::Live || state.failing {
                return;
            }
            let dropped = state.reader.outbox.len() as u64;
            state.reader.outbox.clear();
            // Nothing may be written behind a hole: its id would hide the hole from the next connection.
            state.reader.leave_all().for_each(drop);
            hub.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
            hub.counters.slow_closes.fetch_add(1, Ordering::Relaxed);
        }
        self.end(hub.reconnect_ending(CloseReason::SlowClient));
    }

    /// The hooks of a reset are done: what follows may be read.
    pub(in crate::sse) fn go_on(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.reader.go_on();
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// One heartbeat: keep-alive after silence, and the end of a client that does not read, or is old.
    pub(in crate::sse) fn beat(self: &Arc<Self>, hub: &Hub) {
        let Some(attachment) = self.attachment.get() else {
            return;
        };
        let (verdict, overdue, waker) = {
            let mut state = lock(&self.state);
            let now = hub.now();
            let lag = state.reader.lag();
            let verdict = state.liveness.look(now, lag, &hub.options().patience());
            let overdue = state.leaving.as_ref().filter(|(_, until)| *until <= now);
            let overdue = overdue.map(|(ending, _)| ending.clone());
            let wakes = verdict == Verdict::KeepAlive;
            let waker = wakes.then(|| state.waker.take()).flatten();
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
            if state.phase != Phase::Live || state.failing || state.reader.is_held() {
                return;
            }
            let skipped = state.skip(attachment, half(options.backlog), ResetReason::Slow);
            (skipped, state.waker.take())
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
    fn register(&mut self, waker: &Waker) {
        for subscription in self.reader.subscriptions() {
            subscription.log.register(waker);
        }
    }

    /// Gives up what is oldest and what is gone, and tells the client.
    fn skip(
        &mut self,
        attachment: &Attachment,
        keep: Lag,
        reason: ResetReason,
    ) -> Option<PendingReset> {
        let before = self.reader.lag().events;
        let (_, places) = self.reader.skip_ahead(keep)?;
        let skipped = before.saturating_sub(self.reader.lag().events);
        let dropped = &attachment.hub.counters.dropped;
        dropped.fetch_add(skipped, Ordering::Relaxed);
        let topics = self.names(&places);
        self.reset(attachment, topics, reason)
    }

    /// Tells the client that events of these topics are missing, before any other event is written: an id from behind the
    /// hole would hide it from the next connection. If hooks are to answer that, nothing that follows is read until they
    /// are done.
    pub(super) fn reset(
        &mut self,
        attachment: &Attachment,
        topics: Vec<String>,
        reason: ResetReason,
    ) -> Option<PendingReset> {
        let at = self.reader.advance(attachment.hub.head());
        let reset = SseReset::new(reason, topics);
        let id = self.reader.uses_ids().then_some(at);
        self.reader
            .push_control(at, control::reset(&attachment.hub, id, &reset));
        if !attachment.has_reset_hooks() || self.reader.is_held() {
            return None;
        }
        self.reader.hold_at(at);
        Some(PendingReset { reset, at })
    }
}
