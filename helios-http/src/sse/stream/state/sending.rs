//! Sending to one stream. Checks and encodes events, and checks whether there is room.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use helios_core::decode::{Decoded, DecodedEvent, Decoder};
use helios_core::encode::encode;
use helios_core::event::SseEvent;
use helios_core::hub::FRAME_BYTES;
use helios_core::sse::{CloseReason, ResetReason, SseError, SseReset};

use super::effects::Effects;
use super::{HeadStage, Parts, StreamState};
use crate::failure::with_causes;
use crate::sse::control;
use crate::sse::options::SlowClients;
use crate::sse::stream::deferred::Origin;
use crate::sse::stream::route::StreamRequest;
use crate::sync::lock;

/// The number of waiting bytes at which `send` waits too. About two frames keep the socket busy.
const HIGH_WATER: usize = 2 * FRAME_BYTES;

/// Whether a sender that does not wait may exceed the limits for a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Steady,
    Burst,
}

/// An event that is checked and, if the stream is live, encoded.
pub(crate) enum Prepared {
    Deferred(SseEvent, Origin, usize),
    Encoded(Bytes),
}

impl StreamState {
    /// Checks and encodes an event, outside of the lock, because interceptors are user code.
    pub(crate) fn prepare(&self, event: SseEvent, origin: Origin) -> Result<Prepared, SseError> {
        match self.request() {
            Some(request) if self.is_live() => self
                .encode_for(request, event, origin)
                .map(Prepared::Encoded),
            _ => {
                self.check_id(&event)?;
                let encoded = match self.streams() {
                    Some(streams) => streams.hub.encode(&event)?,
                    None => encode(&event)?,
                };
                Ok(Prepared::Deferred(event, origin, encoded.len()))
            }
        }
    }

    /// Encodes an event as this stream's client gets it.
    pub(super) fn encode_for(
        &self,
        request: &StreamRequest,
        event: SseEvent,
        origin: Origin,
    ) -> Result<Bytes, SseError> {
        self.check_id(&event)?;
        let event = match origin {
            Origin::Own => request.map(event),
            Origin::ById => event,
        };
        request.route.hub().encode(&event)
    }

    /// Returns an event of the route's own, mapped by its closure interceptors.
    pub(crate) fn map(&self, event: SseEvent) -> SseEvent {
        match self.request() {
            Some(request) => request.map(event),
            None => event,
        }
    }

    /// Sends an event of the stream's own source, in the task that polls the source. Returns false if there is no room,
    /// or the stream is closed.
    pub(crate) fn write(self: &Arc<Self>, event: &SseEvent) -> Result<bool, SseError> {
        let Some(StreamRequest { route, .. }) = self.request() else {
            return Ok(false);
        };
        let hub = route.hub();
        hub.check_reserved(event)?;
        self.change(|parts, effects| {
            let head = parts.keep_up(hub, self.request(), effects);
            if parts.lifecycle.closed_reason().is_some() {
                return Ok(false);
            }
            parts.check_id(event)?;
            let outbox = &mut parts.reader.outbox;
            let written = outbox.has_room(HIGH_WATER)
                && outbox.write(head, event, hub.options().max_event_bytes)?;
            if written {
                parts.raise_head(HeadStage::Wanted);
            }
            Ok(written)
        })
    }

    /// Queues an event, to be written after everything published so far. An event that belongs to an `answer` of the
    /// hooks is written where the reader is held for it.
    pub(crate) fn push(
        self: &Arc<Self>,
        prepared: &Prepared,
        answer: Option<u64>,
    ) -> Result<(), SseError> {
        self.push_as(prepared, answer, Manner::Steady)
    }

    fn push_as(
        self: &Arc<Self>,
        prepared: &Prepared,
        answer: Option<u64>,
        manner: Manner,
    ) -> Result<(), SseError> {
        let pushed = self.change(|parts, effects| {
            let head = match self.request() {
                Some(request) => parts.keep_up(request.route.hub(), Some(request), effects),
                None => 0,
            };
            let pushed = parts.push(head, prepared, answer, manner)?;
            if pushed {
                parts.raise_head(HeadStage::Wanted);
                effects.wake(&mut parts.task);
            }
            Ok::<_, SseError>(pushed)
        });
        match (pushed?, prepared) {
            // The stream went live between `prepare` and here.
            (false, Prepared::Deferred(event, origin, _)) => {
                self.push_as(&self.prepare(event.clone(), *origin)?, answer, manner)
            }
            _ => Ok(()),
        }
    }

    /// Pushes for `send().await`. Returns `None` if it has to wait for the client to read.
    pub(crate) fn push_if_room(
        self: &Arc<Self>,
        prepared: &Prepared,
        answer: Option<u64>,
    ) -> Option<Result<(), SseError>> {
        if !lock(&self.parts).takes_now(answer) {
            return None;
        }
        match self.push(prepared, answer) {
            Err(SseError::Full) if self.is_live() => None,
            sent => Some(sent),
        }
    }

    /// Sends by id, and never waits. A client that does not keep up is closed, or loses its oldest events.
    pub(crate) fn send_by_id(self: &Arc<Self>, event: SseEvent) -> Result<(), SseError> {
        let prepared = self.prepare(event, Origin::ById)?;
        match self.push_as(&prepared, None, Manner::Burst) {
            Err(SseError::Full) if self.is_live() => {}
            sent => return sent,
        }
        let Some(request) = self.request() else {
            return Err(SseError::Full);
        };
        if lock(&self.parts).reader.is_blocked() {
            // It cannot read, for a reason that is not its own.
            return Err(SseError::Full);
        }
        if request.route.hub().options().slow_clients == SlowClients::Disconnect {
            self.end_as_slow();
            return Err(SseError::Closed(CloseReason::SlowClient));
        }
        self.change(|parts, effects| parts.make_room(request, effects));
        self.push(&prepared, None)
    }

    /// Notifies a client whether its content of these topics may be out of date.
    pub(crate) fn tell_stale(self: &Arc<Self>, is_stale: bool) {
        let Some(StreamRequest { route, .. }) = self.request() else {
            return;
        };
        if route.options.plain {
            return;
        }
        let hub = route.hub();
        let told = control::stale(hub.options(), is_stale);
        self.change(|parts, effects| {
            if parts.joined().next().is_some() && parts.lifecycle.is_open() {
                parts.reader.push_control(hub.head(), told);
                effects.wake(&mut parts.task);
            }
        });
    }

    /// Accepts an event that another server has sent to this stream alone. Errors are only logged.
    pub(crate) fn send_from_afar(self: &Arc<Self>, event: &Bytes) {
        let sent = match event_of(event) {
            Some(event) => self.send_by_id(event),
            None => Ok(()),
        };
        if let Err(error) = sent {
            let client = self.id;
            let error = with_causes(&error);
            tracing::debug!(%client, error, "an event from another server was not accepted");
        }
    }

    /// Checks that an event has no id if the stream has joined topics, because the hub numbers its events.
    pub(crate) fn check_id(&self, event: &SseEvent) -> Result<(), SseError> {
        match event.event_id() {
            Some(_) => lock(&self.parts).check_id(event),
            None => Ok(()),
        }
    }
}

/// Decodes an event. Only the mark that its data is JSON is lost, which matters only to an interceptor.
fn event_of(encoded: &Bytes) -> Option<SseEvent> {
    let mut decoder = Decoder::with_limit(encoded.len());
    decoder.feed(encoded).ok()?;
    let (mut event, mut comment, mut retry) = (None, None::<String>, None);
    while let Some(item) = decoder.next_item() {
        match item {
            Decoded::Event(decoded) => event = Some(decoded),
            Decoded::Comment(text) => {
                let lines: Vec<_> = comment.into_iter().chain([text]).collect();
                comment = Some(lines.join("\n"));
            }
            Decoded::Retry(after) => retry = Some(after),
            _ => {}
        }
    }
    let mut of = match event {
        Some(DecodedEvent { event, data, .. }) if event == "message" => SseEvent::text(data),
        Some(DecodedEvent { event, data, .. }) => SseEvent::text(data).event(event),
        None => SseEvent::default(),
    };
    if let Some(text) = comment {
        of = of.comment(text);
    }
    if let Some(after) = retry {
        of = of.retry(after);
    }
    Some(of)
}

impl Parts {
    /// Returns false if the event should have been encoded, because the stream is live.
    fn push(
        &mut self,
        head: u64,
        prepared: &Prepared,
        answer: Option<u64>,
        manner: Manner,
    ) -> Result<bool, SseError> {
        // An end waits for the answers of hooks, so they may still send.
        let is_answer = self.answers(answer).is_some() && self.lifecycle.is_live();
        if let (Some(reason), false) = (self.lifecycle.closed_reason(), is_answer) {
            return Err(SseError::Closed(reason));
        }
        match (prepared, self.lifecycle.is_detached()) {
            (Prepared::Deferred(event, origin, size), true) => {
                self.deferred.push(event.clone(), *origin, *size)?;
            }
            (Prepared::Encoded(bytes), _) => match self.answers(answer) {
                Some(at) => self.reader.push_control(at, bytes.clone()),
                None => {
                    let burst = manner == Manner::Burst;
                    self.reader.outbox.push(head, bytes.clone(), burst)?;
                }
            },
            (Prepared::Deferred(..), false) => return Ok(false),
        }
        Ok(true)
    }

    /// Whether `send` need not wait, because there is room or waiting would be in vain. Everything else waits for the
    /// answer to a reset, so the answer itself does not wait.
    fn takes_now(&self, answer: Option<u64>) -> bool {
        let is_answer = self.answers(answer).is_some();
        is_answer || !self.lifecycle.is_open() || self.reader.outbox.has_room(HIGH_WATER)
    }

    /// Drops the older half of the events that wait for this client alone.
    fn make_room(&mut self, request: &StreamRequest, effects: &mut Effects) {
        let hub = request.route.hub();
        let backlog = hub.options().backlog;
        let outbox = &mut self.reader.outbox;
        let dropped = outbox.make_room(backlog.events / 2, backlog.bytes / 2);
        hub.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
        let nothing_published = SseReset::new(ResetReason::Slow, Vec::new());
        self.reset(request, nothing_published, effects);
    }

    fn check_id(&self, event: &SseEvent) -> Result<(), SseError> {
        let Some(id) = event.event_id() else {
            return Ok(());
        };
        let joins = self.joined().next().is_some() || self.deferred.wanted().next().is_some();
        if joins || self.reader.uses_ids() {
            return Err(SseError::OwnId(id.to_owned()));
        }
        Ok(())
    }
}
