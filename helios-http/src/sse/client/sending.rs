//! Sending to one connection: what may be sent, in which form, and whether there is room.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use bytes::Bytes;
use helios_core::encode::encode;
use helios_core::event::SseEvent;
use helios_core::hub::FRAME_BYTES;
use helios_core::sse::{CloseReason, ResetReason, SseError, SseReset};

use super::{Attachment, Client, State};
use crate::sse::hub::lock;
use crate::sse::options::SlowClients;

/// Bytes that wait before `send` waits too: about two frames keep the socket busy.
const HIGH_WATER: usize = 2 * FRAME_BYTES;

/// Who sends an event: closure interceptors map only what the route itself sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::sse) enum Origin {
    Own,
    ById,
}

/// Whether a sender that does not wait may go over the limits for a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Steady,
    Burst,
}

/// An event checked and, if the connection is live, encoded.
pub(in crate::sse) enum Prepared {
    Deferred(SseEvent, Origin, usize),
    Encoded(Bytes),
}

impl Client {
    /// Checks and encodes outside of the lock: interceptors are user code.
    pub(in crate::sse) fn prepare(
        &self,
        event: SseEvent,
        origin: Origin,
    ) -> Result<Prepared, SseError> {
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
                Ok(Prepared::Deferred(event, origin, encoded.len()))
            }
        }
    }

    /// The bytes of an event as this connection gets it.
    pub(super) fn encode_for(
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
    pub(in crate::sse) fn map(&self, event: SseEvent) -> SseEvent {
        let attachment = self.attachment.get();
        match attachment.and_then(|attachment| attachment.mapper.as_ref()) {
            Some(mapper) => mapper.map(event),
            None => event,
        }
    }

    /// Sends what the connection's own source gives, in the task that is going to poll for it. False if that has to wait for
    /// room, or is in vain.
    pub(in crate::sse) fn write(&self, event: &SseEvent) -> Result<bool, SseError> {
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
    fn has_room(&self) -> bool {
        let state = lock(&self.state);
        !state.life.is_open() || state.reader.outbox.has_room(HIGH_WATER)
    }

    /// Puts an event into the queue, to be written after everything that was published until now. What answers a reset is
    /// written `after` that.
    pub(in crate::sse) fn push(
        &self,
        prepared: &Prepared,
        after: Option<u64>,
    ) -> Result<(), SseError> {
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
                (Prepared::Deferred(event, origin, size), true) => {
                    state.deferred.push(event.clone(), *origin, *size)?;
                }
                (Prepared::Encoded(bytes), _) => match state.answers(after) {
                    Some(at) => state.reader.push_control(at, bytes.clone()),
                    None => {
                        let burst = manner == Manner::Burst;
                        let outbox = &mut state.reader.outbox;
                        outbox.push(self.head(), bytes.clone(), burst)?;
                    }
                },
                // It went live between `prepare` and here.
                (Prepared::Deferred(event, origin, _), false) => {
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
    pub(in crate::sse) fn push_if_room(
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
            state.reset(self, attachment, nothing_published)
        };
        reset.into_iter().for_each(|reset| reset.run(self));
    }

    fn head(&self) -> u64 {
        let attachment = self.attachment.get();
        attachment.map_or(0, |attachment| attachment.hub.head())
    }

    /// The hub numbers the events of a connection that has joined topics.
    fn check_id(&self, event: &SseEvent) -> Result<(), SseError> {
        match event.event_id() {
            Some(_) => lock(&self.state).check_id(event),
            None => Ok(()),
        }
    }
}

impl State {
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
