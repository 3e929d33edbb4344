//! Tests of the table of members with nodes that die, sleep and wake up. The published changes must agree with the
//! members in the end.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use helios_core::presence::MemberStatus;
use helios_core::presence::table::{
    LEASE, Lease, MemberChange, MemberChangeKind, PutAnswer, RENEWAL, Table,
};
use helios_core::sse::NodeId;
use proptest::prelude::*;

const GRACE: Duration = Duration::from_secs(10);
/// No grace period.
const FINAL: Option<Duration> = Some(Duration::ZERO);
const TOPIC: &str = "room:tea";
const KEYS: [&str; 3] = ["ann", "bob", "cy"];
const NODES: usize = 3;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn node(n: usize) -> NodeId {
    NodeId::new(n as u32 + 1).unwrap()
}

fn lease(table: &mut Table, now: Duration, n: usize) -> Lease {
    Lease::new(node(n), table.renew(now, node(n), None))
}

/// Renews leases for this many seconds from `now` on.
fn live(table: &mut Table, now: Duration, seconds: u64, leases: &[Lease]) {
    for after in (5..=seconds).step_by(5) {
        for lease in leases {
            let number = table.renew(now + secs(after), lease.node, Some(lease.incarnation));
            assert_eq!(number, lease.incarnation);
        }
    }
}

fn put(table: &mut Table, now: Duration, lease: Lease, key: &str) -> Option<MemberChange> {
    match table.put(now, lease, (TOPIC, key, "null"), 100, true) {
        PutAnswer::Kept(change) => change,
        other => panic!("{other:?}"),
    }
}

fn is_left(change: &MemberChange, lost: bool) -> bool {
    change.kind == MemberChangeKind::Left { is_lost: lost }
}

#[test]
fn a_member_on_two_nodes_leaves_with_its_last_row() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    let joined = put(&mut table, now, one, "ann").unwrap();
    assert_eq!(table.told(&joined, one), None);
    assert_eq!(put(&mut table, now, two, "ann"), None);
    assert_eq!(table.remove(now, one, (TOPIC, "ann"), FINAL), None);
    let left = table.remove(now, two, (TOPIC, "ann"), FINAL);
    assert!(is_left(&left.unwrap(), false));
}

#[test]
fn a_row_that_is_put_again_is_no_newer_than_before() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    let put = |table: &mut Table, lease, data, is_new| match table.put(
        now,
        lease,
        (TOPIC, "ann", data),
        9,
        is_new,
    ) {
        PutAnswer::Kept(change) => {
            let change = change?;
            assert_eq!(table.told(&change, lease), None);
            Some(change.kind)
        }
        other => panic!("{other:?}"),
    };
    assert!(put(&mut table, one, "1", true).is_some() && put(&mut table, two, "2", true).is_some());
    // In its place, and then as the oldest row.
    assert_eq!(put(&mut table, one, "3", false), None);
    assert_eq!(table.remove(now, one, (TOPIC, "ann"), FINAL), None);
    assert_eq!(put(&mut table, one, "4", false), None);
    assert_eq!(&*table.read(now, TOPIC)[0].data, "2");
    assert!(put(&mut table, one, "4", true).is_some());
    assert_eq!(&*table.read(now, TOPIC)[0].data, "4");
}

#[test]
fn a_member_that_comes_back_in_the_grace_changes_nothing() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    let joined = put(&mut table, now, one, "ann").unwrap();
    table.told(&joined, one);
    assert_eq!(table.remove(now, one, (TOPIC, "ann"), Some(GRACE)), None);
    let status = table.read(now, TOPIC)[0].status;
    assert!(matches!(status, MemberStatus::Away { .. }));
    live(&mut table, now, 5, &[two]);
    assert_eq!(put(&mut table, now + secs(9), two, "ann"), None);
    live(&mut table, now, 10, &[two]);
    assert_eq!(table.reap(now + secs(14), two, 10), []);
    assert_eq!(table.read(now + secs(14), TOPIC).len(), 1);
}

#[test]
fn a_row_that_came_to_nothing_leaves_the_rest_of_the_grace() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    let joined = put(&mut table, now, one, "ann").unwrap();
    table.told(&joined, one);
    assert_eq!(table.remove(now, one, (TOPIC, "ann"), Some(GRACE)), None);
    let away = table.read(now, TOPIC);
    let later = now + secs(5);
    live(&mut table, now, 5, &[one, two]);
    assert_eq!(put(&mut table, later, two, "ann"), None);
    assert_eq!(table.read(later, TOPIC)[0].status, MemberStatus::Here);
    assert_eq!(table.remove(later, two, (TOPIC, "ann"), None), None);
    assert_eq!(table.read(later, TOPIC), away);
    assert_eq!(table.reap(now + secs(9), two, 10), []);
    let left = table.reap(now + GRACE, two, 10);
    assert!(left.len() == 1 && is_left(&left[0], false), "{left:?}");
    assert_eq!(table.told(&left[0], two), None);
    // Without a grace before, it leaves at once.
    let joined = put(&mut table, now + GRACE, two, "ann").unwrap();
    table.told(&joined, two);
    let left = table.remove(now + GRACE, two, (TOPIC, "ann"), None);
    assert!(is_left(&left.unwrap(), false));
}

#[test]
fn a_member_with_rows_stays_after_its_grace_and_a_lost_one_has_none() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    let joined = put(&mut table, now, one, "ann").unwrap();
    table.told(&joined, one);
    assert_eq!(put(&mut table, now, two, "ann"), None);
    let long = Some(secs(60));
    assert_eq!(table.remove(now, one, (TOPIC, "ann"), long), None);
    live(&mut table, now, 10, &[one]);
    let lost = table.reap(now + LEASE, one, 10);
    assert!(lost.len() == 1 && is_left(&lost[0], true), "{lost:?}");
    table.told(&lost[0], one);

    let now = now + LEASE;
    let joined = put(&mut table, now, one, "ann").unwrap();
    table.told(&joined, one);
    let short = Some(Duration::from_secs(1));
    assert_eq!(table.remove(now, one, (TOPIC, "ann"), short), None);
    assert_eq!(put(&mut table, now, one, "ann"), None);
    assert_eq!(table.reap(now + secs(2), one, 10), []);
    assert_eq!(
        table.read(now + secs(2), TOPIC)[0].status,
        MemberStatus::Here
    );
}

#[test]
fn a_row_of_a_dead_lease_is_lost_once() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    let joined = put(&mut table, now, one, "ann").unwrap();
    table.told(&joined, one);
    let status = |table: &Table, at| table.read(at, TOPIC)[0].status;
    assert_eq!(status(&table, now + RENEWAL), MemberStatus::Here);
    let unconfirmed = MemberStatus::Unconfirmed {
        since: std::time::SystemTime::UNIX_EPOCH + now,
    };
    assert_eq!(status(&table, now + secs(8)), unconfirmed);
    live(&mut table, now, 10, &[two]);
    assert_eq!(table.reap(now + secs(14), two, 10), []);
    let lost = table.reap(now + LEASE, two, 10);
    assert!(lost.len() == 1 && is_left(&lost[0], true), "{lost:?}");
    assert_eq!(table.told(&lost[0], two), None);
    assert_eq!(table.reap(now + LEASE, two, 10), []);
    assert!(table.read(now + LEASE, TOPIC).is_empty());
}

#[test]
fn a_node_that_slept_keeps_its_later_rows() {
    let (mut table, now) = (Table::new(0), secs(1));
    let old = lease(&mut table, now, 0);
    let joined = put(&mut table, now, old, "ann").unwrap();
    table.told(&joined, old);
    let later = now + LEASE;
    let refused = table.put(later, old, (TOPIC, "bob", "null"), 100, true);
    assert_eq!(refused, PutAnswer::LeaseLost);
    let new = table.renew(later, old.node, Some(old.incarnation));
    assert!(new > old.incarnation);
    let new = Lease::new(old.node, new);
    assert_eq!(put(&mut table, later, new, "ann"), None);
    assert_eq!(table.remove(later, old, (TOPIC, "ann"), FINAL), None);
    assert_eq!(table.reap(later, new, 10), []);
    assert_eq!(table.read(later, TOPIC).len(), 1);
}

#[test]
fn after_a_break_of_all_nodes_only_those_that_do_not_come_back_are_lost() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    for (lease, key) in [(one, "ann"), (two, "bob")] {
        let joined = put(&mut table, now, lease, key).unwrap();
        assert_eq!(table.told(&joined, lease), None);
    }
    let now = now + 2 * LEASE;
    // It is noticed by whichever call is the first.
    assert_eq!(table.reap(now, one, 10), []);
    let keys = |table: &Table, at| {
        let rows = table.read(at, TOPIC);
        rows.iter()
            .map(|row| row.key.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&table, now), ["ann", "bob"]);
    let refused = table.put(now, one, (TOPIC, "ann", "null"), 100, false);
    assert_eq!(refused, PutAnswer::LeaseLost);
    let again = table.renew(now, one.node, Some(one.incarnation));
    assert!(again > two.incarnation);
    let again = Lease::new(one.node, again);
    assert_eq!(put(&mut table, now, again, "ann"), None);
    let status = |table: &Table, n: usize| table.read(now, TOPIC)[n].status;
    assert_eq!(status(&table, 0), MemberStatus::Here);
    let since = std::time::SystemTime::UNIX_EPOCH + now;
    assert_eq!(status(&table, 1), MemberStatus::Unconfirmed { since });
    live(&mut table, now, 10, &[again]);
    assert_eq!(table.reap(now + secs(14), again, 10), []);
    let lost = table.reap(now + LEASE, again, 10);
    assert!(lost.len() == 1 && is_left(&lost[0], true), "{lost:?}");
    assert_eq!(keys(&table, now + LEASE), ["ann"]);
}

#[test]
fn the_change_of_a_dead_teller_is_handed_out_again() {
    let (mut table, now) = (Table::new(0), secs(1));
    let (one, two) = (lease(&mut table, now, 0), lease(&mut table, now, 1));
    let joined = put(&mut table, now, one, "ann").unwrap();
    assert_eq!(put(&mut table, now, two, "ann"), None);
    live(&mut table, now, 10, &[two]);
    assert_eq!(
        table.reap(now + LEASE, two, 10),
        std::slice::from_ref(&joined)
    );
    assert_eq!(table.told(&joined, one), None);
    assert_eq!(table.told(&joined, two), None);
    assert_eq!(table.read(now + LEASE, TOPIC).len(), 1);
}

#[test]
fn a_change_whose_answer_was_lost_is_handed_out_again() {
    let (mut table, now) = (Table::new(0), secs(1));
    let one = lease(&mut table, now, 0);
    let joined = put(&mut table, now, one, "ann").unwrap();
    assert_eq!(put(&mut table, now, one, "ann").as_ref(), Some(&joined));
    assert_eq!(table.reap(now, one, 10), std::slice::from_ref(&joined));
    assert_eq!(table.told(&joined, one), None);
    assert_eq!(table.reap(now, one, 10), []);
}

#[test]
fn a_change_that_was_taken_back_is_reported_to_those_who_saw_it() {
    let (mut table, now) = (Table::new(0), secs(1));
    let one = lease(&mut table, now, 0);
    let put = |table: &mut Table, data| match table.put(now, one, (TOPIC, "ann", data), 9, true) {
        PutAnswer::Kept(change) => change,
        other => panic!("{other:?}"),
    };
    let joined = put(&mut table, "1").unwrap();
    assert!(put(&mut table, "2").is_some() && put(&mut table, "1").is_some());
    let again = table.told(&joined, one).unwrap();
    assert!(matches!(&again.kind, MemberChangeKind::Updated { data, .. } if **data == *"1"));
    assert_eq!(table.told(&again, one), None);
    // Nor does a page keep a member that was there for a moment.
    let left = table.remove(now, one, (TOPIC, "ann"), FINAL).unwrap();
    put(&mut table, "3");
    table.remove(now, one, (TOPIC, "ann"), FINAL);
    let again = table.told(&left, one).unwrap();
    assert!(is_left(&again, false) && again.version > left.version);
    assert_eq!(table.told(&again, one), None);
    assert!(put(&mut table, "4").is_some());
}

#[test]
fn a_restored_member_comes_back_in_silence_or_is_lost() {
    let (mut table, now) = (Table::new(0), secs(1_000));
    for key in ["ann", "bob"] {
        table.restore(now, (TOPIC, key, "null"), secs(7), LEASE);
    }
    let one = lease(&mut table, now, 0);
    assert_eq!(put(&mut table, now, one, "ann"), None);
    let since = table.read(now, TOPIC)[0].since;
    assert_eq!(since, std::time::SystemTime::UNIX_EPOCH + secs(7));
    live(&mut table, now, 10, &[one]);
    let lost = table.reap(now + LEASE, one, 10);
    assert!(lost.len() == 1 && is_left(&lost[0], true), "{lost:?}");
    assert_eq!(&*lost[0].key, "bob");
}

#[test]
fn a_topic_takes_no_more_members_than_it_may_have() {
    let (mut table, now) = (Table::new(0), secs(1));
    let one = lease(&mut table, now, 0);
    assert!(put(&mut table, now, one, "ann").is_some());
    let full = table.put(now, one, (TOPIC, "bob", "null"), 1, true);
    assert_eq!(full, PutAnswer::TooMany);
    let again = table.put(now, one, (TOPIC, "ann", "1"), 1, true);
    assert!(matches!(again, PutAnswer::Kept(_)));
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize, u8, bool),
    Remove(usize, usize, Option<Duration>),
    /// Publishes a pending change and reports it.
    Tell(usize),
    /// Publishes a pending change, but is interrupted before the report.
    Publish(usize),
    Renew(usize),
    Reap(usize),
    Die(usize),
    /// Loses answers on their way.
    Lose(usize),
    Pass(u64),
    /// A page loads the list.
    List,
}

fn graces() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![Just(None), Just(FINAL), Just(Some(GRACE))]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (n, k) = (0..NODES, 0..KEYS.len());
    let step = prop_oneof![
        4 => (n.clone(), k.clone(), 0..3_u8, any::<bool>()).prop_map(|(n, k, d, new)| Step::Put(n, k, d, new)),
        4 => (n.clone(), k, graces()).prop_map(|(n, k, grace)| Step::Remove(n, k, grace)),
        4 => n.clone().prop_map(Step::Tell),
        2 => n.clone().prop_map(Step::Publish),
        4 => n.clone().prop_map(Step::Renew),
        3 => n.clone().prop_map(Step::Reap),
        1 => n.clone().prop_map(Step::Die),
        1 => n.prop_map(Step::Lose),
        3 => (1..8_u64).prop_map(Step::Pass),
        3 => Just(Step::List),
    ];
    prop::collection::vec(step, 1..80)
}

#[derive(Default)]
struct Node {
    lease: Option<Lease>,
    /// The members that the node believes to have.
    here: BTreeMap<usize, u8>,
    untold: Vec<MemberChange>,
}

#[derive(Default)]
struct World {
    table: Table,
    now: Duration,
    nodes: [Node; NODES],
    /// The versions that were published.
    published: BTreeSet<u64>,
    /// The members known to a client that has read all events.
    seen: BTreeMap<String, String>,
    /// The members known to pages that have read a list and all events since.
    pages: Vec<BTreeMap<String, String>>,
}

impl World {
    fn renew(&mut self, n: usize) {
        let known = self.nodes[n].lease;
        let number = self
            .table
            .renew(self.now, node(n), known.map(|lease| lease.incarnation));
        let lease = Lease::new(node(n), number);
        if known != Some(lease) {
            self.nodes[n].lease = Some(lease);
            for (key, data) in self.nodes[n].here.clone() {
                self.put(n, key, data, false);
            }
        }
    }

    /// Hands changes to a node, some of them again.
    fn owe(&mut self, n: usize, changes: impl IntoIterator<Item = MemberChange>) {
        let untold = &mut self.nodes[n].untold;
        for change in changes {
            if !untold.contains(&change) {
                untold.push(change);
            }
        }
    }

    fn put(&mut self, n: usize, key: usize, data: u8, is_new: bool) {
        if self.nodes[n].lease.is_none() {
            self.renew(n);
        }
        self.nodes[n].here.insert(key, data);
        let (lease, data) = (self.nodes[n].lease.unwrap(), data.to_string());
        match self
            .table
            .put(self.now, lease, (TOPIC, KEYS[key], &data), 100, is_new)
        {
            PutAnswer::Kept(change) => self.owe(n, change),
            PutAnswer::TooMany => panic!(),
            // A renewal gets another lease and puts all rows again.
            _ => {}
        }
    }

    fn remove(&mut self, n: usize, key: usize, grace: Option<Duration>) {
        let is_here = self.nodes[n].here.remove(&key).is_some();
        if let (Some(lease), true) = (self.nodes[n].lease, is_here) {
            let change = self
                .table
                .remove(self.now, lease, (TOPIC, KEYS[key]), grace);
            self.owe(n, change);
        }
    }

    /// Publishes an event once, and checks that it changes what readers know.
    fn publish(&mut self, change: &MemberChange) {
        if !self.published.insert(change.version) {
            return;
        }
        let key = change.key.to_string();
        let was_there = self.seen.contains_key(&key);
        match &change.kind {
            MemberChangeKind::Joined { .. } => assert!(!was_there, "joined twice"),
            MemberChangeKind::Updated { .. } => assert!(was_there, "{change:?} of nobody"),
            // It may be for pages that have read a list in between.
            _ => {}
        }
        for known in self.pages.iter_mut().chain([&mut self.seen]) {
            match &change.kind {
                MemberChangeKind::Joined { data, .. } | MemberChangeKind::Updated { data, .. } => {
                    known.insert(key.clone(), data.to_string());
                }
                MemberChangeKind::Left { .. } => drop(known.remove(&key)),
                _ => {}
            }
        }
    }

    fn list(&self) -> BTreeMap<String, String> {
        let rows = self.table.read(self.now, TOPIC).into_iter();
        rows.map(|row| (row.key.to_string(), row.data.to_string()))
            .collect()
    }

    fn tell(&mut self, n: usize, says_so: bool) {
        let Some(change) = self.nodes[n].untold.first().cloned() else {
            return;
        };
        self.publish(&change);
        if says_so {
            self.nodes[n].untold.remove(0);
            let next = self.table.told(&change, self.nodes[n].lease.unwrap());
            self.owe(n, next);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(n, key, data, is_new) => self.put(n, key, data, is_new),
            Step::Remove(n, key, grace) => self.remove(n, key, grace),
            Step::Tell(n) => self.tell(n, true),
            Step::Publish(n) => self.tell(n, false),
            Step::Renew(n) => self.renew(n),
            Step::Reap(n) => {
                if let Some(lease) = self.nodes[n].lease {
                    let changes = self.table.reap(self.now, lease, 100);
                    self.owe(n, changes);
                }
            }
            // Another process takes the node's place, with its own lease and without members.
            Step::Die(n) => self.nodes[n] = Node::default(),
            Step::Lose(n) => self.nodes[n].untold.clear(),
            Step::List => self.pages.push(self.list()),
            Step::Pass(seconds) => self.now += secs(seconds),
        }
    }

    /// Lets all live nodes work until every pending change is published.
    fn settle(&mut self) {
        for _ in 0..12 {
            self.now += RENEWAL;
            for n in 0..NODES {
                self.renew(n);
                self.step(Step::Reap(n));
                while !self.nodes[n].untold.is_empty() {
                    self.tell(n, true);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn published_changes_agree_with_the_members_in_the_end(steps in steps()) {
        let mut world = World { now: secs(1_000), ..World::default() };
        for step in steps {
            world.step(step);
        }
        world.settle();
        let here: BTreeSet<_> = world.nodes.iter().flat_map(|node| node.here.keys()).collect();
        let here: Vec<_> = here.into_iter().map(|key| KEYS[*key]).collect();
        let seen: Vec<_> = world.seen.keys().map(String::as_str).collect();
        prop_assert_eq!(&seen, &here);
        let rows = world.list();
        for page in world.pages {
            prop_assert_eq!(&page, &rows);
        }
        prop_assert_eq!(rows, world.seen);
    }
}
