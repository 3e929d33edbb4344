//! What a route fixes for all of its streams, and what one stream learns from the request that it answers.

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
    /// Its method may answer with a response in place of a stream, so it is called before a stream is admitted.
    pub(crate) may_reply: bool,
    pub(crate) options: StreamOptions,
}

/// How a client is told of an end, behind everything that was sent before it.
pub(crate) enum EndForm {
    /// By the event whose id says that the client has seen everything.
    Mark(Bytes),
    Event(Bytes),
    /// By the end of the response alone.
    Complete,
    /// The response breaks off, which its protocol tells.
    BreakOff,
}

impl StreamRoute {
    /// A route that has nothing around it, for the requests of this method.
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

    /// A permit for one more stream; `None` if there is no room for it, or if it could not be told that the server goes down.
    pub(crate) fn admit(&self, request: &RequestContext) -> Option<Permit> {
        if self.options.plain && self.streams.is_closing() {
            return None;
        }
        let hub = self.hub();
        let limits = &hub.options().connections;
        self.streams.limiter.admit(limits, request, hub.now())
    }

    /// Whether a reset is answered by a hook. A snapshot hook answers resets too.
    pub(crate) fn answers_resets(&self) -> bool {
        let answers = |hooks: &Arc<dyn SseHooks>| hooks.answers_resets() || hooks.sends_snapshots();
        self.hooks.iter().any(answers)
    }

    /// Whether a client that has no position yet is sent a snapshot.
    pub(crate) fn sends_snapshots(&self) -> bool {
        self.hooks.iter().any(|hooks| hooks.sends_snapshots())
    }

    /// How long the response head waits at most for the first event, the error or the end; zero if it leaves as soon as the
    /// source waits.
    pub(crate) fn head_wait(&self, may_fail: bool) -> Duration {
        let by_default = match may_fail {
            true => HEAD_GRACE,
            false => Duration::ZERO,
        };
        self.options.head_after.unwrap_or(by_default)
    }

    /// An end after which the client comes back, not all at once.
    pub(crate) fn reconnect_ending(&self, reason: CloseReason) -> Ending {
        let retry = control::jittered(self.options.retry);
        Ending {
            reason,
            event: EndEvent::Reconnect(retry),
        }
    }

    /// How a client of this route is told of an end. One of a plain stream knows no control events.
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
    /// Whose it is, if the app says so.
    pub(crate) user: Option<Box<str>>,
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
