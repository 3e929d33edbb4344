//! Presence: the members of a topic on all nodes, and the events that report their changes.
//!
//! `helios_core::presence::table` holds the rules of rows, leases and grace, and explains why the published changes are
//! correct in the end. This module does the part of one node.
//!
//! # From a stream to an event
//!
//! 1. A stream appears or ends. [`Local`] knows all streams of a member on this node, and which row the tables should
//!    hold for it. There is one row for each member and node, not for each stream.
//! 2. One task at a time for each member ([`Presence::bring_up_to_date`]) sends this to the tables. So when one stream
//!    puts a row and another removes it, the tables receive that in the same order. The task runs on its own, so
//!    dropping the future of `appear` leaves nothing half done.
//! 3. The change that the tables return is published to the topic, with its version as the key, and then confirmed to
//!    the tables. They return the next change of that member then, if there is one.
//! 4. Failed requests and publishes are retried every 5 seconds, as long as the lease lives. After that, `reap` hands
//!    the changes to other nodes, which publish them.
//!
//! # When a node sleeps, or is cut off
//!
//! Its lease expires, and the others report its members as lost. The node's own clock keeps it from publishing changes
//! that it received before that ([`Presence::lease_is_fresh`]). When it is back, it gets a lease of another incarnation
//! and puts all of its rows again.
//!
//! # When a node stops
//!
//! It gives up its rows at once, and their members have the grace to appear on another node. The other nodes report
//! those that do not.

mod local;
mod snapshots;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::event::SseEvent;
use helios_core::hub::UnnumberedEvent;
use helios_core::presence::table::{
    LEASE, Lease, MemberChange, MemberChangeKind, MemberRow, PutAnswer, RENEWAL,
};
use helios_core::presence::{Member, PresenceError, Present, PresentMember};
use helios_core::sse::{ClientId, CloseReason, SseError};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::failure::with_causes;
use crate::panics::caught_in;
use crate::sse::backplane::replication::Replication;
use crate::sse::backplane::{LocalTables, Tables};
use crate::sse::hub::topics::check_name;
use crate::sse::hub::{Hub, Publication};
use crate::sync::{lock, until};
use local::{Leaving, Local, Name, Outcome, Step, too_many};
use snapshots::Snapshots;

/// How long the tables may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most members whose rows are brought up to date at the same time.
const WORKERS: usize = 64;

/// The number of changes that the tables return at once. After a full batch there may be more.
const BATCH: usize = 256;

/// Shortest time between two requests to the tables for members whose grace has ended.
const QUARTER: Duration = Duration::from_millis(250);

/// The presence of one hub.
pub(crate) struct Presence {
    hub: Arc<Hub>,
    replication: Option<Arc<Replication>>,
    /// The tables of a hub without a backplane.
    own_tables: LocalTables,
    local: Mutex<Local>,
    lease: Mutex<Option<HeldLease>>,
    /// Held by the task that renews the lease.
    renewing: tokio::sync::Mutex<()>,
    /// Changes that this node has to publish but could not yet.
    untold: Mutex<VecDeque<(Lease, MemberChange)>>,
    /// Versions of the changes that are being published here. The tables may return them again meanwhile.
    telling: Mutex<HashSet<u64>>,
    snapshots: Mutex<Snapshots>,
    workers: Semaphore,
    /// When the graces of members that were here end, in quarters of a second of the hub's time.
    deadlines: Mutex<BTreeSet<u64>>,
    alarm: Arc<Notify>,
    keeper: Mutex<Option<Keeper>>,
    /// Signalled when a task that brings a member up to date ends.
    quiet: Notify,
    stopped: CancellationToken,
}

/// The runtime of the tasks that renew the lease and reap, and one of them. Other work runs there as well, since the
/// runtime of a caller may end before its work does.
struct Keeper {
    runtime: Handle,
    leasing: JoinHandle<Option<()>>,
}

impl Keeper {
    /// Whether the runtime and the tasks have ended.
    fn is_over(&self) -> bool {
        self.leasing.is_finished()
    }
}

/// A lease, and when it was last renewed, by this node's clock. The lease is at least that old.
#[derive(Clone, Copy)]
struct HeldLease {
    lease: Lease,
    renewed: Instant,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

impl Presence {
    pub(crate) fn new(hub: Arc<Hub>, replication: Option<Arc<Replication>>) -> Self {
        Self {
            hub,
            replication,
            own_tables: LocalTables::new(),
            local: Mutex::default(),
            lease: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            untold: Mutex::default(),
            telling: Mutex::default(),
            snapshots: Mutex::default(),
            workers: Semaphore::new(WORKERS),
            deadlines: Mutex::default(),
            alarm: Arc::default(),
            keeper: Mutex::default(),
            quiet: Notify::new(),
            stopped: CancellationToken::new(),
        }
    }

    /// Returns the tables, if they can be reached.
    fn tables(&self) -> Result<&dyn Tables, SseError> {
        let Some(replication) = &self.replication else {
            return Ok(&self.own_tables);
        };
        let backplane = replication.reached().map_err(SseError::Backplane)?;
        backplane
            .tables()
            .ok_or(SseError::Presence(PresenceError::NoTables(
                backplane.name(),
            )))
    }

    /// Fails unless presence is on in this topic.
    fn check(&self, topic: &str) -> Result<(), SseError> {
        check_name(topic)?;
        match self.hub.options().has_presence(topic) {
            true => Ok(()),
            false => Err(PresenceError::NotEnabled(topic.to_owned()).into()),
        }
    }

    /// Makes a stream appear in a topic. When this returns `Ok`, its row is in the tables.
    pub(crate) async fn appear(
        self: &Arc<Self>,
        stream: ClientId,
        topic: &str,
        member: Member,
        begun: impl FnOnce(),
    ) -> Result<(), SseError> {
        self.check(topic)?;
        let (key, data) = member.checked().map_err(SseError::Event)??;
        self.tables()?;
        self.keep();
        let (waiter, answer) = oneshot::channel();
        let most = self.hub.options().max_topics_per_connection;
        let name = (topic, &*key);
        let changed = lock(&self.local).appear(stream, name, &data, most, waiter)?;
        // The stream may have ended already.
        begun();
        self.begin(changed);
        // There is no answer if a later call for the same stream replaced this one, or if the stream ended. The stream
        // reports that itself.
        answer.await.unwrap_or(Ok(()))
    }

    /// Removes a stream's member from a topic.
    pub(crate) fn disappear(self: &Arc<Self>, stream: ClientId, topic: &str) {
        let name = lock(&self.local).disappear(stream, topic, Leaving::Final);
        self.begin(name);
    }

    /// Removes a stream that has ended. A rejected one was never live. It gets no grace and takes none from its member.
    pub(crate) fn over(self: &Arc<Self>, stream: ClientId, reason: CloseReason) {
        let leaving = match reason {
            CloseReason::Rejected => Leaving::Undone,
            _ => self.away(),
        };
        let names = lock(&self.local).over(stream, leaving);
        self.begin(names);
    }

    /// Leaves a grace that begins now.
    fn away(&self) -> Leaving {
        let grace = self.hub.options().presence_grace;
        Leaving::Away(self.hub.now() + grace)
    }

    /// Returns the members of a topic.
    pub(crate) async fn present(&self, topic: &str) -> Result<Present, SseError> {
        self.check(topic)?;
        // Changes published up to this id are in the tables already.
        let at = self.hub.newest_id();
        let read = async {
            let tables = self.tables()?;
            within(tables.read(topic))
                .await
                .map_err(SseError::Backplane)
        };
        match read.await {
            Ok(rows) => {
                let present = Present::new(at, rows.iter().map(member).collect());
                if self.replication.is_some() {
                    lock(&self.snapshots).keep(topic, &present, Instant::now());
                }
                Ok(present)
            }
            Err(error @ SseError::Backplane(_)) => {
                let known = lock(&self.snapshots).find(topic, Instant::now());
                known.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts tasks that bring the rows of these members up to date.
    fn begin(self: &Arc<Self>, names: impl IntoIterator<Item = Name>) {
        for name in names {
            let Some(runtime) = self.runtime() else {
                // The node is going down, so its lease expires.
                return;
            };
            if lock(&self.local).begin(&name) {
                let work = Work {
                    presence: Arc::clone(self),
                    name,
                    failure: Some(SseError::Closed(CloseReason::Shutdown)),
                };
                runtime.spawn(work.run());
            }
        }
    }

    /// Returns the runtime of the keeper, or that of the caller if there is no such runtime any more.
    fn runtime(&self) -> Option<Handle> {
        let keeper = lock(&self.keeper);
        let (over, alive) = match &*keeper {
            Some(keeper) if keeper.is_over() => (Some(&keeper.runtime), None),
            keeper => (None, keeper.as_ref().map(|keeper| &keeper.runtime)),
        };
        // After a stop the tasks are over, but not their runtime.
        let current = || Handle::try_current().ok();
        alive.cloned().or_else(current).or_else(|| over.cloned())
    }

    async fn bring_up_to_date(self: &Arc<Self>, name: &Name) {
        let Ok(_permit) = self.workers.acquire().await else {
            return;
        };
        if let Err(error) = self.take_steps(name).await {
            lock(&self.local).pause(name, &error);
        }
    }

    /// Continues until the tables are up to date. Returns an error to give up for now.
    async fn take_steps(self: &Arc<Self>, name: &Name) -> Result<(), SseError> {
        loop {
            let tables = self.tables()?;
            let lease = self.lease(tables).await?;
            let Some(step) = lock(&self.local).next(name, lease) else {
                return Ok(());
            };
            match step {
                Step::Put {
                    data,
                    version,
                    is_new,
                } => {
                    let row = (&*data, version, is_new);
                    if !self.put(tables, lease, name, row).await {
                        return Ok(());
                    }
                }
                Step::Remove { lease, leaving } => {
                    self.remove(tables, lease, name, leaving).await?;
                }
            }
        }
    }

    /// Puts a row. Returns false to give up for now.
    async fn put(
        self: &Arc<Self>,
        tables: &dyn Tables,
        lease: Lease,
        name: &Name,
        (data, version, is_new): (&str, u64, bool),
    ) -> bool {
        let most = self.hub.options().max_members;
        let answer = within(tables.put(lease, &name.0, &name.1, data, is_new, most)).await;
        let outcome = match answer {
            Ok(PutAnswer::Kept(change)) => {
                self.tell(lease, change).await;
                Outcome::Kept
            }
            Ok(PutAnswer::LeaseLost) => {
                self.lose(lease);
                Outcome::LeaseLost
            }
            Ok(_) => Outcome::Refused(too_many(most)),
            Err(error) => Outcome::Unknown(SseError::Backplane(error)),
        };
        lock(&self.local).put(name, lease, version, outcome)
    }

    async fn remove(
        self: &Arc<Self>,
        tables: &dyn Tables,
        lease: Lease,
        name: &Name,
        leaving: Leaving,
    ) -> Result<(), SseError> {
        let grace = match leaving {
            Leaving::Away(until) => Some(until.saturating_sub(self.hub.now())),
            Leaving::Final => Some(Duration::ZERO),
            Leaving::Undone => None,
        };
        let removed = within(tables.remove(lease, &name.0, &name.1, grace)).await;
        let change = removed.map_err(SseError::Backplane)?;
        lock(&self.local).removed(name);
        self.tell(lease, change).await;
        if let Leaving::Away(until) = leaving {
            lock(&self.deadlines).insert(quarters(until) + 1);
            self.alarm.notify_one();
        }
        Ok(())
    }

    /// Returns the lease of this node, which begins when it is first needed.
    async fn lease(&self, tables: &dyn Tables) -> Result<Lease, SseError> {
        let held = || lock(&self.lease).map(|held| held.lease);
        if let Some(lease) = held() {
            return Ok(lease);
        }
        let _renewing = self.renewing.lock().await;
        match held() {
            Some(lease) => Ok(lease),
            None => self.renew(tables).await.map_err(SseError::Backplane),
        }
    }

    /// Renews the lease. The caller holds `renewing`.
    async fn renew(&self, tables: &dyn Tables) -> Result<Lease, BackplaneError> {
        let known = *lock(&self.lease);
        let renewed = Instant::now();
        let incarnation = known.map(|held| held.lease.incarnation);
        let lease = within(tables.lease(self.hub.node, incarnation)).await?;
        *lock(&self.lease) = Some(HeldLease { lease, renewed });
        Ok(lease)
    }

    /// Forgets a lease that has expired, according to the tables.
    fn lose(&self, lease: Lease) {
        lock(&self.lease).take_if(|held| held.lease == lease);
    }

    /// Returns whether the store certainly still has this lease. Until it expires, no other node publishes the changes
    /// returned for it.
    fn lease_is_fresh(&self, lease: Lease) -> bool {
        let held = *lock(&self.lease);
        held.is_some_and(|held| held.lease == lease && held.renewed.elapsed() < LEASE)
    }

    /// Publishes a change and those that follow from it. Returns false if that failed, or if another task here is
    /// already doing it.
    async fn tell(&self, lease: Lease, mut change: Option<MemberChange>) -> bool {
        while let Some(this) = change {
            let Some(telling) = Telling::begin(&self.telling, this.version) else {
                return false;
            };
            match self.tell_one(lease, &this).await {
                Ok(next) => change = next,
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::warn!(error, "a presence change could not be published yet");
                    // It stays marked until it is tried again.
                    telling.keep();
                    lock(&self.untold).push_back((lease, this));
                    return false;
                }
            }
        }
        true
    }

    /// Publishes the changes that could not be published before.
    async fn tell_late(&self) {
        // A change that fails again is behind those that were here.
        let count = lock(&self.untold).len();
        for _ in 0..count {
            // One at a time, so that a panic in one leaves the others for the next attempt.
            let Some((lease, change)) = lock(&self.untold).pop_front() else {
                return;
            };
            lock(&self.telling).remove(&change.version);
            self.tell(lease, Some(change)).await;
        }
    }

    async fn tell_one(
        &self,
        lease: Lease,
        change: &MemberChange,
    ) -> Result<Option<MemberChange>, SseError> {
        let tables = self.tables()?;
        if !self.lease_is_fresh(lease) {
            // Other nodes publish it, or have done so.
            return Ok(None);
        }
        match self.publish(change).await {
            // A finished topic accepts no more events, and an invalid event will never be accepted.
            Ok(()) | Err(SseError::TopicFinished(_) | SseError::Event(_)) => {}
            Err(SseError::Backplane(error)) if error.kind() == BackplaneErrorKind::Refused => {
                tracing::error!(error = with_causes(&error), "a presence change was refused");
            }
            Err(error) => return Err(error),
        }
        within(tables.told(lease, change))
            .await
            .map_err(SseError::Backplane)
    }

    async fn publish(&self, change: &MemberChange) -> Result<(), SseError> {
        let event = UnnumberedEvent::new(&self.event(change)).map_err(SseError::Event)?;
        let publication = Publication::event(event, None);
        match &self.replication {
            Some(replication) => {
                let key = format!("helios:presence:{:x}", change.version);
                let published = replication.publish(&change.topic, &publication, Some(&key));
                published.await.map(drop)
            }
            // No other node publishes it, so it needs no key.
            None => self.hub.append(&change.topic, &publication).map(drop),
        }
    }

    fn event(&self, change: &MemberChange) -> SseEvent {
        let key = &*change.key;
        let (name, data) = match &change.kind {
            MemberChangeKind::Joined { data, since } => {
                let since = since.duration_since(SystemTime::UNIX_EPOCH);
                let since = since.unwrap_or_default().as_millis() as u64;
                let data = json!({ "key": key, "data": value(data), "since": since });
                ("joined", data)
            }
            MemberChangeKind::Updated { data, .. } => {
                ("updated", json!({ "key": key, "data": value(data) }))
            }
            MemberChangeKind::Left { is_lost } => {
                let reason = if *is_lost { "lost" } else { "left" };
                ("left", json!({ "key": key, "reason": reason }))
            }
            // There are no other kinds.
            _ => ("", Value::Null),
        };
        let prefix = &self.hub.options().control_prefix;
        SseEvent::json(data).event(format!("{prefix}{name}"))
    }

    /// Starts the tasks that renew the lease and report members whose grace has ended, unless they run.
    pub(crate) fn keep(self: &Arc<Self>) {
        let Ok(current) = Handle::try_current() else {
            return;
        };
        let mut keeper = lock(&self.keeper);
        let is_kept = keeper.as_ref().is_some_and(|keeper| !keeper.is_over());
        if is_kept || self.stopped.is_cancelled() {
            return;
        }
        let stopped = || self.stopped.clone();
        let leasing = current.spawn(stopped().run_until_cancelled_owned(self.leasing()));
        current.spawn(stopped().run_until_cancelled_owned(self.reaping()));
        *keeper = Some(Keeper {
            runtime: current,
            leasing,
        });
    }

    /// Renews the lease. This task does nothing else that may take longer than a lease.
    fn leasing(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let presence = Arc::downgrade(self);
        async move {
            let mut renewals = interval(RENEWAL);
            renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                renewals.tick().await;
                let Some(this) = presence.upgrade() else {
                    return;
                };
                let renewed = caught_in("a backplane's `tables`", this.renew_and_put());
                log_failed(renewed.await.unwrap_or(Ok(())));
            }
        }
    }

    /// Reports members that have left, at intervals and when the grace of a member that was here ends.
    fn reaping(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let (presence, alarm) = (Arc::downgrade(self), Arc::clone(&self.alarm));
        async move {
            let mut due = Instant::now() + RENEWAL;
            loop {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = alarm.notified() => {}
                }
                let Some(this) = presence.upgrade() else {
                    return;
                };
                if Instant::now() >= due {
                    let reaped = caught_in("a backplane's `tables`", this.reap());
                    log_failed(reaped.await.unwrap_or(Ok(())));
                    due = Instant::now() + RENEWAL;
                }
                due = this.next_due(due);
            }
        }
    }

    /// Returns when to look again, at the latest at `due`, or earlier if a grace ends before.
    fn next_due(&self, due: Instant) -> Instant {
        let first = lock(&self.deadlines).first().copied();
        let Some(first) = first else { return due };
        let left =
            (QUARTER * u32::try_from(first).unwrap_or(u32::MAX)).saturating_sub(self.hub.now());
        due.min(Instant::now() + left)
    }

    async fn renew_and_put(self: &Arc<Self>) -> Result<(), SseError> {
        let tables = self.tables()?;
        let lease = {
            let _renewing = self.renewing.lock().await;
            self.renew(tables).await.map_err(SseError::Backplane)?
        };
        let behind = lock(&self.local).behind(lease);
        self.begin(behind);
        Ok(())
    }

    async fn reap(self: &Arc<Self>) -> Result<(), SseError> {
        let now = quarters(self.hub.now());
        lock(&self.deadlines).retain(|at| *at > now);
        let tables = self.tables()?;
        let lease = self.lease(tables).await?;
        self.tell_late().await;
        loop {
            let changes = within(tables.reap(lease))
                .await
                .map_err(SseError::Backplane)?;
            let (count, mut told) = (changes.len(), 0);
            for change in changes {
                told += usize::from(self.tell(lease, Some(change)).await);
            }
            // Changes that could not be published would only be returned again.
            if count < BATCH || told == 0 {
                return Ok(());
            }
        }
    }

    /// Gives up all rows. Their members may appear on another node within the grace.
    pub(crate) async fn stop(self: &Arc<Self>) {
        let names = lock(&self.local).all_over(self.away());
        self.begin(names);
        let quiet = || lock(&self.local).is_quiet().then_some(());
        if timeout(TIMEOUT, until(&self.quiet, quiet)).await.is_err() {
            tracing::warn!(
                "present members could not be removed: they are reported as lost when the lease has expired"
            );
        }
        self.stopped.cancel();
    }
}

/// The task that brings a member up to date.
struct Work {
    presence: Arc<Presence>,
    name: Name,
    /// The error for the streams that wait if the task ends early: when it panics or its runtime ends.
    failure: Option<SseError>,
}

impl Work {
    async fn run(mut self) {
        let work = self.presence.bring_up_to_date(&self.name);
        let done = caught_in("a backplane's `tables`", work).await;
        self.failure = done.is_none().then_some(SseError::Panicked);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(failure) = &self.failure {
            lock(&self.presence.local).pause(&self.name, failure);
        }
        self.presence.quiet.notify_waiters();
    }
}

/// Marks a change as being published, until it is dropped.
struct Telling<'a> {
    all: &'a Mutex<HashSet<u64>>,
    version: Option<u64>,
}

impl<'a> Telling<'a> {
    /// Returns `None` if the change is marked already.
    fn begin(all: &'a Mutex<HashSet<u64>>, version: u64) -> Option<Self> {
        let begins = lock(all).insert(version);
        let version = Some(version);
        // Not `then_some`, which would drop the mark of the other one.
        begins.then(|| Self { all, version })
    }

    fn keep(mut self) {
        self.version = None;
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if let Some(version) = self.version {
            lock(self.all).remove(&version);
        }
    }
}

fn quarters(time: Duration) -> u64 {
    time.as_secs() * 4 + u64::from(time.subsec_millis() / 250)
}

fn log_failed(kept: Result<(), SseError>) {
    match kept {
        // A backplane that is down logs that itself, and missing tables are reported to each caller.
        Err(SseError::Backplane(down)) if down.kind() == BackplaneErrorKind::Down => {}
        Ok(()) | Err(SseError::Presence(_)) => {}
        Err(error) => {
            let error = with_causes(&error);
            tracing::warn!(error, "presence could not be kept up to date");
        }
    }
}

fn member(row: &MemberRow) -> PresentMember {
    PresentMember::new(row.key.to_string(), value(&row.data), row.since, row.status)
}

/// Parses a member's data. Invalid JSON, which no node writes, becomes null.
fn value(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_default()
}

/// Limits how long the tables may take to answer.
async fn within<T>(
    answer: impl Future<Output = Result<T, BackplaneError>>,
) -> Result<T, BackplaneError> {
    let late = || BackplaneError::new(BackplaneErrorKind::Unknown, "it did not answer in time");
    timeout(TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_being_published_is_not_begun_again() {
        let all = Mutex::default();
        let telling = Telling::begin(&all, 7).unwrap();
        for _ in 0..2 {
            assert!(Telling::begin(&all, 7).is_none());
        }
        drop(telling);
        assert!(Telling::begin(&all, 7).is_some());
    }
}
