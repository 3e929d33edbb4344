//! What a route fixes for all of its streams, and what one stream learns from the request that it answers.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use helios_core::event::SseEvent;
use helios_core::filter::DynFilter;
use helios_core::interceptor::{MapData, map_through};
use helios_core::request::{RequestContext, ResponseHead};

use crate::peer::Peer;
use crate::sse::control;
use crate::sse::hooks::SseHooks;
use crate::sse::hub::Hub;
use crate::sse::limiter::Permit;
use crate::sse::stream::lifecycle::{EndEvent, Ending};
use crate::sse::streams::Streams;

/// How long a source that may fail has before its response head leaves without an event.
const HEAD_GRACE: Duration = Duration::from_millis(250);

/// The same for all streams of a route.
pub(crate) struct StreamRoute {
    pub(crate) streams: Arc<Streams>,
    /// Of the controllers above the route, outermost first.
    pub(crate) hooks: Vec<Arc<dyn SseHooks>>,
    /// The closure interceptors around it.
    pub(crate) mappers: Arc<[&'static dyn MapData]>,
    /// The filters around it, outer to inner.
    pub(crate) filters: Vec<Arc<dyn DynFilter>>,
    /// A client that has seen the end may have it all again.
    pub(crate) restart: bool,
    /// Its method may answer with a response in place of a stream, so it is called before a stream is admitted.
    pub(crate) may_reply: bool,
}

impl StreamRoute {
    /// A route that has nothing around it.
    pub(crate) fn bare(streams: Arc<Streams>) -> Arc<Self> {
        Arc::new(Self {
            streams,
            hooks: Vec::new(),
            mappers: Arc::new([]),
            filters: Vec::new(),
            restart: false,
            may_reply: false,
        })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.streams.hub
    }

    /// A permit for one more stream; `None` if there is no room for it.
    pub(crate) fn admit(&self, request: &RequestContext) -> Option<Permit> {
        let hub = self.hub();
        let limits = &hub.options().connections;
        self.streams.limiter.admit(limits, request, hub.now())
    }

    pub(crate) fn answers_resets(&self) -> bool {
        self.hooks.iter().any(|hooks| hooks.answers_resets())
    }

    /// How long the response head waits at most for the first event, the error or the end; zero if it leaves as soon as the
    /// source waits.
    pub(crate) fn head_wait(&self, may_fail: bool) -> Duration {
        let by_default = match may_fail {
            true => HEAD_GRACE,
            false => Duration::ZERO,
        };
        self.head_after().unwrap_or(by_default)
    }

    /// What the route itself says of that.
    fn head_after(&self) -> Option<Duration> {
        None
    }

    /// The bytes of the event that tells a client of this end.
    pub(crate) fn end_event(&self, ending: &Ending) -> Option<Bytes> {
        let options = self.hub().options();
        match &ending.event {
            EndEvent::End => (!self.restart).then(|| control::end(options)),
            EndEvent::Reconnect(retry) => Some(control::reconnect(options, *retry, ending.reason)),
            EndEvent::Error(error) => Some(control::error(error)),
            EndEvent::Event(event) => Some(event.clone()),
            EndEvent::BreakOff => None,
        }
    }
}

/// What a stream learns from its request.
pub(crate) struct StreamRequest {
    pub(crate) route: Arc<StreamRoute>,
    /// How many of the route's hooks have accepted the stream, and are owed their close hook.
    pub(crate) accepted: AtomicUsize,
    /// `None` if the route maps no events.
    pub(crate) shown: Option<Shown>,
    pub(crate) last_event_id: Option<String>,
    pub(crate) peer: Option<Arc<Peer>>,
    /// What the filters are shown; `None` if there are none.
    pub(crate) kept: Option<Arc<RequestContext>>,
}

/// The request that the closure interceptors of the route are shown.
pub(crate) struct Shown {
    pub(crate) request: RequestContext,
    pub(crate) head: ResponseHead,
}

impl StreamRequest {
    /// The closure interceptors of the route, and the request that they are shown.
    pub(crate) fn shown(&self) -> Option<(&[&'static dyn MapData], &RequestContext)> {
        let shown = self.shown.as_ref()?;
        Some((&self.route.mappers, &shown.request))
    }

    /// Returns an event of the route's own, as its closure interceptors leave it.
    pub(crate) fn map(&self, event: SseEvent) -> SseEvent {
        let Some(Shown { request, head }) = &self.shown else {
            return event;
        };
        let mut head = head.clone();
        event.map_data(|data| map_through(&self.route.mappers, data, request, &mut head))
    }
}
