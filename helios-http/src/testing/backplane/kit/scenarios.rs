//! What is tried by itself, directly at the backplane.

use std::sync::Arc;
use std::time::Duration;

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::{EventId, HistoryLimits};
use helios_core::sse::NodeId;
use tokio::time::{Instant, sleep};

use super::super::rig::Rig;
use super::peer::{Peer, answered, ensure};
use super::report::{FaultKind, Found, Report};
use super::world::Nodes;
use crate::sse::backplane::{Ask, Backplane, Publish};
use crate::sync::lock;

/// How long a lease lasts.
const LEASE: Duration = Duration::from_secs(15);
/// How much later or sooner that may be noticed.
const ABOUT: Duration = Duration::from_secs(3);

/// Two links, and topics that nobody else has.
struct Scene<B> {
    one: Peer<B>,
    two: Peer<B>,
    name: String,
}

macro_rules! try_all {
    ($nodes:expr, $report:expr, $($name:literal => $scene:ident),* $(,)?) => {
        $({
            let found = match Scene::new($nodes).await {
                Ok(scene) => {
                    let ended = scene.$scene().await;
                    scene.close(ended).await
                }
                Err(found) => vec![found],
            };
            $report.scenarios.push($name);
            let seed = $report.seed;
            $report.add(seed, found);
        })*
    };
}

/// Tries all of them.
pub(super) async fn run<R: Rig>(nodes: &Arc<Nodes<R>>, report: &mut Report) {
    try_all!(nodes, report,
        "history is what was published, in pages" => history,
        "an id of another sequence is gone" => another_sequence,
        "a batch is answered one by one" => batch,
        "a key counts on all nodes" => keys,
        "nothing is published behind an end" => ends,
        "an answer to a watch has its place" => watch_place,
        "what is unwatched is not handed over" => unwatch,
        "a lease begins with its node and is given up with it" => lease,
    );
}

/// A lease that is not renewed runs out, and comes back when it is; `None` in a run that is too short for that.
pub(super) async fn leases<R: Rig>(nodes: &Arc<Nodes<R>>, lasting: Duration) -> Option<Vec<Found>> {
    if lasting < LEASE + ABOUT {
        return None;
    }
    Some(match Scene::new(nodes).await {
        Ok(scene) => {
            let ended = scene.lease_runs_out().await;
            scene.close(ended).await
        }
        Err(found) => vec![found],
    })
}

fn is_kind(answer: &Result<EventId, BackplaneError>, kind: BackplaneErrorKind) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == kind)
}

impl<B: Backplane> Scene<B> {
    async fn new<R: Rig<Link = B>>(nodes: &Arc<Nodes<R>>) -> Result<Self, Found> {
        let may_lose = nodes.rig.may_lose();
        let link = || nodes.rig.node(nodes.number());
        Ok(Self {
            one: Peer::start(link(), may_lose).await?,
            two: Peer::start(link(), may_lose).await?,
            name: format!("scene-{:x}", fastrand::u64(..)),
        })
    }

    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Everything that was found.
    async fn close(self, ended: Result<(), Found>) -> Vec<Found> {
        let mut found: Vec<_> = ended.err().into_iter().collect();
        for peer in [self.one, self.two] {
            found.extend(peer.stop().await.err());
            found.extend(lock(&peer.audit).take_found().1);
        }
        found
    }

    async fn history(&self) -> Result<(), Found> {
        const KEPT: usize = 20;
        let (one, two) = (&self.one, &self.two);
        let topic = &*self.topic("a");
        let limits = HistoryLimits {
            events: KEPT,
            ..HistoryLimits::default()
        };
        let mut ids: Vec<EventId> = Vec::new();
        for n in 0..KEPT + 5 {
            let peer = if n % 2 == 0 { one } else { two };
            let publish = Publish::new(topic, format!("text {n}").into(), limits);
            let id = peer.publish_as(publish).await?;
            let last = ids.last().copied();
            let ascends = last.is_none_or(|last| id.is_after(last) == Some(true));
            ensure(ascends, FaultKind::Order, || {
                format!("{id} is given out behind {last:?}")
            })?;
            ids.push(id);
        }
        let last = ids[ids.len() - 1];
        for (ask, from, count, more) in [
            (
                Ask::newest(topic).at_most(3, 1 << 20),
                ids.len() - 3,
                3,
                true,
            ),
            (
                Ask::newest(topic).at_most(usize::MAX, 1),
                ids.len() - 1,
                1,
                true,
            ),
            (Ask::after(topic, ids[9]), 10, ids.len() - 10, false),
            (Ask::after(topic, ids[9]).at_most(4, 1 << 20), 10, 4, true),
            (
                Ask::after(topic, ids[9]).at_most(usize::MAX, 1),
                10,
                1,
                true,
            ),
            (Ask::after(topic, last), ids.len(), 0, false),
        ] {
            let what = format!("{ask:?}");
            let given = two.history(ask).await?.map(|(events, more)| {
                let texts = events.into_iter().map(|event| (event.id, event.bytes));
                (texts.collect::<Vec<_>>(), more)
            });
            let expected = (from..from + count).map(|n| (ids[n], format!("text {n}").into()));
            let expected = (expected.collect::<Vec<_>>(), more);
            ensure(
                given.as_ref() == Some(&expected),
                FaultKind::History,
                || format!("{what} gives {given:?}"),
            )?;
        }
        // It may keep more than it has to.
        let newest = one.history(Ask::newest(topic)).await?.unwrap_or_default().0;
        let newest: Vec<_> = newest.iter().map(|event| event.id).collect();
        ensure(
            newest.len() >= KEPT && ids.ends_with(&newest),
            FaultKind::History,
            || format!("the newest are {newest:?} of {ids:?}"),
        )?;
        let before = EventId::new(last.epoch(), ids[0].seq().saturating_sub(1));
        let all = one.all_after(topic, before, 7).await?;
        let all = all.map(|all| all.iter().map(|event| event.id).collect::<Vec<_>>());
        ensure(
            all.as_ref().is_none_or(|all| *all == ids),
            FaultKind::History,
            || format!("all are said to be {all:?} of {ids:?}"),
        )?;
        let nothing = one.history(Ask::newest(&self.topic("none"))).await?;
        let is_empty = nothing
            .as_ref()
            .is_some_and(|(events, more)| events.is_empty() && !more);
        ensure(is_empty, FaultKind::History, || {
            format!("of nothing there is {nothing:?}")
        })
    }

    async fn another_sequence(&self) -> Result<(), Found> {
        let topic = &*self.topic("a");
        let id = self.one.publish(topic, "text").await?;
        for seq in [0, id.seq()] {
            let other = EventId::new(id.epoch() ^ 1, seq);
            let given = self.two.history(Ask::after(topic, other)).await?;
            ensure(given.is_none(), FaultKind::Epoch, || {
                format!("behind {other} is {given:?}")
            })?;
        }
        Ok(())
    }

    async fn batch(&self) -> Result<(), Found> {
        let [a, b, over] = ["a", "b", "over"].map(|name| self.topic(name));
        let limits = HistoryLimits::default();
        let publish = |topic, text: &'static str| Publish::new(topic, text.into(), limits);
        self.one
            .publish_as(publish(&over, "end").finishing(true))
            .await?;
        let batch = vec![
            publish(&a, "1"),
            publish(&over, "2"),
            publish(&b, "3"),
            publish(&a, "4"),
        ];
        let answers = self.two.backplane.publish_all(batch).await;
        let ids: Vec<_> = answers
            .iter()
            .filter_map(|it| it.as_ref().ok().copied())
            .collect();
        let is_well = answers.len() == 4
            && ids.len() == 3
            && ids.is_sorted_by(|a, b| b.is_after(*a) == Some(true));
        ensure(is_well, FaultKind::Failed, || {
            format!("a batch is answered {answers:?}")
        })?;
        let refused = is_kind(&answers[1], BackplaneErrorKind::Finished);
        ensure(refused, FaultKind::BehindEnd, || {
            format!("a batch is answered {answers:?}")
        })?;
        let first = EventId::new(ids[0].epoch(), ids[0].seq().saturating_sub(1));
        let of_a = self.one.all_after(&a, first, 10).await?.unwrap_or_default();
        let texts: Vec<_> = of_a.iter().map(|event| &event.bytes[..]).collect();
        ensure(texts == [b"1", b"4"], FaultKind::History, || {
            format!("{a} has {texts:?}")
        })
    }

    async fn keys(&self) -> Result<(), Found> {
        let [a, b] = ["a", "b"].map(|name| self.topic(name));
        let limits = HistoryLimits::default();
        let keyed = |topic, text: &'static str| {
            Publish::new(topic, text.into(), limits).with_key(Some("key"))
        };
        let first = self.one.publish_as(keyed(&a, "1")).await?;
        let elsewhere = self.one.publish_as(keyed(&b, "2")).await?;
        ensure(elsewhere != first, FaultKind::Key, || {
            "a key counts in another topic".to_owned()
        })?;
        for peer in [&self.one, &self.two] {
            let again = peer.publish_as(keyed(&a, "3")).await?;
            ensure(again == first, FaultKind::Key, || {
                format!("{first} is {again} the next time")
            })?;
        }
        // An end with a key is known by it, too.
        let end = self
            .two
            .publish_as(keyed(&b, "4").with_key(Some("end")).finishing(true))
            .await?;
        let again = self
            .one
            .publish_as(keyed(&b, "5").with_key(Some("end")).finishing(true))
            .await;
        ensure(again.as_ref().ok() == Some(&end), FaultKind::Key, || {
            format!("the end {end} is {again:?} the next time")
        })?;
        let before = EventId::new(first.epoch(), first.seq().saturating_sub(1));
        let all = self
            .two
            .all_after(&a, before, 10)
            .await?
            .unwrap_or_default();
        ensure(all.len() == 1, FaultKind::Key, || {
            format!("there is {all:?}")
        })
    }

    async fn ends(&self) -> Result<(), Found> {
        let topic = &*self.topic("a");
        let limits = HistoryLimits {
            events: 2,
            ..HistoryLimits::default()
        };
        let publish = |text: &'static str| Publish::new(topic, text.into(), limits);
        self.one.watch(&[topic]).await?;
        let first = self.two.publish_as(publish("1")).await?;
        let end = self
            .two
            .publish_as(publish("the end").finishing(true))
            .await?;
        for peer in [&self.one, &self.two] {
            for late in [publish("late"), publish("late").finishing(true)] {
                let answer = peer.backplane.publish(late).await;
                let refused = is_kind(&answer, BackplaneErrorKind::Finished);
                ensure(refused, FaultKind::BehindEnd, || {
                    format!("a publish behind the end {end} is answered {answer:?}")
                })?;
            }
            let watched = peer.watch(&[topic]).await?;
            let told = watched.topics.first();
            let finish = told.and_then(|told| told.finish.as_ref());
            let is_told = finish.is_some_and(|it| it.id == end && &it.bytes[..] == b"the end");
            ensure(is_told, FaultKind::End, || {
                format!("the end {end} is told as {finish:?}")
            })?;
        }
        let behind = self
            .one
            .all_after(topic, first, 10)
            .await?
            .unwrap_or_default();
        let behind: Vec<_> = behind.iter().map(|event| event.id).collect();
        ensure(behind == [end], FaultKind::End, || {
            format!("behind {first} is {behind:?}")
        })?;
        self.until_handed(&self.one, topic, end).await
    }

    /// What is watched is handed over, soon.
    async fn until_handed(&self, peer: &Peer<B>, topic: &str, id: EventId) -> Result<(), Found> {
        let until = Instant::now() + Duration::from_secs(5);
        while !lock(&peer.audit).has(topic, id) {
            ensure(Instant::now() < until, FaultKind::Missed, || {
                format!("{id} in {topic} is not handed over")
            })?;
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The audits find what is out of place.
    async fn watch_place(&self) -> Result<(), Found> {
        let topics: Vec<_> = (0..4).map(|n| self.topic(&n.to_string())).collect();
        let topics: Vec<_> = topics.iter().map(|topic| &**topic).collect();
        let publish = async {
            let mut ids = Vec::new();
            for n in 0..400 {
                let topic = topics[n % topics.len()];
                let peer = if n % 3 == 0 { &self.one } else { &self.two };
                ids.push((topic, peer.publish(topic, "text").await?));
                tokio::task::yield_now().await;
            }
            Ok::<_, Found>(ids)
        };
        let watch = async {
            for n in 0..100 {
                self.one.watch(&topics[..1 + n % topics.len()]).await?;
                tokio::task::yield_now().await;
            }
            self.one.watch(&topics).await
        };
        let (ids, watched) = tokio::join!(publish, watch);
        watched?;
        for (topic, id) in ids? {
            self.until_handed(&self.one, topic, id).await?;
        }
        // Behind this answer nothing of it may come any more.
        self.one.watch(&topics).await.map(drop)
    }

    async fn unwatch(&self) -> Result<(), Found> {
        let [a, b, never] = ["a", "b", "never"].map(|name| self.topic(name));
        self.one.watch(&[&a, &b]).await?;
        let seen = self.two.publish(&a, "1").await?;
        self.until_handed(&self.one, &a, seen).await?;
        self.one.unwatch(&[&a, &never]).await?;
        self.two.publish(&a, "2").await?;
        let other = self.two.publish(&b, "3").await?;
        // It is behind what is not to be handed over.
        self.until_handed(&self.one, &b, other).await?;
        self.one.watch(&[&a]).await?;
        let again = self.two.publish(&a, "4").await?;
        self.until_handed(&self.one, &a, again).await
    }

    async fn is_alive(&self, node: NodeId) -> Result<bool, Found> {
        answered("is_alive", self.two.backplane.is_alive(node)).await
    }

    async fn ensure_alive(&self, node: NodeId, is: bool, when: &str) -> Result<(), Found> {
        let is_alive = self.is_alive(node).await?;
        ensure(is_alive == is, FaultKind::Lease, || {
            format!("{when}, alive is {is_alive}")
        })
    }

    async fn lease(&self) -> Result<(), Found> {
        let node = self.one.node;
        self.ensure_alive(node, true, "when a node has started")
            .await?;
        self.ensure_alive(self.two.node, true, "of a node itself")
            .await?;
        let nobody = NodeId::new(node.number() ^ 0x8000_0000);
        if let Some(nobody) = nobody {
            self.ensure_alive(nobody, false, "of a node that is none")
                .await?;
        }
        answered("renew", self.one.backplane.renew()).await?;
        self.ensure_alive(node, true, "when a lease is renewed")
            .await?;
        self.one.stop().await?;
        self.ensure_alive(node, false, "when a node has stopped")
            .await
    }

    async fn lease_runs_out(&self) -> Result<(), Found> {
        let node = self.one.node;
        let renewal = async {
            answered("renew", self.one.backplane.renew()).await?;
            Ok::<_, Found>(Instant::now())
        };
        let renewed = renewal.await?;
        while self.is_alive(node).await? {
            let is_over = renewed.elapsed() > LEASE + ABOUT;
            ensure(!is_over, FaultKind::Lease, || {
                "a lease does not run out".to_owned()
            })?;
            // The other is to live meanwhile.
            answered("renew", self.two.backplane.renew()).await?;
            sleep(Duration::from_millis(500)).await;
        }
        let lasted = renewed.elapsed();
        ensure(lasted > LEASE - ABOUT, FaultKind::Lease, || {
            format!("it lasts for {lasted:?}")
        })?;
        answered("renew", self.one.backplane.renew()).await?;
        self.ensure_alive(node, true, "when a lease has come back")
            .await
    }
}
