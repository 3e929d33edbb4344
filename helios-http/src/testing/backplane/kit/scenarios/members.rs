//! Scenarios of members, for backplanes that have tables.

use std::time::Duration;

use helios_core::presence::MemberStatus;
use helios_core::presence::table::{Lease, MemberChange, MemberChangeKind, PutAnswer};
use tokio::time::{Instant, sleep};

use super::super::peer::{Peer, answered, ensure};
use super::super::report::{FaultKind, Found};
use super::Scene;
use super::leases::LEASE;
use crate::sse::backplane::{Backplane, Tables};

/// How much later the end of a grace or lease may be noticed.
const ABOUT: Duration = Duration::from_secs(3);

const GRACE: Duration = Duration::from_secs(10);

/// A node that calls the tables.
struct Node<'a> {
    tables: &'a dyn Tables,
    lease: Lease,
    topic: &'a str,
}

fn ensure_members(holds: bool, what: impl FnOnce() -> String) -> Result<(), Found> {
    ensure(holds, FaultKind::Members, what)
}

impl<'a> Node<'a> {
    /// `None` if the backplane has no tables.
    async fn of<B: Backplane>(peer: &'a Peer<B>, topic: &'a str) -> Result<Option<Self>, Found> {
        let Some(tables) = peer.backplane.tables() else {
            return Ok(None);
        };
        let lease = answered("tables.lease", tables.lease(peer.node, None)).await?;
        Ok(Some(Self {
            tables,
            lease,
            topic,
        }))
    }

    async fn renew(&self) -> Result<Lease, Found> {
        let Lease {
            node, incarnation, ..
        } = self.lease;
        answered("tables.lease", self.tables.lease(node, Some(incarnation))).await
    }

    async fn try_put(&self, key: &str, data: &str, most: usize) -> Result<PutAnswer, Found> {
        let put = self
            .tables
            .put(self.lease, self.topic, key, data, true, most);
        answered("tables.put", put).await
    }

    /// Puts a row that is not new.
    async fn put_again(&self, key: &str, data: &str) -> Result<PutAnswer, Found> {
        let put = self
            .tables
            .put(self.lease, self.topic, key, data, false, 10);
        answered("tables.put", put).await
    }

    async fn put(&self, key: &str, data: &str) -> Result<Option<MemberChange>, Found> {
        match self.try_put(key, data, 10).await? {
            PutAnswer::Kept(change) => Ok(change),
            other => Err((FaultKind::Members, format!("a row is not put: {other:?}"))),
        }
    }

    async fn remove(&self, key: &str, grace: Duration) -> Result<Option<MemberChange>, Found> {
        let remove = self.tables.remove(self.lease, self.topic, key, Some(grace));
        answered("tables.remove", remove).await
    }

    /// Removes a row that came to nothing.
    async fn take_back(&self, key: &str) -> Result<Option<MemberChange>, Found> {
        let remove = self.tables.remove(self.lease, self.topic, key, None);
        answered("tables.remove", remove).await
    }

    /// Confirms a change. No other change follows.
    async fn told(&self, change: Option<MemberChange>, what: &str) -> Result<MemberChange, Found> {
        let nothing = || (FaultKind::Members, format!("{what} is not returned"));
        let change = change.ok_or_else(nothing)?;
        let next = answered("tables.told", self.tables.told(self.lease, &change)).await?;
        ensure_members(next.is_none(), || format!("after {what} comes {next:?}"))?;
        Ok(change)
    }

    async fn joins(&self, key: &str) -> Result<(), Found> {
        let joined = self.told(self.put(key, "1").await?, "a join").await?;
        let is_joined =
            matches!(&joined.kind, MemberChangeKind::Joined { data, .. } if **data == *"1");
        ensure_members(is_joined, || format!("a join is {joined:?}"))
    }

    async fn left(
        &self,
        change: Option<MemberChange>,
        key: &str,
        is_lost: bool,
    ) -> Result<(), Found> {
        let left = self.told(change, "a leave").await?;
        let is_left = *left.key == *key && left.kind == MemberChangeKind::Left { is_lost };
        ensure_members(is_left, || format!("{key} has left, by {left:?}"))
    }

    async fn silent(&self, change: Option<MemberChange>, what: &str) -> Result<(), Found> {
        ensure_members(change.is_none(), || format!("{what} returns {change:?}"))
    }

    async fn reads(&self, expected: &[(&str, &str, &str)]) -> Result<(), Found> {
        let rows = answered("tables.read", self.tables.read(self.topic)).await?;
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (&*row.key, &*row.data, MemberStatus::as_str(row.status)))
            .collect();
        ensure_members(rows == expected, || {
            format!("{rows:?} are there, not {expected:?}")
        })
    }

    /// Returns the changes of this topic that are due.
    async fn reap(&self) -> Result<Vec<MemberChange>, Found> {
        let mut changes = answered("tables.reap", self.tables.reap(self.lease)).await?;
        changes.retain(|change| *change.topic == *self.topic);
        Ok(changes)
    }
}

impl<B: Backplane> Scene<B> {
    /// Returns the members' side of both peers. `None` if the backplane has no tables.
    async fn nodes<'a>(&'a self, topic: &'a str) -> Result<Option<(Node<'a>, Node<'a>)>, Found> {
        let one = Node::of(&self.one, topic).await?;
        Ok(one.zip(Node::of(&self.two, topic).await?))
    }

    pub(super) async fn members(&self) -> Result<(), Found> {
        let topic = self.topic("members");
        let Some((one, two)) = self.nodes(&topic).await? else {
            return Ok(());
        };
        ensure_members(one.renew().await? == one.lease, || {
            "a lease that is alive is renewed as another one".to_owned()
        })?;
        one.reads(&[]).await?;
        // The first node publishes it, so no other does. If it calls again, it gets the same change.
        let joined = one.put("ann", "1").await?;
        let again = one.put("ann", "1").await?;
        ensure_members(joined == again, || {
            format!("{joined:?} is then returned as {again:?}")
        })?;
        two.silent(two.put("ann", "1").await?, "a second node")
            .await?;
        one.told(joined, "a join").await?;
        two.joins("bob").await?;
        two.reads(&[("ann", "1", "here"), ("bob", "1", "here")])
            .await?;
        let updated = one.told(one.put("ann", "2").await?, "an update").await?;
        let is_updated =
            matches!(&updated.kind, MemberChangeKind::Updated { data, .. } if **data == *"2");
        ensure_members(is_updated, || format!("an update is {updated:?}"))?;
        let full = one.try_put("cy", "1", 2).await?;
        ensure_members(full == PutAnswer::TooMany, || {
            format!("a third member of two is {full:?}")
        })?;
        // The row of the second node is left, with its data, which the first node publishes.
        let updated = one.remove("ann", Duration::ZERO).await?;
        one.told(updated, "an update").await?;
        one.silent(
            one.remove("ann", Duration::ZERO).await?,
            "a row that is not there",
        )
        .await?;
        two.left(two.remove("ann", Duration::ZERO).await?, "ann", false)
            .await?;
        two.left(two.remove("bob", Duration::ZERO).await?, "bob", false)
            .await?;
        one.reads(&[]).await?;
        let nobody = Lease::new(one.lease.node, u64::MAX >> 1);
        let put = one.tables.put(nobody, &topic, "ann", "1", true, 10);
        let lost = answered("tables.put", put).await?;
        ensure_members(lost == PutAnswer::LeaseLost, || {
            format!("a row of no lease is {lost:?}")
        })
    }

    /// A row that is put again does not push aside the newer one of another node.
    pub(super) async fn newest_row_counts(&self) -> Result<(), Found> {
        let topic = self.topic("newest");
        let Some((one, two)) = self.nodes(&topic).await? else {
            return Ok(());
        };
        one.joins("ann").await?;
        two.told(two.put("ann", "2").await?, "an update").await?;
        for data in ["1", "3"] {
            let again = one.put_again("ann", data).await?;
            ensure_members(again == PutAnswer::Kept(None), || {
                format!("an older row that is put again is {again:?}")
            })?;
            one.reads(&[("ann", "2", "here")]).await?;
            // Next, there is no row of this node.
            one.silent(one.remove("ann", Duration::ZERO).await?, "an older row")
                .await?;
        }
        one.told(one.put("ann", "1").await?, "an update").await?;
        two.reads(&[("ann", "1", "here")]).await?;
        two.silent(two.remove("ann", Duration::ZERO).await?, "an older row")
            .await?;
        one.left(one.remove("ann", Duration::ZERO).await?, "ann", false)
            .await
    }

    pub(super) async fn members_in_grace(&self) -> Result<(), Found> {
        let topic = self.topic("grace");
        let Some((one, two)) = self.nodes(&topic).await? else {
            return Ok(());
        };
        one.joins("ann").await?;
        one.silent(one.remove("ann", GRACE).await?, "a grace")
            .await?;
        two.reads(&[("ann", "1", "away")]).await?;
        two.silent(two.put("ann", "1").await?, "coming back")
            .await?;
        one.reads(&[("ann", "1", "here")]).await?;
        // A row that comes to nothing leaves the rest of the grace.
        two.silent(two.take_back("ann").await?, "a row that came to nothing")
            .await?;
        one.reads(&[("ann", "1", "away")]).await?;
        two.silent(two.put("ann", "1").await?, "coming back")
            .await?;
        // Without a grace it leaves at once.
        two.silent(two.remove("ann", GRACE).await?, "a grace")
            .await?;
        two.left(two.remove("ann", Duration::ZERO).await?, "ann", false)
            .await?;
        // When the grace has ended, the next caller gets the change.
        one.joins("bob").await?;
        let short = Duration::from_millis(100);
        one.silent(one.remove("bob", short).await?, "a grace")
            .await?;
        let until = Instant::now() + ABOUT;
        let left = loop {
            if let Some(left) = two.reap().await?.pop() {
                break left;
            }
            ensure_members(Instant::now() < until, || "a grace does not end".to_owned())?;
            sleep(Duration::from_millis(20)).await;
        };
        two.left(Some(left), "bob", false).await?;
        two.reads(&[]).await
    }

    /// Rows are removed with their lease, once. Later calls of its node change nothing.
    pub(super) async fn rows_run_out(&self) -> Result<(), Found> {
        let topic = self.topic("reaped");
        let Some((mut one, two)) = self.nodes(&topic).await? else {
            return Ok(());
        };
        one.joins("ann").await?;
        one.joins("bob").await?;
        two.silent(two.put("bob", "1").await?, "a second node")
            .await?;
        // This change is not published before its node is lost.
        let untold = one.put("cy", "1").await?;
        let began = Instant::now();
        let mut reaped = Vec::new();
        while reaped.len() < 2 {
            ensure_members(began.elapsed() < LEASE + ABOUT, || {
                "rows outlive their lease".to_owned()
            })?;
            two.renew().await?;
            sleep(Duration::from_millis(500)).await;
            reaped = two.reap().await?;
        }
        reaped.sort_by(|a, b| a.key.cmp(&b.key));
        ensure_members(reaped.get(1) == untold.as_ref(), || {
            format!("{untold:?} was not published, and is passed on as {reaped:?}")
        })?;
        let mut reaped = reaped.into_iter();
        two.left(reaped.next(), "ann", true).await?;
        let next = match reaped.next() {
            Some(joined) => answered("tables.told", two.tables.told(two.lease, &joined)).await?,
            None => None,
        };
        two.left(next, "cy", true).await?;
        two.reads(&[("bob", "1", "here")]).await?;
        // The node was asleep, and does not know.
        one.silent(one.remove("bob", Duration::ZERO).await?, "a lost lease")
            .await?;
        let refused = one.try_put("ann", "1", 10).await?;
        ensure_members(refused == PutAnswer::LeaseLost, || {
            format!("a row of a lost lease is {refused:?}")
        })?;
        let (old, new) = (one.lease, one.renew().await?);
        ensure_members(new.incarnation > old.incarnation, || {
            format!("{old:?} goes on as {new:?}")
        })?;
        one.lease = new;
        one.joins("ann").await?;
        one.lease = old;
        one.silent(one.remove("ann", Duration::ZERO).await?, "an old lease")
            .await?;
        let over = two.reap().await?;
        ensure_members(over.is_empty(), || format!("{over:?} is over twice"))?;
        two.reads(&[("ann", "1", "here"), ("bob", "1", "here")])
            .await
    }
}
