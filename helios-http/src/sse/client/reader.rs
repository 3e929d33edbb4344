//! A connection's reading: what is written next, and what becomes of a client that does not keep up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use helios_core::encode::KEEP_ALIVE;
use helios_core::hub::{Backlog, BacklogLimits, Frame, Overtaken, Verdict};
use helios_core::sse::{CloseReason, ResetReason, SseReset};

use super::reset::PendingReset;
use super::{Attachment, Client, State};
use crate::sse::hub::{Hub, lock};
use crate::sse::options::SlowClients;

/// What is written next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// That is all for now: whoever polled is woken when there is more, and need not poll again before.
    pub(crate) waits: bool,
}

impl Client {
    /// Gathers the next frame behind what `frame` holds already. `None` is the end of the stream.
    pub(in crate::sse) fn poll_piece(
        self: &Arc<Self>,
        hub: &Hub,
        mut frame: Frame,
        cx: &Context<'_>,
    ) -> Poll<Option<Piece>> {
        let mut state = lock(&self.state);
        if !state.life.is_live() {
            return Poll::Ready(None);
        }
        if !state.head_left
            && let Some(attachment) = self.attachment.get()
            && let Some(reset) = state.start(self, attachment)
        {
            drop(state);
            reset.run(self);
            return self.poll_piece(hub, frame, cx);
        }
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
                        return self.poll_piece(hub, frame, cx);
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
            let waits = state.reader.has_read_all() && !state.life.is_closing();
            if waits {
                state.wait();
            }
            drop(state);
            if made_room {
                self.room.notify_waiters();
            }
            let bytes = hub.count(frame);
            return Poll::Ready(Some(Piece { bytes, waits }));
        }
        if state.life.is_closing() {
            return Poll::Ready(None);
        }
        state.wait();
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
            (false, SlowClients::DropOldest) if state.reader.paused_at().is_none() => {
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

    /// One heartbeat: keep-alive after silence, and the end of a client that does not read, or is old.
    pub(in crate::sse) fn beat(self: &Arc<Self>, hub: &Hub) {
        let Some(attachment) = self.attachment.get() else {
            return;
        };
        let (verdict, overdue, waker) = {
            let mut state = lock(&self.state);
            let now = hub.now();
            // Who waits for the hooks of its reset, or for another server, is not slow itself.
            let backlog = match state.reader.is_blocked() {
                true => Backlog::default(),
                false => state.backlog(),
            };
            let mut limits = hub.options().liveness_limits();
            // Helios' own server sees each byte that leaves, so there it alone judges who is stuck.
            if attachment.peer.is_some() {
                limits.stuck_after = None;
            }
            let verdict = state.liveness.check(now, backlog, &limits);
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
            Verdict::Stuck => drop(self.end_as_stuck()),
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
            if !state.life.is_well() || state.reader.paused_at().is_some() {
                return;
            }
            let skipped = state.skip(self, attachment, half(options.backlog), ResetReason::Slow);
            (skipped, state.task.wake())
        };
        let (reset, waker) = skipped;
        waker.into_iter().for_each(Waker::wake);
        reset.into_iter().for_each(|reset| reset.run(self));
    }

    /// Ends a connection that nobody polls any more. Gives the final reason, as [`Client::finish`] does.
    pub(in crate::sse) fn end_as_stuck(self: &Arc<Self>) -> Option<CloseReason> {
        self.end_as_slow();
        self.finish(CloseReason::SlowClient)
    }

    /// Helios' own server cuts it, since the peer does not read.
    pub(in crate::sse) fn is_cut_as_stuck(&self) -> bool {
        let peer = self.attachment.get().and_then(|it| it.peer.as_ref());
        peer.is_some_and(|peer| peer.is_stuck())
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

const EVERYTHING: Backlog = Backlog {
    events: u64::MAX,
    bytes: u64::MAX,
};

/// Who is too far behind is brought well below the limit, or it would lose a little all the time.
fn half(limits: BacklogLimits) -> Backlog {
    Backlog {
        events: limits.events as u64 / 2,
        bytes: limits.bytes as u64 / 2,
    }
}

impl State {
    /// There is nothing to be read: whoever polled is to be woken when there is.
    fn wait(&mut self) {
        if self.reader.paused_at().is_none() {
            self.liveness.caught_up();
        }
        self.task.waits();
    }

    /// Whether there is something to read that was not there when the `head` was loaded.
    fn has_missed(&self, hub: &Hub, head: u64) -> bool {
        head != hub.head() && self.reader.has_seen_beyond(head)
    }

    /// How far the client is behind; it has yet to see its end, too.
    fn backlog(&self) -> Backlog {
        let mut backlog = self.reader.backlog();
        if self.life.is_closing() {
            backlog.events = backlog.events.max(1);
        }
        backlog
    }

    /// Gives up what is oldest and what is gone, and tells the client.
    fn skip(
        &mut self,
        client: &Client,
        attachment: &Attachment,
        keep: Backlog,
        reason: ResetReason,
    ) -> Option<PendingReset> {
        let before = self.reader.backlog().events;
        let places = self.reader.skip_ahead(keep);
        if places.is_empty() {
            return None;
        }
        let skipped = before.saturating_sub(self.reader.backlog().events);
        let dropped = &attachment.hub.counters.dropped;
        dropped.fetch_add(skipped, Ordering::Relaxed);
        let reset = SseReset::new(reason, self.names(&places));
        self.reset(client, attachment, reset)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use helios_core::event::SseEvent;
    use helios_core::hub::UnnumberedEvent;

    use super::*;
    use crate::sse::client::{Origin, live_client};

    /// Woken or not, the reader must not register behind an event that it has not seen.
    #[test]
    fn an_event_published_while_the_reader_waits_for_the_topic_is_read() {
        let hub = Hub::new();
        let client = live_client(&hub);
        let mut topic = hub.topics.everyone.lock();
        let reader = {
            let (hub, client) = (Arc::clone(&hub), Arc::clone(&client));
            thread::spawn(move || {
                client.poll_piece(&hub, Frame::default(), &Context::from_waker(Waker::noop()))
            })
        };
        // Until the reader has its own state; it then has ample time to come to wait for the topic.
        while client.state.try_lock().is_ok() {
            thread::yield_now();
        }
        for _ in 0..1_000 {
            thread::yield_now();
        }
        let event = UnnumberedEvent::new(&SseEvent::text("x")).unwrap();
        hub.advance_to(hub.id(1));
        hub.push(&mut topic.ring, 1, &event, None);
        drop(topic);
        let polled = reader.join().unwrap();
        assert_eq!(
            polled,
            Poll::Ready(Some(Piece {
                bytes: Bytes::from_static(b"data: x\n\n"),
                waits: true,
            }))
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
        let polled = client.poll_piece(&hub, Frame::default(), &Context::from_waker(Waker::noop()));
        assert_eq!(
            polled,
            Poll::Ready(Some(Piece {
                bytes: Bytes::from_static(b"data: sorry\n\n"),
                waits: true,
            }))
        );
        assert_eq!(hub.counters.slow_closes.load(Ordering::Relaxed), 0);
    }
}
