//! The tables that keep the members of topics.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use helios_core::backplane::BackplaneError;
use helios_core::presence::table::{LEASE, Lease, MemberChange, MemberRow, PutAnswer, Table};
use helios_core::sse::NodeId;
use tokio::time::Instant;

use crate::future::BoxFuture;
use crate::sync::lock;

/// The most changes returned at once.
const MOST: usize = 256;

/// Keeps the members of topics for all nodes of a backplane, see [`Backplane::tables`](super::Backplane::tables).
/// [`LocalTables`] is an implementation in memory, and the reference for all others.
///
/// # What an implementor guarantees
///
/// * **One step.** Each call happens as a whole or not at all, and all calls for a topic happen one after the other. So
///   a call can be one script of a store.
/// * **Clock.** Leases and graces run by the store's clock, never by a node's. A lease lasts for 15 seconds.
/// * **Breaks.** If no node has renewed its lease for a while, the store stood still, or the nodes did. Then no member
///   is lost for that reason. Each node gets another lease, and the rows of the earlier ones stay for 15 seconds.
/// * **Pending changes.** Besides the rows of a member, the store keeps what was last published about it. That is
///   nothing, or the data of a [`Joined`](helios_core::presence::table::MemberChangeKind::Joined) or
///   [`Updated`](helios_core::presence::table::MemberChangeKind::Updated). A member is present while it has a row or
///   its grace lasts. The data of its newest row counts. As long as the two differ, and no lease is publishing a change
///   of that member, [`put`](Self::put), [`remove`](Self::remove), [`told`](Self::told) and [`reap`](Self::reap) return
///   the change to the calling lease. That lease is the publisher of the change until it calls `told` with it.
/// * **Lost answers.** The publisher of a change gets it again when it calls `put` or `remove` for that member, and
///   from `reap`.
/// * **Dead publishers.** If the lease of a publisher has expired, `reap` returns the change again, with the same
///   [version](MemberChange::version). The node publishes it with the version as its key, so it is published once.
/// * **Versions** are never assigned twice while the backplane remembers keys of published events, even after a
///   restart.
/// * **Comparison.** A row belongs to a [lease](Lease). A call with one lease never removes a row of another one,
///   except that `put` replaces rows of older incarnations of the same node.
///
/// All futures may be dropped half-way, and the hub drops them after 5 seconds. The call may still have happened. `put`
/// and `remove` are then called again. Nothing is called before the backplane has started, or while it is down.
///
/// ```
/// use helios::backplane::{LocalTables, NodeId, PutAnswer, Tables};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::backplane::BackplaneError> {
/// let tables = LocalTables::new();
/// let lease = tables.lease(NodeId::new(7).unwrap(), None).await?;
/// let PutAnswer::Kept(Some(joined)) = tables.put(lease, "room:tea", "ann", "null", true, 100).await? else { panic!() };
/// // Publish the change here.
/// assert_eq!(tables.told(lease, &joined).await?, None);
/// assert_eq!(tables.read("room:tea").await?.len(), 1);
/// let left = tables.remove(lease, "room:tea", "ann", Some(Duration::ZERO)).await?;
/// assert!(left.is_some());
/// # Ok(())
/// # }
/// ```
pub trait Tables: Send + Sync {
    /// Renews a node's lease for another 15 seconds. A lease that has expired, or that is not known, is over for good.
    /// In that case, and if no incarnation is named, another lease begins, whose incarnation is greater than all
    /// before.
    ///
    /// # Errors
    ///
    /// After an error, the lease counts as not renewed.
    fn lease(
        &self,
        node: NodeId,
        incarnation: Option<u64>,
    ) -> BoxFuture<'_, Result<Lease, BackplaneError>>;

    /// Puts the row of a member, with its data as JSON, in place of the row that this node has. The member's grace runs
    /// on, but does not count while there are rows. A topic that has `most` members accepts no other.
    ///
    /// If the row `is_new`, because a stream has appeared, it is the newest row of the member. Otherwise a node puts it
    /// again, or goes back to the data of an older stream. Then it takes the place of the row that this node has or, if
    /// there is none, that of the oldest row.
    ///
    /// # Errors
    ///
    /// After an error, the row may be there or not.
    fn put<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        data: &'a str,
        is_new: bool,
        most: usize,
    ) -> BoxFuture<'a, Result<PutAnswer, BackplaneError>>;

    /// Removes the row that exactly this lease has of a member. If it was the last row, the member stays for the grace
    /// without a row. If the grace is zero, a member without a row leaves at once. If there is no grace, the row came
    /// to nothing, as when a stream was refused. Then the member stays for the rest of an earlier grace, if there is
    /// one. A member whose last row has expired has no grace.
    ///
    /// # Errors
    ///
    /// After an error, the row may be there or not.
    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Option<Duration>,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>>;

    /// Records that a change was published, if this lease is still its publisher, and returns the next change of that
    /// member.
    ///
    /// # Errors
    ///
    /// After an error, the hub calls this again. The change was published.
    fn told<'a>(
        &'a self,
        lease: Lease,
        change: &'a MemberChange,
    ) -> BoxFuture<'a, Result<Option<MemberChange>, BackplaneError>>;

    /// Returns the members of a topic, in the order of their keys. A member is unconfirmed if all of its leases were
    /// renewed more than 7.5 seconds ago.
    ///
    /// # Errors
    ///
    /// The caller receives the error, or an older result.
    fn read<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<MemberRow>, BackplaneError>>;

    /// Removes rows whose leases have expired and members whose grace has ended, and returns at most 256 changes for
    /// this lease to publish. The lease is alive. Called every 5 seconds, again at once after a full batch, and when a
    /// grace of this node ends.
    ///
    /// # Errors
    ///
    /// After an error, the hub calls this again.
    fn reap(&self, lease: Lease) -> BoxFuture<'_, Result<Vec<MemberChange>, BackplaneError>>;
}

/// Keeps members in the memory of this process, for a backplane of one process, or for one that is shared within a
/// test. It ages by tokio's time.
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
    /// The time at which its clock began.
    began: (Duration, Instant),
}

impl LocalTables {
    /// Creates empty tables.
    #[must_use]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // Random, because keys of published events may outlive the process.
        let version = fastrand::u64(..1 << 62);
        Self {
            table: Mutex::new(Table::new(version)),
            began: (now.unwrap_or_default(), Instant::now()),
        }
    }

    /// Restores a member that an earlier process published to the topic, with its topic, key, data as JSON, and time of
    /// joining. If it does not appear within 15 seconds, it is reported as lost. This is for a backplane whose events
    /// outlive the process.
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

    /// Returns whether [`told`](Tables::told) would accept this change from this lease. This is for a backplane that
    /// writes members down, because a call that is repeated changes nothing.
    ///
    /// ```
    /// use helios::backplane::{LocalTables, NodeId, PutAnswer, Tables};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), helios::backplane::BackplaneError> {
    /// let tables = LocalTables::new();
    /// let lease = tables.lease(NodeId::new(7).unwrap(), None).await?;
    /// let PutAnswer::Kept(Some(joined)) = tables.put(lease, "room:tea", "ann", "null", true, 100).await? else { panic!() };
    /// assert!(tables.is_publisher(lease, &joined));
    /// tables.told(lease, &joined).await?;
    /// assert!(!tables.is_publisher(lease, &joined));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_publisher(&self, lease: Lease, change: &MemberChange) -> bool {
        lock(&self.table).is_teller(change, lease)
    }

    fn now(&self) -> Duration {
        let (at, instant) = self.began;
        at + instant.elapsed()
    }

    /// Runs `ask` when the answer is awaited.
    fn ask<'a, T>(
        &'a self,
        ask: impl FnOnce(&mut Table, Duration) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, BackplaneError>> {
        Box::pin(async move {
            // Read the time under the lock, so that it never goes back.
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
        is_new: bool,
        most: usize,
    ) -> BoxFuture<'a, Result<PutAnswer, BackplaneError>> {
        self.ask(move |table, now| table.put(now, lease, (topic, key, data), most, is_new))
    }

    fn remove<'a>(
        &'a self,
        lease: Lease,
        topic: &'a str,
        key: &'a str,
        grace: Option<Duration>,
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
