//! The streams of one app, the hub that they read, and the backplane behind it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use helios_core::decode::{Decoded, Decoder};
use helios_core::event::SseEvent;
use helios_core::hub::{EventId, UnnumberedEvent};
use helios_core::sse::{ClientId, CloseReason, ResetReason, SseError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use crate::drain::MountedAnswers;
use crate::error::Error;
use crate::sse::backplane::replication::{Private, Replication};
use crate::sse::backplane::{Backplane, Status};
use crate::sse::disconnects::Disconnects;
use crate::sse::hub::topics::Membership;
use crate::sse::hub::{Hub, Publication};
use crate::sse::limiter::Limiter;
use crate::sse::presence::Presence;
use crate::sse::stream::lifecycle::{EndEvent, Ending};
use crate::sse::stream::state::StreamState;
use crate::sync::{lock, until};

/// The most resets of another epoch that are answered at the same time. All clients are reset at once then.
const EPOCH_ANSWERS: usize = 64;

pub(crate) struct Streams {
    pub(crate) hub: Arc<Hub>,
    replication: OnceLock<Arc<Replication>>,
    /// The backplane named by the attribute or the environment, used if the code sets no other.
    default_replication: OnceLock<Arc<Replication>>,
    /// The members of topics. Created on first use.
    presence: OnceLock<Arc<Presence>>,
    by_id: Mutex<HashMap<ClientId, Weak<StreamState>>>,
    pub(crate) disconnects: Disconnects,
    live: AtomicUsize,
    /// Signalled when the last live stream has ended.
    quiet: Notify,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) hook_tasks: TaskTracker,
    /// Permits for answering the reset of another epoch.
    pub(crate) epoch_answers: Semaphore,
    pub(crate) heartbeat: HeartbeatState,
    /// Whether streams have been notified that the backplane is down.
    is_stale: AtomicBool,
    /// Whether the server is shutting down.
    pub(crate) closing: AtomicBool,
    /// Until when streams may finish at shutdown, in the hub's time.
    pub(crate) finish_until: OnceLock<Duration>,
    /// Responses of mounted services. They may finish as streams may.
    pub(crate) mounted: Arc<MountedAnswers>,
}

#[derive(Default)]
pub(crate) struct HeartbeatState {
    pub(crate) is_running: AtomicBool,
    /// The shortest silence after which a route wants a comment.
    shortest: Mutex<Option<Duration>>,
    /// The runtime of the heartbeat.
    pub(crate) runtime: Mutex<Option<Handle>>,
}

impl Streams {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            hub: Arc::new(Hub::new()),
            replication: OnceLock::new(),
            default_replication: OnceLock::new(),
            presence: OnceLock::new(),
            by_id: Mutex::default(),
            disconnects: Disconnects::default(),
            live: AtomicUsize::new(0),
            quiet: Notify::new(),
            limiter: Arc::default(),
            hook_tasks: TaskTracker::new(),
            epoch_answers: Semaphore::new(EPOCH_ANSWERS),
            heartbeat: HeartbeatState::default(),
            is_stale: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            finish_until: OnceLock::new(),
            mounted: Arc::default(),
        })
    }

    /// Puts a backplane behind the hub. Only the first call has an effect.
    pub(crate) fn set_backplane(self: &Arc<Self>, backplane: Arc<dyn Backplane>) {
        let _ = self.replication.set(self.replicate(backplane));
    }

    pub(crate) fn has_backplane_of_code(&self) -> bool {
        self.replication.get().is_some()
    }

    /// Puts a backplane behind the hub unless another one is set.
    pub(crate) fn set_default_backplane(self: &Arc<Self>, backplane: Arc<dyn Backplane>) {
        let _ = self.default_replication.set(self.replicate(backplane));
    }

    fn replicate(self: &Arc<Self>, backplane: Arc<dyn Backplane>) -> Arc<Replication> {
        let streams = Arc::downgrade(self);
        let deliver = move |private| {
            let Some(streams) = streams.upgrade() else {
                return;
            };
            match private {
                Private::Event(client, event) => {
                    if let Some(client) = streams.find(client) {
                        client.send_from_afar(&event);
                    }
                }
                Private::Disconnect(event) => {
                    streams.disconnect_from_afar(&event);
                }
            }
        };
        let streams = Arc::downgrade(self);
        let tell_link = move |status| {
            if let Some(streams) = streams.upgrade() {
                streams.tell_link(status);
            }
        };
        let replication = Replication::new(
            Arc::clone(&self.hub),
            backplane,
            Box::new(deliver),
            Box::new(tell_link),
        );
        Arc::new(replication)
    }

    pub(crate) fn replication(&self) -> Option<&Arc<Replication>> {
        self.replication
            .get()
            .or_else(|| self.default_replication.get())
    }

    /// Returns the presence of this hub. The backplane, if there is one, must be set before.
    pub(crate) fn presence(&self) -> &Arc<Presence> {
        let new = || Presence::new(Arc::clone(&self.hub), self.replication().cloned());
        self.presence.get_or_init(|| Arc::new(new()))
    }

    /// Connects the backplane, if there is one.
    pub(crate) async fn start_backplane(&self) -> Result<(), Error> {
        let Some(replication) = self.replication() else {
            return Ok(());
        };
        replication.start().await.map_err(Error::Backplane)?;
        // Another server may have left members behind.
        if !self.hub.options().presence.is_empty() {
            self.presence().keep();
        }
        Ok(())
    }

    /// Gives up the members present here, and then disconnects the backplane.
    pub(crate) async fn stop_backplane(&self) {
        if let Some(presence) = self.presence.get() {
            presence.stop().await;
        }
        if let Some(replication) = self.replication() {
            replication.stop().await;
        }
    }

    /// Notifies streams whether their content may be stale, if the app wants that.
    fn tell_link(&self, status: Status) {
        if !self.hub.options().tell_stale {
            return;
        }
        let is_stale = match status {
            Status::Down => true,
            Status::Up => false,
            Status::Suspect => return,
        };
        if self.is_stale.swap(is_stale, Ordering::AcqRel) != is_stale {
            let streams = self.live();
            streams
                .iter()
                .for_each(|stream| stream.tell_stale(is_stale));
        }
    }

    /// Sends a stream that has just gone live the stale notice that the others have received. The link may come back
    /// meanwhile.
    pub(crate) fn tell_if_stale(&self, stream: &Arc<StreamState>) {
        let mut told = false;
        loop {
            let is_stale = self.is_stale.load(Ordering::Acquire);
            if is_stale == told {
                return;
            }
            stream.tell_stale(is_stale);
            told = is_stale;
        }
    }

    /// Registers a stream by its id, before it is live.
    pub(crate) fn register(&self, stream: &Arc<StreamState>) {
        lock(&self.by_id).insert(stream.id, Arc::downgrade(stream));
    }

    pub(crate) fn unregister(&self, id: ClientId) {
        lock(&self.by_id).remove(&id);
    }

    pub(crate) fn find(&self, id: ClientId) -> Option<Arc<StreamState>> {
        lock(&self.by_id).get(&id)?.upgrade()
    }

    /// Returns the live streams.
    pub(crate) fn live(&self) -> Vec<Arc<StreamState>> {
        let known = lock(&self.by_id);
        let mut streams: Vec<_> = known.values().filter_map(Weak::upgrade).collect();
        // The last reference to a stream may be one of these, and its callbacks must not run under the lock.
        drop(known);
        streams.retain(|stream| stream.is_live());
        streams
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Counts a stream as live.
    pub(crate) fn went_live(self: &Arc<Self>) {
        self.live.fetch_add(1, Ordering::Relaxed);
        self.keep_beating();
    }

    pub(crate) fn ended(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.quiet.notify_waiters();
        }
    }

    /// Waits until no stream is live.
    pub(crate) async fn wait_until_quiet(&self) {
        until(&self.quiet, || (self.live_count() == 0).then_some(())).await;
    }

    /// Waits until no hook runs.
    pub(crate) async fn hooks_done(&self) {
        self.hook_tasks.close();
        self.hook_tasks.wait().await;
    }

    /// Returns the runtime for hooks. That is the current one, or the heartbeat's if a stream is dropped outside of
    /// any.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        let heartbeat = || lock(&self.heartbeat.runtime).clone();
        Handle::try_current().ok().or_else(heartbeat)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Makes the heartbeat frequent enough for a route's silence.
    pub(crate) fn beat_for(&self, silence: Option<Duration>) {
        let mut shortest = lock(&self.heartbeat.shortest);
        *shortest = [*shortest, silence].into_iter().flatten().min();
    }

    /// Returns how often the heartbeat checks the streams.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = *lock(&self.heartbeat.shortest);
        self.hub.options().tick(shortest)
    }

    /// Returns the number in this epoch after which a client resumes, or the reason why it cannot.
    pub(crate) fn position_of(&self, id: EventId, epoch: u64) -> Result<u64, ResetReason> {
        if id.epoch() != epoch {
            return Err(ResetReason::Epoch);
        }
        // Another server may have assigned an id whose event has not arrived here yet.
        if id.seq() > self.hub.head() && self.replication().is_none() {
            return Err(ResetReason::Unknown);
        }
        Ok(id.seq())
    }

    /// Publishes to a topic, but not to `except`. Yields to the runtime now and then, so that a tight loop of publishes
    /// does not starve the readers.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        topic: &str,
        event: &SseEvent,
        except: Option<ClientId>,
    ) -> Result<EventId, SseError> {
        let event = self.hub.encode_unnumbered(event)?;
        let publication = Publication::event(event, except);
        self.put(topic, &publication, None).await
    }

    /// Publishes to a topic, and only once for each key.
    pub(crate) async fn publish_once(
        self: &Arc<Self>,
        topic: &str,
        event: &SseEvent,
        key: Option<&str>,
    ) -> Result<EventId, SseError> {
        let event = self.hub.encode_unnumbered(event)?;
        let publication = Publication::event(event, None);
        self.put(topic, &publication, key).await
    }

    /// Publishes all events, in this order.
    pub(crate) async fn publish_all(
        self: &Arc<Self>,
        events: Vec<(String, Result<UnnumberedEvent, SseError>)>,
    ) -> Vec<Result<EventId, SseError>> {
        let Some(replication) = self.replication() else {
            let mut answers = Vec::with_capacity(events.len());
            for (topic, event) in events {
                answers.push(match event {
                    Ok(event) => {
                        self.put(&topic, &Publication::event(event, None), None)
                            .await
                    }
                    Err(error) => Err(error),
                });
            }
            return answers;
        };
        let (mut faults, mut publications) = (Vec::new(), Vec::new());
        for (topic, event) in events {
            match event {
                Ok(event) => {
                    faults.push(None);
                    publications.push((topic, Publication::event(event, None)));
                }
                Err(error) => faults.push(Some(error)),
            }
        }
        let mut published = replication.publish_all(&publications).await.into_iter();
        let answers = faults.into_iter().filter_map(|fault| match fault {
            Some(error) => Some(Err(error)),
            None => published.next(),
        });
        let answers: Vec<_> = answers.collect();
        let count = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        self.hub
            .counters
            .published
            .fetch_add(count, Ordering::Relaxed);
        answers
    }

    /// Sends an event to one client, on whatever server it is.
    pub(crate) async fn send_to(
        self: &Arc<Self>,
        id: ClientId,
        event: SseEvent,
    ) -> Result<(), SseError> {
        match (self.find(id), self.replication()) {
            (Some(client), _) => {
                tokio::task::consume_budget().await;
                client.send_by_id(event)
            }
            (None, Some(replication)) => {
                let event = self.hub.encode_unnumbered(&event)?;
                replication.send(id, event).await
            }
            (None, None) => Err(SseError::NoSuchClient(id)),
        }
    }

    /// Ends the streams of a user, here and on all other servers.
    pub(crate) async fn disconnect(self: &Arc<Self>, user: &str) -> Result<(), SseError> {
        self.disconnect_here(user);
        let Some(replication) = self.replication() else {
            return Ok(());
        };
        let named = SseEvent::json(user).event(self.hub.node.to_string());
        let named = self.hub.encode_unnumbered(&named)?;
        replication.disconnect(named).await
    }

    /// Ends the streams of a user whom another server has disconnected. A message of this server has had its effect, and
    /// its user may have come back since.
    fn disconnect_from_afar(&self, message: &Bytes) {
        if let Some((user, server)) = user_in(message)
            && server != self.hub.node.to_string()
        {
            self.disconnect_here(&user);
        }
    }

    fn disconnect_here(&self, user: &str) {
        // First, so that a stream that is attached meanwhile finds it there if it is not found below.
        self.disconnects.add(user);
        let known = lock(&self.by_id);
        let mut streams: Vec<_> = known.values().filter_map(Weak::upgrade).collect();
        drop(known);
        let is_theirs = |stream: &Arc<StreamState>| {
            let of = stream.request().and_then(|request| request.user.as_deref());
            of == Some(user)
        };
        streams.retain(is_theirs);
        for stream in streams {
            stream.end(&Ending {
                reason: CloseReason::ServerClosed,
                event: EndEvent::End,
            });
        }
    }

    /// Finishes a topic, with or without a last event.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        topic: &str,
        last: Option<&SseEvent>,
    ) -> Result<EventId, SseError> {
        let last = last.map(|event| self.hub.encode_unnumbered(event));
        let publication = Publication::end(last.transpose()?);
        self.put(topic, &publication, None).await
    }

    async fn put(
        self: &Arc<Self>,
        topic: &str,
        publication: &Publication,
        key: Option<&str>,
    ) -> Result<EventId, SseError> {
        tokio::task::consume_budget().await;
        let id = match self.replication() {
            Some(replication) => replication.publish(topic, publication, key).await?,
            None => self.append(topic, publication, key)?,
        };
        if publication.event.is_some() {
            self.hub.counters.published.fetch_add(1, Ordering::Relaxed);
        }
        Ok(id)
    }

    fn append(
        self: &Arc<Self>,
        topic: &str,
        publication: &Publication,
        key: Option<&str>,
    ) -> Result<EventId, SseError> {
        let id = match key {
            Some(key) => self.hub.append_once(topic, key, publication)?,
            None => self.hub.append(topic, publication)?,
        };
        // History has to expire even if no client ever connects.
        if !self.is_beating() && Handle::try_current().is_ok() {
            self.keep_beating();
        }
        Ok(id)
    }

    /// Returns a membership of a topic, which is created if it does not exist. From then on, the backplane's events
    /// reach it.
    pub(crate) async fn enter(self: &Arc<Self>, name: &str) -> Result<Membership, SseError> {
        self.keep_beating();
        loop {
            let (topics, epoch) = (&self.hub.topics, self.hub.epoch());
            let topic = topics.open(name, epoch, self.hub.options())?;
            let gone = topic.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            match (Membership::new(Arc::clone(&topic)), self.replication()) {
                (Some(membership), None) => return Ok(membership),
                (Some(membership), Some(replication)) => {
                    replication.watch(&topic).await?;
                    return Ok(membership);
                }
                (None, None) => self.hub.topics.forget(&topic),
                // The topic may have been forgotten before this began to listen.
                (None, Some(_)) if self.hub.topics.holds(&topic) => gone.await,
                (None, Some(_)) => {}
            }
        }
    }
}

/// Returns the user that another server's event names.
/// Returns the user, and the server that sent the message.
fn user_in(event: &Bytes) -> Option<(String, String)> {
    let mut decoder = Decoder::new();
    decoder.feed(event).ok()?;
    match decoder.next_item()? {
        Decoded::Event(event) => Some((serde_json::from_str(&event.data).ok()?, event.event)),
        _ => None,
    }
}
