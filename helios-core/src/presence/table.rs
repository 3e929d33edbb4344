//! The table of members: rows, leases and grace come in, and changes to be told come out. It knows neither clock nor lock; a store in
//! memory is this behind a mutex, and any other store does the same.
//!
//! # Why what is told is true in the end
//!
//! 1. A row says that a member is on a node: `(topic, key, lease)`. A lease is a node and its incarnation. A member is there as long as
//!    there is a row of its key, or its grace lasts.
//! 2. Beside the rows of a key the table keeps what the topic was **told** of it last. A difference between the two is a change that
//!    is owed. Rows and what is owed change in one step, so no change is forgotten, whoever dies.
//! 3. A change is handed out to one teller at a time, a lease. It publishes the change, and only then says so ([`Table::told`]). It is
//!    answered with the next change of that key, if there is one by then. So the events of one key are told one after the other, and the last
//!    of them agrees with the rows. Nobody else is handed a change of that key meanwhile.
//! 4. A teller that dies between the row and the event, or between the event and the word that it was told, is replaced when its lease
//!    has run out: [`Table::reap`] hands the **same** change to another, with the same version. The version is the idempotency key
//!    of the event, so what was published already is not published again.
//! 5. An answer may be lost on its way, and a change with it. So whoever is the teller of a key is handed the same change again when it asks
//!    anything of that key, and by `reap`; a node knows by the version what it is telling already.
//! 6. A teller that slept, and wakes up after it was replaced, publishes under that key, too. A node looks at its own clock before it
//!    publishes, so that it does not do so after the store has forgotten the key.
//!
//! # Leases
//!
//! Incarnations are given out by the table, in ascending order. A node whose lease has run out gets another one, and puts its rows
//! anew. Its old rows are removed by comparison with their lease, so that nobody removes a row of a later incarnation.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::MemberStatus;
use crate::sse::NodeId;

/// How long a lease lasts.
pub const LEASE: Duration = Duration::from_secs(15);

/// How often it is renewed.
pub const RENEWAL: Duration = Duration::from_secs(5);

/// A lease that was not renewed for so long is overdue.
const OVERDUE: Duration = Duration::from_millis(7_500);

/// The lease of a node: a node that was given up for dead comes back in another incarnation.
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
    /// Whose it is.
    pub node: NodeId,
    /// The number that the store has given it.
    pub incarnation: u64,
}

impl Lease {
    /// A lease of this node.
    #[must_use]
    pub const fn new(node: NodeId, incarnation: u64) -> Self {
        Self { node, incarnation }
    }
}

/// A change of a topic's members that is to be told there, by whoever was handed it.
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
    /// Where.
    pub topic: Arc<str>,
    /// Whose.
    pub key: Arc<str>,
    /// Which: no other change in the store has this number, for as long as keys of published events are remembered.
    pub version: u64,
    /// What has changed.
    pub kind: MemberChangeKind,
}

/// What a [`MemberChange`] is.
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
    /// Is there now.
    Joined {
        /// What is known of it, as JSON.
        data: Arc<str>,
        /// Since when.
        since: SystemTime,
    },
    /// Has other data now.
    Updated {
        /// What is known of it, as JSON.
        data: Arc<str>,
        /// Since when it is there.
        since: SystemTime,
    },
    /// Is not there any more.
    Left {
        /// Its node was given up for dead; else it has left.
        is_lost: bool,
    },
}

impl MemberChange {
    /// A change.
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

/// The answer to a row that was put.
///
/// ```
/// use helios::backplane::PutAnswer;
///
/// assert_ne!(PutAnswer::Kept(None), PutAnswer::LeaseLost);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutAnswer {
    /// It is there, and this is to be told.
    Kept(Option<MemberChange>),
    /// The lease has run out: nothing was put.
    LeaseLost,
    /// The topic has no room for another member: nothing was put.
    TooMany,
}

/// What a store knows of a member.
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
    /// Who it is.
    pub key: Arc<str>,
    /// What is known of it, as JSON.
    pub data: Arc<str>,
    /// Since when it is there, by the store's clock.
    pub since: SystemTime,
    /// Whether it is there.
    pub status: MemberStatus,
}

impl MemberRow {
    /// A member.
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

/// The topic and the key.
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
/// let PutAnswer::Kept(Some(joined)) = table.put(now, lease, ("room:tea", "ann", "null"), 100) else { panic!() };
/// assert_eq!(table.told(&joined, lease), None);
/// assert_eq!(table.read(now, "room:tea").len(), 1);
///
/// // In the grace nothing is told; behind it, she has left.
/// assert_eq!(table.remove(now, lease, ("room:tea", "ann"), Duration::from_secs(10)), None);
/// let left = table.reap(now + Duration::from_secs(10), lease, 1);
/// assert_eq!(left[0].kind, MemberChangeKind::Left { is_lost: false });
/// ```
#[derive(Debug, Default)]
pub struct Table {
    /// Until when they last.
    leases: HashMap<Lease, Duration>,
    incarnations: u64,
    version: u64,
    topics: HashMap<Arc<str>, BTreeMap<Arc<str>, Entry>>,
    /// When the grace of a member ends.
    deadlines: BTreeSet<(Duration, Name)>,
    /// Where a lease has a row.
    rows: HashMap<Lease, HashSet<Name>>,
    /// Where a lease is to tell something.
    tellers: HashMap<Lease, HashSet<Name>>,
}

/// What is known of one key in one topic.
#[derive(Debug)]
struct Entry {
    rows: Vec<Row>,
    /// That of the newest row, or of the last there was.
    data: Arc<str>,
    since: Duration,
    /// Without a row: since when, and until when it may come back.
    grace: Option<(Duration, Duration)>,
    /// The last row was removed with its lease.
    is_lost: bool,
    /// What the topic knows: the data of a member that is there.
    told: Option<Arc<str>>,
    teller: Option<(Lease, MemberChange)>,
    /// What a teller has left behind whose lease has run out. It may have been told.
    orphan: Option<MemberChange>,
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
        }
    }

    fn is_there(&self) -> bool {
        !self.rows.is_empty() || self.grace.is_some()
    }

    /// What the topic ought to know.
    fn wanted(&self) -> Option<&Arc<str>> {
        self.is_there().then_some(&self.data)
    }

    /// The newest row counts.
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
            (Some(told), Some(data)) if told != data => MemberChangeKind::Updated {
                data: Arc::clone(data),
                since: time(self.since),
            },
            (Some(_), None) => MemberChangeKind::Left {
                is_lost: self.is_lost,
            },
            _ => return None,
        };
        Some(kind)
    }
}

fn time(since_1970: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + since_1970
}

impl Table {
    /// A table whose versions begin behind this one: a random one where the keys of published events may outlive the table.
    #[must_use]
    pub fn new(version: u64) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    /// Takes over a member that its topic was told of before this table began, and that may come back in the grace; else it is lost.
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

    /// Renews a lease and gives back its incarnation; of a lease that is not alive any more, or of none, begins another.
    pub fn renew(&mut self, now: Duration, node: NodeId, incarnation: Option<u64>) -> u64 {
        let known = incarnation.filter(|number| self.is_alive(now, Lease::new(node, *number)));
        let number = known.unwrap_or_else(|| {
            self.incarnations += 1;
            self.incarnations
        });
        self.leases.insert(Lease::new(node, number), now + LEASE);
        number
    }

    fn is_alive(&self, now: Duration, lease: Lease) -> bool {
        self.leases.get(&lease).is_some_and(|until| now < *until)
    }

    /// Puts a row: topic, key and data. There are `most` members in the topic at most.
    pub fn put(
        &mut self,
        now: Duration,
        lease: Lease,
        (topic, key, data): (&str, &str, &str),
        most: usize,
    ) -> PutAnswer {
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
        self.set_grace(&name, None);
        let members = self.topics.entry(Arc::clone(&name.0)).or_default();
        let entry = members.entry(Arc::clone(&name.1));
        let entry = entry.or_insert_with(|| Entry::new(now));
        if !was_there {
            entry.since = now;
        }
        let of_node = |row: &&Row| row.lease.node == lease.node;
        // An older incarnation of the node cannot be there any more.
        let old: Vec<_> = entry
            .rows
            .iter()
            .filter(of_node)
            .map(|row| row.lease)
            .collect();
        entry.rows.retain(|row| row.lease.node != lease.node);
        entry.rows.push(Row {
            lease,
            data: data.into(),
        });
        entry.refresh();
        for old in old {
            unlink(&mut self.rows, old, &name);
        }
        self.rows.entry(lease).or_default().insert(name.clone());
        PutAnswer::Kept(self.hand_out(&name, lease))
    }

    /// Removes the row of this lease, and no other. Without another row the member stays for the grace.
    pub fn remove(
        &mut self,
        now: Duration,
        lease: Lease,
        (topic, key): (&str, &str),
        grace: Duration,
    ) -> Option<MemberChange> {
        let name = self.name(topic, key);
        if !self.leases.contains_key(&lease) {
            return None;
        }
        let entry = self.entry(&name)?;
        let rows = entry.rows.len();
        entry.rows.retain(|row| row.lease != lease);
        // Somebody in the grace may leave for good.
        let leaves = entry.rows.len() < rows || (grace.is_zero() && entry.grace.is_some());
        if !leaves {
            // The answer to an earlier call may have been lost.
            return self.hand_out(&name, lease);
        }
        entry.refresh();
        entry.is_lost = false;
        let has_grace = entry.rows.is_empty() && !grace.is_zero();
        self.set_grace(&name, has_grace.then_some((now, now + grace)));
        unlink(&mut self.rows, lease, &name);
        self.hand_out(&name, lease)
    }

    /// Says that a change was told, and gives the next one of that key to the same teller.
    pub fn told(&mut self, change: &MemberChange, lease: Lease) -> Option<MemberChange> {
        let name = self.name(&change.topic, &change.key);
        let entry = self.entry(&name)?;
        let is_it = |(teller, told): &mut (Lease, MemberChange)| {
            *teller == lease && told.version == change.version
        };
        entry.teller.take_if(is_it)?;
        entry.told = match &change.kind {
            MemberChangeKind::Joined { data, .. } | MemberChangeKind::Updated { data, .. } => {
                Some(Arc::clone(data))
            }
            MemberChangeKind::Left { .. } => None,
        };
        unlink(&mut self.tellers, lease, &name);
        self.hand_out(&name, lease)
    }

    /// The members of a topic, in the order of their keys.
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
        if let Some((since, _)) = entry.grace {
            return MemberStatus::Away { since: time(since) };
        }
        let leases = entry.rows.iter();
        let until = leases.filter_map(|row| self.leases.get(&row.lease)).max();
        let renewed = until.map_or(Duration::ZERO, |until| until.saturating_sub(LEASE));
        match now.saturating_sub(renewed) > OVERDUE {
            true => MemberStatus::Unconfirmed {
                since: time(renewed),
            },
            false => MemberStatus::Here,
        }
    }

    /// Removes what is over, and hands out what is to be told of it to this lease, up to so many changes: rows and tellers whose lease has
    /// run out, and members whose grace has.
    pub fn reap(&mut self, now: Duration, lease: Lease, most: usize) -> Vec<MemberChange> {
        let mut changes = Vec::new();
        if !self.is_alive(now, lease) {
            return changes;
        }
        // What this lease was handed before, in case that was lost.
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

    /// Takes away one thing that is over.
    fn next_over(&mut self, now: Duration) -> Option<Name> {
        if self.deadlines.first().is_some_and(|(at, _)| *at <= now) {
            let (_, name) = self.deadlines.pop_first()?;
            if let Some(entry) = self.entry(&name) {
                entry.grace = None;
            }
            return Some(name);
        }
        loop {
            let dead = self.leases.iter().find(|(_, until)| **until <= now);
            let dead = *dead?.0;
            let first =
                |names: &HashMap<Lease, HashSet<Name>>| names.get(&dead)?.iter().next().cloned();
            let Some(name) = first(&self.rows).or_else(|| first(&self.tellers)) else {
                self.leases.remove(&dead);
                continue;
            };
            unlink(&mut self.rows, dead, &name);
            unlink(&mut self.tellers, dead, &name);
            if let Some(entry) = self.entry(&name) {
                let rows = entry.rows.len();
                entry.rows.retain(|row| row.lease != dead);
                if entry.rows.len() < rows {
                    entry.is_lost = true;
                    entry.refresh();
                }
                let dead_teller = entry.teller.take_if(|(teller, _)| *teller == dead);
                entry.orphan = dead_teller
                    .map(|(_, change)| change)
                    .or(entry.orphan.take());
            }
            return Some(name);
        }
    }

    /// Hands out what is owed of a key, unless somebody else who lives is telling it.
    fn hand_out(&mut self, name: &Name, lease: Lease) -> Option<MemberChange> {
        let version = self.version + 1;
        let entry = self.topics.get_mut(&*name.0)?.get_mut(&*name.1)?;
        if let Some((teller, change)) = &entry.teller {
            return (*teller == lease).then(|| change.clone());
        }
        let owed = |entry: &Entry| {
            Some(MemberChange {
                topic: Arc::clone(&name.0),
                key: Arc::clone(&name.1),
                version,
                kind: entry.owed()?,
            })
        };
        let change = entry.orphan.take().or_else(|| owed(entry));
        let Some(change) = change else {
            if !entry.is_there() && entry.told.is_none() {
                self.forget(name);
            }
            return None;
        };
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

    /// The texts of the table itself, where it has them.
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

/// Notes that a lease has no more to do with a key.
fn unlink(names: &mut HashMap<Lease, HashSet<Name>>, lease: Lease, name: &Name) {
    if let Some(of_lease) = names.get_mut(&lease) {
        of_lease.remove(name);
        if of_lease.is_empty() {
            names.remove(&lease);
        }
    }
}
