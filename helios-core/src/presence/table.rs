//! The table of members. Rows, leases and grace periods come in, and changes to publish come out. The table has no
//! clock or lock. A store in memory is this table behind a mutex, and every other store follows the same rules.
//!
//! # Why the published changes agree with the rows in the end
//!
//! 1. A row `(topic, key, lease)` says that a member is on a node. A lease belongs to one incarnation of a node. A
//!    member is present as long as its key has a row or its grace period lasts.
//! 2. Beside the rows of a key, the table keeps what the topic's events last **reported** about the key. While the two
//!    differ, a change is pending. Rows and pending changes are updated in one step, so no change is forgotten when a
//!    node dies.
//! 3. Each pending change is handed to one lease, its teller. The teller publishes the change and only then reports
//!    that it has done so ([`Table::told`]). If another change of the key is pending by then, the teller receives that
//!    one as the answer. No other lease is handed a change of that key meanwhile. So the events of one key are
//!    published one after the other, and the last of them agrees with the rows.
//! 4. A teller may die between the row and the event, or between the event and its report. When its lease has expired,
//!    [`Table::reap`] hands the **same** change with the same version to another lease. The version is the idempotency
//!    key of the event, so an event that has already been published is not published again.
//! 5. An answer may be lost on its way, and a change with it. So the teller of a key is handed the same change again by
//!    `reap`, and whenever it calls the table for that key. The version lets a node recognize a change that it is
//!    already publishing.
//! 6. A teller may sleep and wake up after it was replaced. It then publishes under the same idempotency key. A node
//!    checks its own clock before it publishes, so that it does not publish after the store has forgotten that key.
//! 7. A list may be read while a change is on its way. If the rows change and change back before the report, the events
//!    would agree with the rows and never correct that list. So the teller is handed one more change then.
//!
//! # Leases
//!
//! The table gives out incarnations in ascending order. A node whose lease has expired gets a new incarnation and puts
//! its rows again. Its old rows are removed only if their lease matches, so no row of a later incarnation is removed.
//!
//! If no node at all has renewed its lease for a while, the store stood still, or the process that has both. Then no
//! node is dead for that reason. Earlier leases do not count any more, but their rows stay for the length of a lease.
//! In that time their nodes get new leases and put the rows again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::MemberStatus;
use crate::sse::NodeId;

/// How long a lease lasts without a renewal.
pub const LEASE: Duration = Duration::from_secs(15);

/// How often a node renews its lease.
pub const RENEWAL: Duration = Duration::from_secs(5);

/// A lease that was not renewed for this long is overdue.
const OVERDUE: Duration = Duration::from_millis(7_500);

/// The lease of a node. A node that was considered dead comes back in another incarnation.
///
/// ```
/// use helios::backplane::{Lease, NodeId};
///
/// let lease = Lease::new(NodeId::new(7).unwrap(), 1);
/// assert_eq!(lease.incarnation, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lease {
    /// The node that holds the lease.
    pub node: NodeId,
    /// The number that the store gave to the lease.
    pub incarnation: u64,
}

impl Lease {
    /// Creates a lease of this node.
    #[must_use]
    pub const fn new(node: NodeId, incarnation: u64) -> Self {
        Self { node, incarnation }
    }
}

/// A change of a topic's members. The node that is handed it publishes it to the topic.
///
/// ```
/// use helios::backplane::{MemberChange, MemberChangeKind};
///
/// let change = MemberChange::new("room:tea", "ann", 1, MemberChangeKind::Left { is_lost: true });
/// assert_eq!((&*change.topic, &*change.key), ("room:tea", "ann"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberChange {
    /// The topic.
    pub topic: Arc<str>,
    /// The key of the member.
    pub key: Arc<str>,
    /// The number of the change. No other change in the store has this number, for as long as the store remembers keys
    /// of published events.
    pub version: u64,
    /// The kind of change.
    pub kind: MemberChangeKind,
}

/// The kind of a [`MemberChange`].
///
/// ```
/// use helios::backplane::MemberChangeKind;
///
/// let left = MemberChangeKind::Left { is_lost: false };
/// assert_ne!(left, MemberChangeKind::Left { is_lost: true });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberChangeKind {
    /// The member has joined.
    Joined {
        /// The member's data, as JSON.
        data: Arc<str>,
        /// When it joined.
        since: SystemTime,
    },
    /// The member has other data now.
    Updated {
        /// The member's data, as JSON.
        data: Arc<str>,
        /// When it joined.
        since: SystemTime,
    },
    /// The member is no longer in the topic.
    Left {
        /// True if the member's node was considered dead, false if the member left.
        is_lost: bool,
    },
}

impl MemberChangeKind {
    /// Returns the member's data after the change, or `None` if the member is absent then.
    fn data(&self) -> Option<&Arc<str>> {
        match self {
            Self::Joined { data, .. } | Self::Updated { data, .. } => Some(data),
            Self::Left { .. } => None,
        }
    }
}

impl MemberChange {
    /// Creates a change.
    #[must_use]
    pub fn new(topic: &str, key: &str, version: u64, kind: MemberChangeKind) -> Self {
        Self {
            topic: topic.into(),
            key: key.into(),
            version,
            kind,
        }
    }
}

/// The answer to putting a row.
///
/// ```
/// use helios::backplane::PutAnswer;
///
/// assert_ne!(PutAnswer::Kept(None), PutAnswer::LeaseLost);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutAnswer {
    /// The row was stored. The change, if any, is to be published.
    Kept(Option<MemberChange>),
    /// The lease has expired, so nothing was stored.
    LeaseLost,
    /// The topic has no room for another member, so nothing was stored.
    TooMany,
}

/// A member, as a store knows it.
///
/// ```
/// use helios::backplane::MemberRow;
/// use helios::sse::MemberStatus;
/// use std::time::SystemTime;
///
/// let row = MemberRow::new("ann", "null", SystemTime::now(), MemberStatus::Here);
/// assert_eq!(&*row.key, "ann");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberRow {
    /// The member's key.
    pub key: Arc<str>,
    /// The member's data, as JSON.
    pub data: Arc<str>,
    /// When it joined, by the store's clock.
    pub since: SystemTime,
    /// How certain it is that the member is here.
    pub status: MemberStatus,
}

impl MemberRow {
    /// Creates a row for a member.
    #[must_use]
    pub fn new(key: &str, data: &str, since: SystemTime, status: MemberStatus) -> Self {
        Self {
            key: key.into(),
            data: data.into(),
            since,
            status,
        }
    }
}

/// A topic and a key.
type Name = (Arc<str>, Arc<str>);

/// All members of all topics. Times are since 1970, by one clock that never goes back.
///
/// ```
/// use helios_core::presence::table::{Lease, MemberChangeKind, PutAnswer, Table};
/// use helios_core::sse::NodeId;
/// use std::time::Duration;
///
/// let (mut table, now) = (Table::new(0), Duration::from_secs(1_000));
/// let node = NodeId::new(7).unwrap();
/// let lease = Lease::new(node, table.renew(now, node, None));
/// let PutAnswer::Kept(Some(joined)) = table.put(now, lease, ("room:tea", "ann", "null"), 100, true) else { panic!() };
/// assert_eq!(table.told(&joined, lease), None);
/// assert_eq!(table.read(now, "room:tea").len(), 1);
///
/// // During the grace period no change is published. After it, she has left.
/// let grace = Some(Duration::from_secs(5));
/// assert_eq!(table.remove(now, lease, ("room:tea", "ann"), grace), None);
/// let left = table.reap(now + Duration::from_secs(5), lease, 1);
/// assert_eq!(left[0].kind, MemberChangeKind::Left { is_lost: false });
/// ```
#[derive(Debug, Default)]
pub struct Table {
    /// When each lease expires.
    leases: HashMap<Lease, Duration>,
    incarnations: u64,
    /// Leases up to this incarnation do not count any more.
    uncounted: u64,
    version: u64,
    topics: HashMap<Arc<str>, BTreeMap<Arc<str>, Entry>>,
    /// When the grace period of each member ends.
    deadlines: BTreeSet<(Duration, Name)>,
    /// The keys for which a lease has a row.
    rows: HashMap<Lease, HashSet<Name>>,
    /// The keys whose change a lease is to publish.
    tellers: HashMap<Lease, HashSet<Name>>,
}

/// The state of one key in one topic.
#[derive(Debug)]
struct Entry {
    /// One row for each node, the newest last.
    rows: Vec<Row>,
    /// The data of the newest row or, if there are no rows, of the last one.
    data: Arc<str>,
    since: Duration,
    /// When a row was removed with a grace period, and the end of that period. It runs on beside the rows, and counts
    /// only when there are none.
    grace: Option<(Duration, Duration)>,
    /// Whether the last row was removed because its lease expired.
    is_lost: bool,
    /// The data that was last published about the member, or `None` if the topic knows it as absent.
    told: Option<Arc<str>>,
    teller: Option<(Lease, MemberChange)>,
    /// The change of a teller whose lease has expired. It may have been published.
    orphan: Option<MemberChange>,
    /// Whether the member has differed from the teller's change since that was handed out.
    has_strayed: bool,
}

#[derive(Debug)]
struct Row {
    lease: Lease,
    data: Arc<str>,
}

impl Entry {
    fn new(now: Duration) -> Self {
        Self {
            rows: Vec::new(),
            data: Arc::default(),
            since: now,
            grace: None,
            is_lost: false,
            told: None,
            teller: None,
            orphan: None,
            has_strayed: false,
        }
    }

    fn is_there(&self) -> bool {
        !self.rows.is_empty() || self.grace.is_some()
    }

    /// Returns the data that the topic should know, or `None` if the member should be absent.
    fn wanted(&self) -> Option<&Arc<str>> {
        self.is_there().then_some(&self.data)
    }

    /// Puts a row, and returns the lease of the row that it replaces.
    fn put(&mut self, lease: Lease, data: &str, is_new: bool) -> Option<Lease> {
        // A node has one row. If it is of an older incarnation, that one cannot be present any more.
        let mut rows = self.rows.iter();
        let known = rows.position(|row| row.lease.node == lease.node);
        let old = known.map(|at| self.rows.remove(at).lease);
        let at = match is_new {
            true => self.rows.len(),
            false => known.unwrap_or(0),
        };
        let data = data.into();
        self.rows.insert(at, Row { lease, data });
        self.refresh();
        old
    }

    /// Takes over the data of the newest row.
    fn refresh(&mut self) {
        if let Some(newest) = self.rows.last() {
            self.data = Arc::clone(&newest.data);
        }
    }

    fn owed(&self) -> Option<MemberChangeKind> {
        let kind = match (&self.told, self.wanted()) {
            (None, Some(data)) => MemberChangeKind::Joined {
                data: Arc::clone(data),
                since: time(self.since),
            },
            (Some(told), Some(data)) if told != data || self.has_strayed => {
                MemberChangeKind::Updated {
                    data: Arc::clone(data),
                    since: time(self.since),
                }
            }
            (None, None) if !self.has_strayed => return None,
            (_, None) => MemberChangeKind::Left {
                is_lost: self.is_lost,
            },
            _ => return None,
        };
        Some(kind)
    }

    /// Notes whether the member differs from a change that is being published.
    fn compare(&mut self, change: &MemberChange) {
        self.has_strayed |= self.wanted() != change.kind.data();
    }
}

fn time(since_1970: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + since_1970
}

impl Table {
    /// Creates a table whose versions begin behind this one. Use a random one if the keys of published events may
    /// outlive the table.
    #[must_use]
    pub fn new(version: u64) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    /// Adds a member that was published to its topic before this table existed. It may come back within the grace
    /// period. Otherwise it is lost.
    pub fn restore(
        &mut self,
        now: Duration,
        (topic, key, data): (&str, &str, &str),
        since: Duration,
        grace: Duration,
    ) {
        let name = self.name(topic, key);
        let members = self.topics.entry(Arc::clone(&name.0)).or_default();
        let entry = Entry {
            data: data.into(),
            since,
            is_lost: true,
            told: Some(data.into()),
            ..Entry::new(now)
        };
        members.insert(Arc::clone(&name.1), entry);
        self.set_grace(&name, Some((now, now + grace)));
    }

    /// Renews a lease and returns its incarnation. If the lease has expired, or there was none, begins a new
    /// incarnation.
    pub fn renew(&mut self, now: Duration, node: NodeId, incarnation: Option<u64>) -> u64 {
        self.notice_a_break(now);
        let known = incarnation.filter(|number| self.is_alive(now, Lease::new(node, *number)));
        let number = known.unwrap_or_else(|| {
            self.incarnations += 1;
            self.incarnations
        });
        self.leases.insert(Lease::new(node, number), now + LEASE);
        number
    }

    fn is_alive(&self, now: Duration, lease: Lease) -> bool {
        let until = self.leases.get(&lease);
        self.counts(lease) && until.is_some_and(|until| now < *until)
    }

    fn counts(&self, lease: Lease) -> bool {
        lease.incarnation > self.uncounted
    }

    /// Returns when a lease was last renewed.
    fn renewed(&self, lease: Lease) -> Duration {
        let until = self.leases.get(&lease).copied();
        until.unwrap_or_default().saturating_sub(LEASE)
    }

    /// Gives all nodes the length of a lease to put their rows again, if none of them has renewed its lease for a
    /// while.
    fn notice_a_break(&mut self, now: Duration) {
        let newest = self.leases.values().max();
        if newest.is_some_and(|until| now + LEASE > *until + OVERDUE) {
            self.uncounted = self.incarnations;
            for until in self.leases.values_mut() {
                *until = now + LEASE;
            }
        }
    }

    /// Puts a row, given as topic, key and data. The topic may have at most `most` members. A row that is new is the
    /// newest one of its key. A row that is put again takes the place of the node's row or, if there is none, that of
    /// the oldest one. So it does not push aside what was put on another node meanwhile.
    pub fn put(
        &mut self,
        now: Duration,
        lease: Lease,
        (topic, key, data): (&str, &str, &str),
        most: usize,
        is_new: bool,
    ) -> PutAnswer {
        self.notice_a_break(now);
        if !self.is_alive(now, lease) {
            return PutAnswer::LeaseLost;
        }
        let members = self.topics.get(topic);
        let entry = members.and_then(|members| members.get(key));
        let was_there = entry.is_some_and(Entry::is_there);
        let is_known = entry.is_some();
        if !is_known && members.map_or(0, BTreeMap::len) >= most {
            return PutAnswer::TooMany;
        }
        let name = self.name(topic, key);
        let members = self.topics.entry(Arc::clone(&name.0)).or_default();
        let entry = members.entry(Arc::clone(&name.1));
        let entry = entry.or_insert_with(|| Entry::new(now));
        if !was_there {
            entry.since = now;
        }
        if let Some(old) = entry.put(lease, data, is_new) {
            unlink(&mut self.rows, old, &name);
        }
        self.rows.entry(lease).or_default().insert(name.clone());
        PutAnswer::Kept(self.hand_out(&name, lease))
    }

    /// Removes the row of this lease only. If no other row is left, the member stays for the grace period. A row
    /// without one came to nothing. It leaves the member as it was before, with the rest of an earlier grace period.
    pub fn remove(
        &mut self,
        now: Duration,
        lease: Lease,
        (topic, key): (&str, &str),
        grace: Option<Duration>,
    ) -> Option<MemberChange> {
        self.notice_a_break(now);
        let name = self.name(topic, key);
        if !self.leases.contains_key(&lease) {
            return None;
        }
        let entry = self.entry(&name)?;
        let rows = entry.rows.len();
        entry.rows.retain(|row| row.lease != lease);
        let is_last = entry.rows.is_empty();
        let is_final = is_last && grace.is_some_and(|grace| grace.is_zero());
        // A member in its grace period may leave for good.
        let leaves = entry.rows.len() < rows || (is_final && entry.grace.is_some());
        if !leaves {
            // The answer to an earlier call may have been lost.
            return self.hand_out(&name, lease);
        }
        entry.refresh();
        entry.is_lost = false;
        match grace {
            Some(grace) if !grace.is_zero() => self.set_grace(&name, Some((now, now + grace))),
            _ if is_final => self.set_grace(&name, None),
            _ => {}
        }
        unlink(&mut self.rows, lease, &name);
        self.hand_out(&name, lease)
    }

    /// Returns whether this lease is the teller of a change, which it has not reported yet.
    #[must_use]
    pub fn is_teller(&self, change: &MemberChange, lease: Lease) -> bool {
        let members = self.topics.get(&*change.topic);
        let entry = members.and_then(|members| members.get(&*change.key));
        let teller = entry.and_then(|entry| entry.teller.as_ref());
        teller.is_some_and(|(teller, told)| *teller == lease && told.version == change.version)
    }

    /// Notes that a change was published, and hands the next change of that key to the same teller.
    pub fn told(&mut self, change: &MemberChange, lease: Lease) -> Option<MemberChange> {
        if !self.is_teller(change, lease) {
            return None;
        }
        let name = self.name(&change.topic, &change.key);
        let entry = self.entry(&name)?;
        entry.teller = None;
        entry.told = change.kind.data().cloned();
        unlink(&mut self.tellers, lease, &name);
        self.hand_out(&name, lease)
    }

    /// Returns the members of a topic, sorted by key.
    #[must_use]
    pub fn read(&self, now: Duration, topic: &str) -> Vec<MemberRow> {
        let members = self.topics.get(topic).into_iter().flatten();
        let there = members.filter(|(_, entry)| entry.is_there());
        let rows = there.map(|(key, entry)| MemberRow {
            key: Arc::clone(key),
            data: Arc::clone(&entry.data),
            since: time(entry.since),
            status: self.status(now, entry),
        });
        rows.collect()
    }

    fn status(&self, now: Duration, entry: &Entry) -> MemberStatus {
        if let (Some((since, _)), true) = (entry.grace, entry.rows.is_empty()) {
            return MemberStatus::Away { since: time(since) };
        }
        let leases = || entry.rows.iter().map(|row| row.lease);
        let is_fresh = |lease| now.saturating_sub(self.renewed(lease)) <= OVERDUE;
        if leases().any(|lease| self.counts(lease) && is_fresh(lease)) {
            return MemberStatus::Here;
        }
        let since = leases().map(|lease| self.renewed(lease)).max();
        MemberStatus::Unconfirmed {
            since: time(since.unwrap_or_default()),
        }
    }

    /// Removes rows and tellers whose lease has expired, and ends grace periods that are over. Hands the changes that
    /// result to this lease, up to `most` of them.
    pub fn reap(&mut self, now: Duration, lease: Lease, most: usize) -> Vec<MemberChange> {
        self.notice_a_break(now);
        let mut changes = Vec::new();
        if !self.is_alive(now, lease) {
            return changes;
        }
        // Changes that were handed to this lease before come first, because that answer may have been lost.
        let own = self.tellers.get(&lease).into_iter().flatten();
        let own: Vec<_> = own.take(most).cloned().collect();
        changes.extend(own.iter().filter_map(|name| self.hand_out(name, lease)));
        while changes.len() < most {
            match self.next_over(now) {
                Some(name) => changes.extend(self.hand_out(&name, lease)),
                None => break,
            }
        }
        changes
    }

    /// Removes one expired row or teller, or ends one grace period.
    fn next_over(&mut self, now: Duration) -> Option<Name> {
        if self.deadlines.first().is_some_and(|(at, _)| *at <= now) {
            let (_, name) = self.deadlines.pop_first()?;
            if let Some(entry) = self.entry(&name) {
                entry.grace = None;
            }
            return Some(name);
        }
        loop {
            let dead = self.leases.iter().filter(|(_, until)| **until <= now);
            let dead = dead.min_by_key(|(lease, until)| (**until, lease.incarnation));
            let dead = *dead?.0;
            let first =
                |names: &HashMap<Lease, HashSet<Name>>| names.get(&dead)?.iter().next().cloned();
            let Some(name) = first(&self.rows).or_else(|| first(&self.tellers)) else {
                self.leases.remove(&dead);
                continue;
            };
            self.take_dead(&name, dead);
            return Some(name);
        }
    }

    /// Takes the row and the teller of an expired lease from a key.
    fn take_dead(&mut self, name: &Name, dead: Lease) {
        unlink(&mut self.rows, dead, name);
        unlink(&mut self.tellers, dead, name);
        let Some(entry) = self.entry(name) else {
            return;
        };
        let dead_teller = entry.teller.take_if(|(teller, _)| *teller == dead);
        entry.orphan = dead_teller
            .map(|(_, change)| change)
            .or(entry.orphan.take());
        let rows = entry.rows.len();
        entry.rows.retain(|row| row.lease != dead);
        if entry.rows.len() < rows {
            entry.is_lost = true;
            entry.refresh();
            if entry.rows.is_empty() {
                // A lost member has no grace period, even if another stream has left it one.
                self.set_grace(name, None);
            }
        }
    }

    /// Hands out the pending change of a key, unless another live lease is its teller.
    fn hand_out(&mut self, name: &Name, lease: Lease) -> Option<MemberChange> {
        let version = self.version + 1;
        let entry = self.topics.get_mut(&*name.0)?.get_mut(&*name.1)?;
        if let Some((teller, change)) = entry.teller.clone() {
            entry.compare(&change);
            return (teller == lease).then_some(change);
        }
        let owed = |entry: &Entry| {
            Some(MemberChange {
                topic: Arc::clone(&name.0),
                key: Arc::clone(&name.1),
                version,
                kind: entry.owed()?,
            })
        };
        let is_orphan = entry.orphan.is_some();
        let change = entry.orphan.take().or_else(|| owed(entry));
        let Some(change) = change else {
            if !entry.is_there() && entry.told.is_none() {
                self.forget(name);
            }
            return None;
        };
        entry.has_strayed &= is_orphan;
        entry.compare(&change);
        entry.teller = Some((lease, change.clone()));
        self.version = self.version.max(change.version);
        self.tellers.entry(lease).or_default().insert(name.clone());
        Some(change)
    }

    fn set_grace(&mut self, name: &Name, grace: Option<(Duration, Duration)>) {
        let Some(entry) = self.entry(name) else {
            return;
        };
        if let Some((_, until)) = std::mem::replace(&mut entry.grace, grace) {
            self.deadlines.remove(&(until, name.clone()));
        }
        if let Some((_, until)) = grace {
            self.deadlines.insert((until, name.clone()));
        }
    }

    fn entry(&mut self, name: &Name) -> Option<&mut Entry> {
        self.topics.get_mut(&*name.0)?.get_mut(&*name.1)
    }

    /// Returns the topic and the key, sharing the table's own strings if it has them.
    fn name(&self, topic: &str, key: &str) -> Name {
        let known = self.topics.get_key_value(topic);
        let key_of = known.and_then(|(_, members)| members.get_key_value(key));
        (
            known.map_or_else(|| topic.into(), |(topic, _)| Arc::clone(topic)),
            key_of.map_or_else(|| key.into(), |(key, _)| Arc::clone(key)),
        )
    }

    fn forget(&mut self, name: &Name) {
        if let Some(members) = self.topics.get_mut(&*name.0) {
            members.remove(&*name.1);
            if members.is_empty() {
                self.topics.remove(&*name.0);
            }
        }
    }
}

/// Notes that a lease is no longer linked to a key.
fn unlink(names: &mut HashMap<Lease, HashSet<Name>>, lease: Lease, name: &Name) {
    if let Some(of_lease) = names.get_mut(&lease) {
        of_lease.remove(name);
        if of_lease.is_empty() {
            names.remove(&lease);
        }
    }
}
