//! The values that a route fixes for all of its streams, and those that a stream takes from its request.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use helios_core::event::SseEvent;
use helios_core::filter::DynFilter;
use helios_core::interceptor::{MapData, map_through};
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::route::Verb;
use helios_core::sse::CloseReason;

use crate::peer::Peer;
use crate::sse::control;
use crate::sse::hooks::SseHooks;
use crate::sse::hub::Hub;
use crate::sse::limiter::Permit;
use crate::sse::options::{OnError, StreamOptions, StreamTable};
use crate::sse::stream::lifecycle::{EndEvent, Ending};
use crate::sse::streams::Streams;

/// How long the response head of a source that may fail waits for the first event.
const HEAD_GRACE: Duration = Duration::from_millis(250);

/// The values shared by all streams of a route.
pub(crate) struct StreamRoute {
    pub(crate) streams: Arc<Streams>,
    /// The hooks of the controllers above the route, outermost first.
    pub(crate) hooks: Vec<Arc<dyn SseHooks>>,
    /// The closure interceptors around it.
    pub(crate) mappers: Arc<[&'static dyn MapData]>,
    /// The filters around it, outer to inner.
    pub(crate) filters: Vec<Arc<dyn DynFilter>>,
    /// Whether its method may return a response instead of a stream. It is then called before a stream is admitted.
    pub(crate) may_reply: bool,
    pub(crate) options: StreamOptions,
}

/// How an end is reported to the client, after everything that was sent before it.
pub(crate) enum EndForm {
    /// The event whose id says that the client has seen everything.
    Mark(Bytes),
    Event(Bytes),
    /// The end of the response alone.
    Complete,
    /// A response that breaks off, which clients detect by the protocol.
    BreakOff,
}

impl StreamRoute {
    /// Creates a route without hooks, interceptors and filters, for requests of this method.
    pub(crate) fn bare(streams: Arc<Streams>, verb: Verb) -> Arc<Self> {
        Arc::new(Self {
            options: StreamOptions::new(&StreamTable::EMPTY, verb, streams.hub.options()),
            streams,
            hooks: Vec::new(),
            mappers: Arc::new([]),
            filters: Vec::new(),
            may_reply: false,
        })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.streams.hub
    }

    /// Returns a permit for one more stream. `None` if there is no room for it, or if the server is shutting down and
    /// the stream is plain, so that it could not be notified.
    pub(crate) fn admit(&self, request: &RequestContext) -> Option<Permit> {
        if self.options.plain && self.streams.is_closing() {
            return None;
        }
        let hub = self.hub();
        let limits = &hub.options().connections;
        self.streams.limiter.admit(limits, request, hub.now())
    }

    /// Whether a hook answers resets. A snapshot hook does so, too.
    pub(crate) fn answers_resets(&self) -> bool {
        let answers = |hooks: &Arc<dyn SseHooks>| hooks.answers_resets() || hooks.sends_snapshots();
        self.hooks.iter().any(answers)
    }

    /// Whether a client that has no position yet gets a snapshot.
    pub(crate) fn sends_snapshots(&self) -> bool {
        self.hooks.iter().any(|hooks| hooks.sends_snapshots())
    }

    /// Returns how long the response head waits at most for the first event, the error or the end. Zero if it leaves as
    /// soon as the source waits.
    pub(crate) fn head_wait(&self, may_fail: bool) -> Duration {
        let by_default = match may_fail {
            true => HEAD_GRACE,
            false => Duration::ZERO,
        };
        self.options.head_after.unwrap_or(by_default)
    }

    /// Returns an ending after which the client comes back. The time is jittered, so that not all clients come back at
    /// once.
    pub(crate) fn reconnect_ending(&self, reason: CloseReason) -> Ending {
        let retry = control::jittered(self.options.retry);
        Ending {
            reason,
            event: EndEvent::Reconnect(retry),
        }
    }

    /// Returns how an end is reported to a client of this route. The client of a plain stream knows no control events.
    pub(crate) fn end_form(&self, ending: &Ending) -> EndForm {
        let StreamOptions {
            plain,
            restart,
            on_error,
            ..
        } = self.options;
        let options = self.hub().options();
        match (&ending.event, plain) {
            (EndEvent::End, false) if !restart => EndForm::Mark(control::end(options)),
            (EndEvent::End, _) => EndForm::Complete,
            (EndEvent::Reconnect(retry), false) => {
                EndForm::Event(control::reconnect(options, *retry, ending.reason))
            }
            (EndEvent::Error(error), _) if on_error == OnError::Event => {
                EndForm::Event(control::error(error))
            }
            (EndEvent::Event(event), _) => EndForm::Event(event.clone()),
            (EndEvent::Reconnect(_) | EndEvent::Error(_) | EndEvent::BreakOff, _) => {
                EndForm::BreakOff
            }
        }
    }
}

/// The values that a stream takes from its request.
pub(crate) struct StreamRequest {
    pub(crate) route: Arc<StreamRoute>,
    /// How many of the route's hooks have accepted the stream. Their close hooks have to run.
    pub(crate) accepted: AtomicUsize,
    /// `None` if the route maps no events.
    pub(crate) shown: Option<Shown>,
    pub(crate) last_event_id: Option<String>,
    pub(crate) peer: Option<Arc<Peer>>,
    /// The request for the filters. `None` if there are none.
    pub(crate) kept: Option<Arc<RequestContext>>,
    /// The user of the stream, if the app identifies users.
    pub(crate) user: Option<Box<str>>,
}

/// The request for the closure interceptors of the route.
pub(crate) struct Shown {
    pub(crate) request: RequestContext,
    pub(crate) head: ResponseHead,
}

impl StreamRequest {
    /// Returns the closure interceptors of the route, and the request for them.
    pub(crate) fn shown(&self) -> Option<(&[&'static dyn MapData], &RequestContext)> {
        let shown = self.shown.as_ref()?;
        Some((&self.route.mappers, &shown.request))
    }

    /// Returns an event of the route's own, mapped by its closure interceptors.
    pub(crate) fn map(&self, event: SseEvent) -> SseEvent {
        let Some(Shown { request, head }) = &self.shown else {
            return event;
        };
        let mut head = head.clone();
        event.map_data(|data| map_through(&self.route.mappers, data, request, &mut head))
    }
}
