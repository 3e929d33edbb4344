//! The state of one SSE connection, from its handle's making to its last byte: its lock, how it begins and how it ends.

mod attachment;
mod bag;
mod deferred;
mod life;
mod position;
#[cfg(test)]
mod races;
mod reader;
mod reset;
mod rooms;
mod sending;
mod task;

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Waker};

use bytes::Bytes;
use helios_core::hub::{BacklogLimits, Liveness, Subscriber};
use helios_core::sse::{ClientId, CloseReason, SseError};
use tokio::sync::Notify;

use super::hooks;
use super::hub::{Hub, lock};
use super::stream::SseStream;
use super::topics::Membership;
use crate::panics::caught;
use bag::Bag;
use deferred::Deferred;
use life::{Decision, Finished, Life};
use reset::PendingReset;
use task::Task;

pub(super) use attachment::{Attachment, EventMapper};
pub(super) use life::{CloseCallback, Ending, Farewell};
pub(crate) use reader::Piece;
pub(super) use rooms::JoinAt;
pub(super) use sending::Origin;

/// Its fields lie in memory in this order, and so do those of its state: what each event looks at comes first.
#[repr(C)]
pub(super) struct Client {
    state: Mutex<State>,
    pub(super) id: ClientId,
    /// Set when the hub knows the id.
    hub: OnceLock<Weak<Hub>>,
    pub(super) attachment: OnceLock<Attachment>,
    /// Signalled when the outbox has been read from.
    pub(super) room: Notify,
    /// Signalled when the end is announced.
    pub(super) closing: Notify,
    /// Signalled when the connection is over.
    pub(super) over: Notify,
    pub(super) bag: Bag,
}

#[repr(C)]
struct State {
    task: Task,
    /// The response head may leave.
    head_wanted: bool,
    /// The response head has left: what is joined from now on is not resumed.
    head_left: bool,
    reader: Subscriber<Membership>,
    liveness: Liveness,
    life: Life,
    deferred: Deferred,
    /// The hub's epoch when the first topic was joined.
    joined_in: Option<u64>,
    /// A reset that came while another one is being answered.
    next_reset: Option<PendingReset>,
}

impl Client {
    pub(super) fn new() -> Self {
        let id = ClientId::from_random_bytes(*uuid::Uuid::new_v4().as_bytes());
        Self {
            state: Mutex::new(State {
                task: Task::default(),
                head_wanted: false,
                head_left: false,
                reader: Subscriber::new(id, BacklogLimits::default()),
                liveness: Liveness::default(),
                life: Life::detached(),
                deferred: Deferred::default(),
                joined_in: None,
                next_reset: None,
            }),
            id,
            hub: OnceLock::new(),
            attachment: OnceLock::new(),
            room: Notify::new(),
            closing: Notify::new(),
            over: Notify::new(),
            bag: Bag::default(),
        }
    }

    /// Lets the hub find the client by its id.
    pub(super) fn register_at(self: &Arc<Self>, hub: &Arc<Hub>) {
        if self.hub.set(Arc::downgrade(hub)).is_ok() {
            hub.register(self);
        }
    }

    fn known_hub(&self) -> Option<Arc<Hub>> {
        self.hub.get().and_then(Weak::upgrade)
    }

    /// Binds the connection to its request.
    pub(super) fn attach(self: &Arc<Self>, attachment: Attachment) -> Result<(), SseError> {
        if let Some(reason) = self.finished() {
            return Err(SseError::Closed(reason));
        }
        let hub = Arc::clone(&attachment.hub);
        if self
            .hub
            .get()
            .is_some_and(|known| !known.ptr_eq(&Arc::downgrade(&hub)))
        {
            return Err(SseError::OtherApp);
        }
        self.attachment
            .set(attachment)
            .map_err(|_| SseError::AlreadyAttached)?;
        self.register_at(&hub);
        Ok(())
    }

    /// Is live from now on: what is broadcast reaches it, and what was queued is written.
    pub(super) fn go_live(self: &Arc<Self>, attachment: &Attachment) {
        let hub = &attachment.hub;
        self.join_everyone(hub);
        let ending = loop {
            let queued = lock(&self.state).deferred.take_events();
            let encode = |(event, origin)| self.encode_for(attachment, event, origin);
            let encoded: Vec<_> = queued.into_iter().map(encode).collect();
            let mut state = lock(&self.state);
            state.take_over(hub, encoded);
            if !state.deferred.has_events() {
                break state.go_live(hub);
            }
        };
        hub.connected();
        if let Some(ending) = ending {
            self.end(ending);
        }
    }

    /// No more can be sent.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).life.closed_reason().is_some()
    }

    /// The reason, once the connection is over.
    pub(super) fn finished(&self) -> Option<CloseReason> {
        lock(&self.state).life.finished_reason()
    }

    /// The reason, once the end is announced or decided; until then somebody is known to watch for it.
    pub(super) fn closing_reason(&self) -> Option<CloseReason> {
        lock(&self.state).life.watch()
    }

    pub(super) fn is_live(&self) -> bool {
        lock(&self.state).life.is_live()
    }

    pub(super) fn request_head(&self) {
        let waker = {
            let mut state = lock(&self.state);
            state.head_wanted = true;
            state.task.wake()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether the response head may leave; else `waker` is woken when it may.
    pub(super) fn poll_head(&self, cx: &Context<'_>) -> bool {
        let mut state = lock(&self.state);
        if state.life.is_detached() {
            return false;
        }
        if !state.head_wanted {
            state.task.is_polled_by(cx.waker());
            state.task.waits();
        }
        state.head_wanted
    }

    /// Whether something was sent, so that an error comes too late for a status.
    pub(super) fn has_sent(&self) -> bool {
        lock(&self.state).head_wanted
    }

    pub(super) fn on_close(&self, callback: CloseCallback) {
        let late = lock(&self.state).life.on_close(callback);
        if let Some((callback, reason)) = late {
            caught("an `on_close` callback", || callback(reason));
        }
    }

    /// Says that the connection is to end. Who watches for that may still send until it is decided: by the end of the
    /// stream's own source, or when the grace is over. If nobody does it is decided at once.
    pub(super) fn announce_end(&self, hub: &Hub, ending: Ending) {
        let until = hub.now().saturating_add(hub.options().closing_grace);
        let is_announced = lock(&self.state).life.announce(&ending, until);
        match is_announced {
            true => self.closing.notify_waiters(),
            false => self.end(ending),
        }
    }

    /// Decides the end: the farewell is written after what was sent. The first ending counts.
    pub(super) fn end(&self, ending: Ending) {
        let waker = {
            let mut state = lock(&self.state);
            if !state.end(self.attachment.get(), &ending) {
                return;
            }
            state.task.wake()
        };
        self.ended(waker);
    }

    /// What is to be done when an end is decided and the state is unlocked.
    fn ended(&self, waker: Option<Waker>) {
        self.room.notify_waiters();
        self.closing.notify_waiters();
        waker.into_iter().for_each(Waker::wake);
    }

    /// The stream has failed: error hooks may still send, but not decide another end.
    pub(super) fn fail(&self) {
        lock(&self.state).life.fail();
    }

    /// A connection hook refused: what follows is an ordinary answer.
    pub(super) fn reject(&self) {
        lock(&self.state).life.decide(&Ending {
            reason: CloseReason::Rejected,
            farewell: Farewell::End,
        });
    }

    /// The connection is over; `reason` counts if no end was decided before. Runs the callbacks, and starts the close
    /// hooks in a task of their own. Only the first call does anything, and gives the final reason.
    pub(super) fn finish(self: &Arc<Self>, reason: CloseReason) -> Option<CloseReason> {
        let (reason, was_live) = self.settle(reason)?;
        let attachment = self.attachment.get()?;
        hooks::spawn_close(SseStream::of(Arc::clone(self)), attachment, reason);
        // Last, so that a drain which sees no live connection finds the hooks' task.
        if was_live {
            attachment.hub.disconnected();
        }
        Some(reason)
    }

    /// Ends the state and runs the callbacks. `None` if that was done before.
    fn settle(&self, reason: CloseReason) -> Option<(CloseReason, bool)> {
        let Finished {
            reason,
            was_live,
            callbacks,
        } = lock(&self.state).finish(reason)?;
        self.room.notify_waiters();
        self.closing.notify_waiters();
        self.over.notify_waiters();
        for callback in callbacks {
            caught("an `on_close` callback", || callback(reason));
        }
        if let Some(hub) = self.known_hub() {
            hub.unregister(self.id);
        }
        Some((reason, was_live))
    }
}

impl State {
    /// Takes over what was sent before it is live.
    fn take_over(&mut self, hub: &Hub, encoded: Vec<Result<Bytes, SseError>>) {
        let head = hub.head();
        for encoded in encoded {
            match encoded {
                Ok(bytes) => self.reader.push_control(head, bytes),
                // A handle made without its app could not check against the app's options when it was sent to.
                Err(error) => {
                    self.life.decide(&Ending {
                        reason: CloseReason::Error,
                        farewell: Farewell::Error(error),
                    });
                }
            }
        }
    }

    /// Is live from now on. Gives an end that is to be decided at once.
    fn go_live(&mut self, hub: &Hub) -> Option<Ending> {
        let options = hub.options();
        self.reader.outbox.set_limits(options.backlog);
        self.liveness = Liveness::new(hub.now(), options.jittered_max_age());
        match self.life.go_live() {
            None if hub.is_closing() => Some(hub.shutdown_ending()),
            // Who is live when another sequence begins is ended by that.
            None if self.is_of_another_epoch(hub) => {
                Some(hub.reconnect_ending(CloseReason::ServerClosed))
            }
            ending => ending,
        }
    }

    /// Decides the end. False if another one counts.
    fn end(&mut self, attachment: Option<&Attachment>, ending: &Ending) -> bool {
        match (self.life.decide(ending), attachment) {
            (Decision::Refused, _) => return false,
            (Decision::Closes(ending), Some(attachment)) => {
                let at = attachment.hub.head();
                self.reader.end_at(at);
                if let Some(farewell) = attachment.farewell(&ending) {
                    self.reader.push_control(at, farewell);
                }
            }
            // It is told when the connection is live.
            _ => {}
        }
        self.head_wanted = true;
        true
    }

    /// Is over: what waits is not written any more. `None` if it was over before.
    fn finish(&mut self, reason: CloseReason) -> Option<Finished> {
        let finished = self.life.finish(reason)?;
        self.reader.outbox.clear();
        self.reader.leave_all().for_each(drop);
        self.deferred.take_events();
        self.task = Task::default();
        Some(finished)
    }
}

impl Drop for Client {
    /// A handle that was never attached tells its callbacks that nothing came of it.
    fn drop(&mut self) {
        self.settle(CloseReason::Rejected);
    }
}

#[cfg(test)]
fn attachment_to(hub: &Arc<Hub>) -> Attachment {
    Attachment {
        hub: Arc::clone(hub),
        hooks: Arc::new([]),
        accepted: Default::default(),
        mapper: None,
        last_event_id: None,
        restart: false,
        peer: None,
    }
}

#[cfg(test)]
fn live_client(hub: &Arc<Hub>) -> Arc<Client> {
    let client = Arc::new(Client::new());
    assert!(client.attach(attachment_to(hub)).is_ok());
    client.go_live(client.attachment.get().unwrap());
    client
}
