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

pub(crate) struct Attachment {
    pub(crate) hub: Arc<Hub>,
    /// Of the controllers above the route, outermost first.
    pub(crate) hooks: Arc<[Arc<dyn SseHooks>]>,
    /// How many of them have accepted the connection, and are owed a close hook.
    pub(crate) accepted: AtomicUsize,
    pub(crate) mapper: Option<EventMapper>,
    pub(crate) last_event_id: Option<String>,
    pub(crate) restart: bool,
    pub(crate) peer: Option<Arc<Peer>>,
}

/// The closure interceptors of the route, with the request that they are shown.
pub(crate) struct EventMapper {
    pub(crate) mappers: Arc<[&'static dyn MapData]>,
    pub(crate) request: RequestContext,
    pub(crate) head: ResponseHead,
}

impl EventMapper {
    pub(crate) fn map(&self, event: SseEvent) -> SseEvent {
        let mut head = self.head.clone();
        event.map_data(|data| map_through(&self.mappers, data, &self.request, &mut head))
    }
}

impl Attachment {
    /// The bytes of the last word.
    pub(crate) fn farewell(&self, ending: &Ending) -> Option<Bytes> {
        let options = self.hub.options();
        match &ending.farewell {
            Farewell::End => (!self.restart).then(|| control::end(options)),
            Farewell::Reconnect(retry) => Some(control::reconnect(options, *retry, ending.reason)),
            Farewell::Error(error) => Some(control::error(error)),
        }
    }
}
