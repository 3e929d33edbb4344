//! Reading of a stream. Selects what is written next, and handles clients that do not keep up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use helios_core::encode::KEEP_ALIVE;
use helios_core::hub::{Backlog, BacklogLimits, Frame, Overtaken, Verdict};
use helios_core::sse::{CloseReason, ResetReason, SseReset};
use tokio::time::Instant;

use super::effects::Effects;
use super::{HeadStage, Parts, StreamState};
use crate::sse::hub::Hub;
use crate::sse::hub::topics::Membership;
use crate::sse::options::SlowClients;
use crate::sse::stream::lifecycle::Ending;
use crate::sse::stream::route::StreamRequest;
use crate::sync::lock;

/// The next bytes to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// Whether that is all for now. The task is then woken when there is more, and need not poll again before.
    pub(crate) waits: bool,
}

/// The stream breaks off. Its client has not received everything, and detects that by the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event stream broke off")]
pub(crate) struct BrokenOff;

/// The result of a heartbeat.
struct Judgement {
    verdict: Verdict,
    /// An announced end that is due.
    overdue: Option<Ending>,
    /// Whether the client's credential has expired.
    has_expired: bool,
}

impl StreamState {
    /// Gathers the next frame, after the bytes that `frame` contains already. `None` is the end of the stream.
    pub(crate) fn poll_chunk(
        self: &Arc<Self>,
        hub: &Hub,
        mut frame: Frame,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Chunk, BrokenOff>>> {
        let mut effects = Effects::default();
        let polled = {
            let mut parts = lock(&self.parts);
            if !parts.lifecycle.is_live() {
                // Its end was decided without its reader, which still had something to write.
                return Poll::Ready(Some(Err(BrokenOff)));
            }
            parts.read(hub, self.request(), &mut frame, cx, &mut effects);
            if parts.is_through() && self.is_left_alone() {
                parts.end(self.request(), &Ending::COMPLETED, &mut effects);
                parts.read(hub, self.request(), &mut frame, cx, &mut effects);
            }
            parts.poll_frame(&frame)
        };
        effects.carry_out(self);
        polled.map(|read| {
            let bytes = hub.count(frame);
            read.map(|waits| {
                Ok(Chunk {
                    bytes,
                    waits: waits?,
                })
            })
        })
    }

    /// Ends a live stream whose client is too far behind. The client resumes the published events. A stream that is
    /// ending or has failed keeps its last events.
    pub(super) fn end_as_slow(self: &Arc<Self>) {
        if let Some(request) = self.request() {
            self.change(|parts, effects| parts.end_as_slow(request, effects));
        }
    }

    /// Whether no code can send to it, join or close it, because the only handle is that of its running stream.
    pub(super) fn is_left_alone(&self) -> bool {
        self.handles.load(Ordering::Acquire) <= 1
    }

    /// Runs one heartbeat. It sends a keep-alive after silence, and ends a client that does not read or is too old. It
    /// also ends a stream whose last handle was dropped after its topics had been finished.
    pub(crate) fn beat(self: &Arc<Self>) {
        let Some(request) = self.request() else {
            return;
        };
        let grace = request.route.hub().options().closing_grace();
        let judgement = self.change(|parts, effects| {
            if parts.is_through() && self.is_left_alone() {
                parts.end(Some(request), &Ending::COMPLETED, effects);
            }
            parts.judge(request, effects)
        });
        if let Some(ending) = judgement.overdue {
            self.end(&ending);
        }
        if judgement.has_expired {
            self.announce_end(CloseReason::CredentialExpired, grace);
        }
        match judgement.verdict {
            Verdict::Fine | Verdict::KeepAlive => {}
            Verdict::Stuck => self.end_as_stuck(),
            Verdict::Slow => self.change(|parts, effects| parts.fell_behind(request, effects)),
            Verdict::Aged => self.announce_end(CloseReason::MaxAge, grace),
        }
    }

    /// Ends a stream that is no longer polled.
    pub(crate) fn end_as_stuck(self: &Arc<Self>) {
        self.end_as_slow();
        self.finish(CloseReason::SlowClient);
    }

    /// Whether Helios' own server cuts the stream, because the peer does not read.
    pub(crate) fn is_cut_as_stuck(&self) -> bool {
        let peer = self.request().and_then(|request| request.peer.as_ref());
        peer.is_some_and(|peer| peer.is_stuck())
    }
}

impl Parts {
    /// Moves the events to be written now into the frame.
    fn read(
        &mut self,
        hub: &Hub,
        request: Option<&StreamRequest>,
        frame: &mut Frame,
        cx: &Context<'_>,
        effects: &mut Effects,
    ) {
        self.liveness.polled();
        if self.task.is_polled_by(cx.waker()) {
            self.reader.wait_anew();
        }
        loop {
            let head = self.keep_up(hub, request, effects);
            let private = self.reader.outbox.len();
            let gathered = self.reader.gather(head, cx.waker(), frame);
            // Noted at once, because a reset below queues events of its own.
            effects.made_room |= self.reader.outbox.len() < private;
            match (gathered, request) {
                // An event arrived between reading this head and checking its topic, where the reader waits for a later
                // one. Events elsewhere are no reason to check again, because there may be no end of them.
                (Ok(()), _) if frame.is_empty() && self.has_missed(hub, head) => {}
                (Err(overtaken), Some(request)) => self.overtaken(request, overtaken, effects),
                (Ok(()), _) | (Err(_), None) => break,
            }
        }
        if frame.is_empty() && self.liveness.take_keep_alive() {
            *frame = Frame::opening(KEEP_ALIVE);
        }
    }

    /// Whether the stream lives by its topics, and these are finished and read. This runs under the lock under which
    /// topics are joined. A topic joined before keeps the stream open, and a later join finds it closed.
    fn is_through(&self) -> bool {
        // The value that each read has just used comes first.
        self.reader.has_finished(Membership::is_named) && self.is_driven && self.lifecycle.is_well()
    }

    /// Returns the result of a read: a frame with whether that is all for now, the end, or nothing yet.
    fn poll_frame(&mut self, frame: &Frame) -> Poll<Option<Result<bool, BrokenOff>>> {
        let is_closing = self.lifecycle.is_closing();
        if frame.is_empty() && is_closing && !self.reader.is_held_back() {
            return Poll::Ready(self.breaks_off.then_some(Err(BrokenOff)));
        }
        if frame.is_empty() {
            self.wait();
            return Poll::Pending;
        }
        self.liveness.wrote();
        let waits = self.reader.has_read_all() && !is_closing;
        if waits {
            self.wait();
        }
        Poll::Ready(Some(Ok(waits)))
    }

    /// Handles a reader that the history has overtaken.
    fn overtaken(&mut self, request: &StreamRequest, overtaken: Overtaken, effects: &mut Effects) {
        let options = request.route.hub().options();
        if !self.lifecycle.is_well() {
            self.keep_last_words();
            return;
        }
        match (overtaken.lost, options.slow_clients) {
            (true, _) => self.skip(request, EVERYTHING, ResetReason::Gap, effects),
            (false, SlowClients::DropOldest) if self.reader.paused_at().is_none() => {
                self.skip(request, half(options.backlog), ResetReason::Slow, effects);
            }
            (false, SlowClients::DropOldest | SlowClients::Disconnect) => {
                self.end_as_slow(request, effects);
            }
        }
    }

    /// Keeps the private events that the client has not read. It will resume the rest, and must not take these for
    /// everything.
    pub(super) fn keep_last_words(&mut self) {
        self.reader.abandon().for_each(drop);
        self.breaks_off = true;
    }

    fn end_as_slow(&mut self, request: &StreamRequest, effects: &mut Effects) {
        if !self.lifecycle.is_well() {
            return;
        }
        let counters = &request.route.hub().counters;
        counters.slow_closes.fetch_add(1, Ordering::Relaxed);
        self.end_at_hole(request, CloseReason::SlowClient, effects);
    }

    /// Ends the stream before events that its client cannot get, and asks the client to come back.
    pub(super) fn end_at_hole(
        &mut self,
        request: &StreamRequest,
        reason: CloseReason,
        effects: &mut Effects,
    ) {
        let dropped = self.reader.outbox.len() as u64;
        self.reader.outbox.clear();
        // Nothing may be written after a hole, because its id would hide the hole from the next connection.
        self.reader.abandon().for_each(drop);
        let counters = &request.route.hub().counters;
        counters.dropped.fetch_add(dropped, Ordering::Relaxed);
        let ending = request.route.reconnect_ending(reason);
        self.end(Some(request), &ending, effects);
    }

    fn judge(&mut self, request: &StreamRequest, effects: &mut Effects) -> Judgement {
        let hub = request.route.hub();
        let now = hub.now();
        // A stream that does not read learns here that another epoch has begun.
        self.keep_up(hub, Some(request), effects);
        // A client that waits for its response head, for the hooks of its reset, or for another server, is not slow
        // itself.
        let is_held = self.head < HeadStage::Left || self.reader.is_blocked();
        let backlog = match is_held {
            true => Backlog::default(),
            false => self.backlog(),
        };
        let mut limits = hub
            .options()
            .liveness_limits(request.route.options.keep_alive);
        // Helios' own server sees each byte that leaves, so it alone decides which clients are stuck.
        if request.peer.is_some() {
            limits.stuck_after = None;
        }
        let verdict = self.liveness.check(now, backlog, &limits);
        let overdue = self.lifecycle.overdue(now);
        // An end wakes the task itself.
        if verdict == Verdict::KeepAlive && overdue.is_none() {
            effects.wake(&mut self.task);
        }
        Judgement {
            verdict,
            overdue,
            has_expired: self.expires_at.is_some_and(|at| at <= Instant::now()),
        }
    }

    fn fell_behind(&mut self, request: &StreamRequest, effects: &mut Effects) {
        let options = request.route.hub().options();
        if options.slow_clients == SlowClients::Disconnect {
            self.end_as_slow(request, effects);
        } else if self.lifecycle.is_well() && self.reader.paused_at().is_none() {
            self.skip(request, half(options.backlog), ResetReason::Slow, effects);
            effects.wake(&mut self.task);
        }
    }

    /// Waits, because there is nothing to read. The task is woken when there is.
    fn wait(&mut self) {
        if self.reader.paused_at().is_none() {
            self.liveness.caught_up();
        }
        self.task.waits();
    }

    /// Whether there are events to read that were not there when `head` was loaded, or another epoch has begun since.
    fn has_missed(&self, hub: &Hub, head: u64) -> bool {
        match hub.head_of(self.reader.epoch()) {
            Some(now) => head != now && self.reader.has_seen_beyond(head),
            // It may have started to wait for a topic after all readers had been woken for that.
            None => true,
        }
    }

    /// Returns how far the client is behind. An end that it has yet to see counts, too.
    fn backlog(&self) -> Backlog {
        let mut backlog = self.reader.backlog();
        if self.lifecycle.is_closing() {
            backlog.events = backlog.events.max(1);
        }
        backlog
    }

    /// Drops the oldest events and those that are no longer available, and resets the client.
    fn skip(
        &mut self,
        request: &StreamRequest,
        keep: Backlog,
        reason: ResetReason,
        effects: &mut Effects,
    ) {
        let before = self.reader.backlog().events;
        let topics = self.reader.skip_ahead(keep);
        if topics.is_empty() {
            return;
        }
        let skipped = before.saturating_sub(self.reader.backlog().events);
        let dropped = &request.route.hub().counters.dropped;
        dropped.fetch_add(skipped, Ordering::Relaxed);
        let reset = SseReset::new(reason, self.names(&topics));
        self.reset(request, reset, effects);
    }
}

const EVERYTHING: Backlog = Backlog {
    events: u64::MAX,
    bytes: u64::MAX,
};

/// Brings a client that is too far behind well below the limit. Otherwise it would lose a few events all the time.
fn half(limits: BacklogLimits) -> Backlog {
    Backlog {
        events: limits.events as u64 / 2,
        bytes: limits.bytes as u64 / 2,
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::thread;

    use helios_core::call::Call;
    use helios_core::error::HttpError;
    use helios_core::event::SseEvent;
    use helios_core::hub::{EventId, Replay, UnnumberedEvent};
    use helios_core::route::Verb;
    use helios_core::sse::{SseError, SseSnapshot};

    use super::*;
    use crate::future::BoxFuture;
    use crate::sse::hooks::SseHooks;
    use crate::sse::hub::Publication;
    use crate::sse::options::{SseOptions, StreamOptions, StreamTable};
    use crate::sse::stream::deferred::Origin;
    use crate::sse::stream::handle::SseStream;
    use crate::sse::stream::lifecycle::EndEvent;
    use crate::sse::stream::route::StreamRoute;
    use crate::sse::stream::state::{live_stream, request_to};
    use crate::sse::streams::Streams;

    /// Whether it is woken or not, the reader must not register after an event that it has not seen.
    #[test]
    fn an_event_published_while_the_reader_waits_is_read() {
        let streams = Streams::new();
        let stream = live_stream(&streams);
        let hub = Arc::clone(&streams.hub);
        let mut topic = hub.topics.everyone.lock();
        let reader = {
            let (hub, stream) = (Arc::clone(&hub), Arc::clone(&stream));
            thread::spawn(move || {
                stream.poll_chunk(&hub, Frame::default(), &Context::from_waker(Waker::noop()))
            })
        };
        // The reader holds its own state by now, and then has ample time to wait for the topic.
        while stream.parts.try_lock().is_ok() {
            thread::yield_now();
        }
        for _ in 0..1_000 {
            thread::yield_now();
        }
        let event = UnnumberedEvent::new(&SseEvent::text("x")).unwrap();
        hub.advance_to(hub.id(1));
        hub.push(&mut topic.ring, 1, &Publication::event(event, None));
        drop(topic);
        let polled = reader.join().unwrap();
        assert_eq!(
            polled,
            Poll::Ready(Some(Ok(Chunk {
                bytes: Bytes::from_static(b"data: x\n\n"),
                waits: true,
            })))
        );
    }

    /// The reader may have begun to wait for a topic after the last wake-up.
    #[test]
    fn a_reader_looks_again_if_another_epoch_began_meanwhile() {
        let streams = Streams::new();
        let stream = live_stream(&streams);
        let hub = &streams.hub;
        let has_missed = || lock(&stream.parts).has_missed(hub, hub.head());
        assert!(!has_missed());
        hub.restart_at(EventId::new(hub.epoch() + 1, 0));
        assert!(has_missed());
    }

    #[test]
    fn a_failed_stream_that_is_behind_keeps_its_last_events() {
        let streams = Streams::new();
        let stream = live_stream(&streams);
        stream.fail();
        let apology = stream
            .prepare(SseEvent::text("sorry"), Origin::Own)
            .unwrap();
        stream.push(&apology, None).unwrap();
        stream.end_as_slow();
        let polled = stream.poll_chunk(
            &streams.hub,
            Frame::default(),
            &Context::from_waker(Waker::noop()),
        );
        assert_eq!(
            polled,
            Poll::Ready(Some(Ok(Chunk {
                bytes: Bytes::from_static(b"data: sorry\n\n"),
                waits: true,
            })))
        );
        assert_eq!(streams.hub.counters.slow_closes.load(Ordering::Relaxed), 0);
    }

    type HookFuture<'a> = BoxFuture<'a, Result<(), HttpError>>;

    /// Hooks whose reset hook is still running.
    struct Answering;

    impl SseHooks for Answering {
        fn connection<'a>(&'a self, _: &'a mut Call) -> Option<HookFuture<'a>> {
            None
        }

        fn error<'a>(&'a self, _: SseStream, _: &'a SseError) -> Option<HookFuture<'a>> {
            None
        }

        fn reset<'a>(&'a self, _: SseStream, _: &'a SseReset) -> Option<HookFuture<'a>> {
            None
        }

        fn snapshot<'a>(&'a self, _: SseStream, _: &'a SseSnapshot) -> Option<HookFuture<'a>> {
            None
        }

        fn close(&self, _: SseStream, _: CloseReason) -> Option<HookFuture<'_>> {
            None
        }

        fn answers_resets(&self) -> bool {
            true
        }

        fn sends_snapshots(&self) -> bool {
            false
        }
    }

    /// Creates a live stream of a route whose reset hooks never answer.
    fn answering(streams: &Arc<Streams>) -> Arc<StreamState> {
        let stream = Arc::new(StreamState::new());
        let request = StreamRequest {
            route: Arc::new(StreamRoute {
                streams: Arc::clone(streams),
                hooks: vec![Arc::new(Answering)],
                mappers: Arc::new([]),
                filters: Vec::new(),
                may_reply: false,
                options: StreamOptions::new(&StreamTable::EMPTY, Verb::Get, streams.hub.options()),
            }),
            ..request_to(streams)
        };
        assert!(stream.attach(request).is_ok());
        stream.go_live(stream.request().unwrap());
        stream
    }

    /// The events of the reset replace the one that was read, so without the notice the sender would wait for the
    /// hooks.
    #[tokio::test]
    async fn a_sender_learns_of_room_despite_a_reset() {
        let streams = Streams::new();
        let mut options = SseOptions::default();
        options.slow_clients = SlowClients::DropOldest;
        options.history.events = 1;
        options.backlog.events = 1;
        streams.hub.configure(options);
        let stream = answering(&streams);
        stream.join("a", Replay::Live).await.unwrap();
        stream.begin();
        let context = Context::from_waker(Waker::noop());
        assert!(
            stream
                .poll_chunk(&streams.hub, Frame::default(), &context)
                .is_ready()
        );
        let private = stream.prepare(SseEvent::text("x"), Origin::Own).unwrap();
        stream.push(&private, None).unwrap();
        let event = SseEvent::text("x");
        for _ in 0..3 {
            streams.publish("a", &event, None).await.unwrap();
        }
        let mut effects = Effects::default();
        let mut frame = Frame::default();
        let mut parts = lock(&stream.parts);
        parts.read(
            &streams.hub,
            stream.request(),
            &mut frame,
            &context,
            &mut effects,
        );
        assert!(effects.answer.is_some() && !frame.is_empty());
        assert!(effects.made_room);
    }

    /// Events after the hooks' answer were sent before the end.
    #[tokio::test]
    async fn an_end_while_hooks_run_waits_for_their_answer() {
        let streams = Streams::new();
        let mut options = SseOptions::default();
        options.slow_clients = SlowClients::DropOldest;
        options.history.events = 1;
        options.backlog.events = 1;
        streams.hub.configure(options);
        let stream = answering(&streams);
        stream.join("a", Replay::Live).await.unwrap();
        stream.begin();
        let context = Context::from_waker(Waker::noop());
        let poll = || stream.poll_chunk(&streams.hub, Frame::default(), &context);
        assert!(poll().is_ready());
        for _ in 0..3 {
            let event = SseEvent::text("x");
            streams.publish("a", &event, None).await.unwrap();
        }
        let Poll::Ready(Some(Ok(reset))) = poll() else {
            panic!("the reset is written");
        };
        assert!(reset.bytes.starts_with(b"event: helios:reset"));
        stream.end(&Ending {
            reason: CloseReason::ServerClosed,
            event: EndEvent::End,
        });
        assert_eq!(poll(), Poll::Pending);
        stream.hooks_answered();
        let Poll::Ready(Some(Ok(rest))) = poll() else {
            panic!("what is behind the answer is written");
        };
        assert!(
            rest.bytes
                .ends_with(b"\n\nevent: helios:end\nid: helios:end\ndata: \n\n")
        );
        assert_eq!(poll(), Poll::Ready(None));
    }

    #[tokio::test]
    async fn an_ended_stream_breaks_off_if_its_hooks_fail() {
        let streams = Streams::new();
        streams.hub.configure(SseOptions::default());
        let stream = answering(&streams);
        stream.change(|parts, _| parts.reader.pause_at(0));
        stream.end(&Ending::COMPLETED);
        let context = Context::from_waker(Waker::noop());
        let poll = || stream.poll_chunk(&streams.hub, Frame::default(), &context);
        assert_eq!(poll(), Poll::Pending);
        stream.hook_failed();
        assert_eq!(poll(), Poll::Ready(Some(Err(BrokenOff))));
    }
}
