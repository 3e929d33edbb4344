//! What a connection learns from the request that it is attached to.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use helios_core::event::SseEvent;
use helios_core::interceptor::{MapData, map_through};
use helios_core::request::{RequestContext, ResponseHead};

use super::{Ending, Farewell};
use crate::peer::Peer;
use crate::sse::control;
use crate::sse::hooks::SseHooks;
use crate::sse::hub::Hub;

pub(in crate::sse) struct Attachment {
    pub(in crate::sse) hub: Arc<Hub>,
    /// Of the controllers above the route, outermost first.
    pub(in crate::sse) hooks: Arc<[Arc<dyn SseHooks>]>,
    /// How many of them have accepted the connection, and are owed a close hook.
    pub(in crate::sse) accepted: AtomicUsize,
    pub(in crate::sse) mapper: Option<EventMapper>,
    pub(in crate::sse) last_event_id: Option<String>,
    pub(in crate::sse) restart: bool,
    pub(in crate::sse) peer: Option<Arc<Peer>>,
}

/// The closure interceptors of the route, with the request that they are shown.
pub(in crate::sse) struct EventMapper {
    pub(in crate::sse) mappers: Arc<[&'static dyn MapData]>,
    pub(in crate::sse) request: RequestContext,
    pub(in crate::sse) head: ResponseHead,
}

impl EventMapper {
    pub(super) fn map(&self, event: SseEvent) -> SseEvent {
        let mut head = self.head.clone();
        event.map_data(|data| map_through(&self.mappers, data, &self.request, &mut head))
    }
}

impl Attachment {
    /// The bytes of the last word.
    pub(super) fn farewell(&self, ending: &Ending) -> Option<Bytes> {
        let options = self.hub.options();
        match &ending.farewell {
            Farewell::End => (!self.restart).then(|| control::end(options)),
            Farewell::Reconnect(retry) => Some(control::reconnect(options, *retry, ending.reason)),
            Farewell::Error(error) => Some(control::error(error)),
        }
    }
}
