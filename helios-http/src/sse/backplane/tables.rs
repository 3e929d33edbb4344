//! Where members of topics are kept.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use helios_core::backplane::BackplaneError;
use helios_core::presence::table::{LEASE, Lease, MemberChange, MemberRow, PutAnswer, Table};
use helios_core::sse::NodeId;
use tokio::time::Instant;

use crate::future::BoxFuture;
use crate::sync::lock;

/// Changes that are handed out at once.
const MOST: usize = 256;

/// Keeps the members of topics for all nodes of a backplane: [`Backplane::tables`](super::Backplane::tables). [`LocalTables`] is one, in
/// memory, and the reference for all others.
///
/// # What an implementor guarantees
///
/// * **One step.** Each call happens as a whole or not at all, and one after the other with all calls for the same topic. So it can be one
///   script of a store.
/// * **Clock.** Leases and graces run by the store's clock, never by a node's. A lease lasts for 15 seconds.
/// * **What is owed.** Beside the rows of a member the store keeps what its topic was told of it last: nothing, or the data of a
///   [`Joined`](helios_core::presence::table::MemberChangeKind::Joined) or
///   [`Updated`](helios_core::presence::table::MemberChangeKind::Updated). A member is there while it has a row or its grace lasts; the newest row's data counts. As long as
///   the two differ, and nobody is telling a change of that member, [`put`](Self::put), [`remove`](Self::remove), [`told`](Self::told) and
///   [`reap`](Self::reap) hand out the change, to the lease that calls: it is the teller of that member until it calls `told` with the
///   change.
/// * **Lost answers.** The teller of a change is handed it again when it calls `put` or `remove` for that member, and by `reap`.
/// * **Dead tellers.** A change whose teller's lease has run out is handed out by `reap` again, with the same
///   [version](MemberChange::version): the node publishes it with that as its key, so it is published once.
/// * **Versions** are not given out twice while the backplane remembers keys of published events, over a restart, too.
/// * **Comparison.** A row belongs to a [lease](Lease). A call with one lease never removes a row of another one, but that `put` takes the
///   place of rows of the same node's older incarnations.
///
/// All futures may be dropped half-way, and are after 5 seconds: what was asked may have happened. `put` and `remove` are then asked again.
/// Nothing is asked before the backplane is started, nor while it is down.
///
/// ```
/// use helios::backplane::{LocalTables, NodeId, PutAnswer, Tables};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::backplane::BackplaneError> {
/// let tables = LocalTables::new();
/// let lease = tables.lease(NodeId::new(7).unwrap(), None).await?;
/// let PutAnswer::Kept(Some(joined)) = tables.put(lease, "room:tea", "ann", "null", 100).await? else { panic!() };
/// // Here it is published.
/// assert_eq!(tables.told(lease, &joined).await?, None);
/// assert_eq!(tables.read("room:tea").await?.len(), 1);
/// let left = tables.remove(lease, "room:tea", "ann", Duration::ZERO).await?;
/// assert!(left.is_some());
/// # Ok(())
/// # }
/// ```
pub trait Tables: Send + Sync {
    /// Renews a node's lease for another 15 seconds. One that has run out, or that is not known, is over for good: then, and if none is
    /// named, it begins another one, whose incarnation is greater than all before.
    ///
    /// # Errors
    ///
    /// An error counts as not renewed.
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>>;

    /// Puts the row of a member, with its data as JSON, in place of the one that this node has. The member's grace is over. A
    /// topic that has `most` members takes no other.
    ///
    /// # Errors
    ///
    /// An error means that the row may be there or not.
    fn put<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        data: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<PutAnswer, BackplaneError>>;

    /// Removes the row that this very lease has of a member. If it was the last one, the member stays for the grace, without a row. If the grace
    /// is zero, a member without a row leaves at once.
    ///
    /// # Errors
    ///
    /// An error means that the row may be there or not.
    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Duration,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>>;

    /// Notes that a change was told, if this lease is still its teller, and hands out the next one of that member.
    ///
    /// # Errors
    ///
    /// It is asked again; the change was told.
    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>>;

    /// The members of a topic, in the order of their keys. One whose leases were all renewed more than 7.5 seconds ago is
    /// unconfirmed.
    ///
    /// # Errors
    ///
    /// An error goes to whoever asks, or an older answer does.
    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>>;

    /// Removes rows whose leases have run out, and members whose grace has, and hands out what is to be told of that to this lease, which is
    /// alive: at most 256 changes. It is asked every 5 seconds, at once again while it hands out as many, and when a grace of this
    /// node's ends.
    ///
    /// # Errors
    ///
    /// It is asked again.
    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>>;
}

/// Keeps members in the memory of this process: for a backplane of one process, or one that is shared within a test. It ages by tokio's
/// time.
///
/// ```
/// use helios::backplane::{LocalTables, Tables};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::backplane::BackplaneError> {
/// assert!(LocalTables::new().read("room:tea").await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalTables {
    table: Mutex<Table>,
    /// Its clock began then.
    began: (Duration, Instant),
}

impl LocalTables {
    /// Tables without a member.
    #[must_use]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // Keys of what was published may outlive the process.
        let version = fastrand::u64(..1 << 62);
        Self {
            table: Mutex::new(Table::new(version)),
            began: (now.unwrap_or_default(), Instant::now()),
        }
    }

    /// Takes over a member that its topic was told of by a process before this one: topic, key, data as JSON, and since when it was there. If
    /// it does not appear within 15 seconds, it is lost. It is for a backplane whose events outlive the process.
    ///
    /// ```
    /// use helios::backplane::{LocalTables, Tables};
    /// use std::time::SystemTime;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::backplane::BackplaneError> {
    /// let tables = LocalTables::new();
    /// tables.restore("room:tea", "ann", "null", SystemTime::now());
    /// assert_eq!(tables.read("room:tea").await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn restore(&self, topic: &str, key: &str, data: &str, since: SystemTime) {
        let since = since.duration_since(SystemTime::UNIX_EPOCH);
        let (now, since) = (self.now(), since.unwrap_or_default());
        lock(&self.table).restore(now, (topic, key, data), since, LEASE);
    }

    fn now(&self) -> Duration {
        let (at, instant) = self.began;
        at + instant.elapsed()
    }

    /// Asks when the answer is awaited.
    fn ask<'a, T>(
        &'a self,
        ask: impl FnOnce(&mut Table, Duration) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, BackplaneError>> {
        Box::pin(async move {
            // Under the lock, so that time never goes back.
            let mut table = lock(&self.table);
            Ok(ask(&mut table, self.now()))
        })
    }
}

impl Default for LocalTables {
    fn default() -> Self {
        Self::new()
    }
}

impl Tables for LocalTables {
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>> {
        self.ask(move |table, now| Lease::new(node, table.renew(now, node, incarnation)))
    }

    fn put<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        data: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<PutAnswer, BackplaneError>> {
        self.ask(move |table, now| table.put(now, lease, (topic, key, data), most))
    }

    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Duration,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        self.ask(move |table, now| table.remove(now, lease, (topic, key), grace))
    }

    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>> {
        self.ask(move |table, _| table.told(change, lease))
    }

    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>> {
        self.ask(move |table, now| table.read(now, topic))
    }

    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>> {
        self.ask(move |table, now| table.reap(now, lease, MOST))
    }
}
