//! Tests of single guarantees, directly at the backplane.

mod history;
mod leases;
mod members;
mod publishing;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use helios_core::hub::EventId;
use tokio::time::{Instant, sleep};

use super::super::rig::Rig;
use super::peer::{Peer, ensure};
use super::report::{FaultKind, Found, Report};
use super::world::Nodes;
use crate::sse::backplane::Backplane;
use crate::sync::lock;
use leases::LEASE;

/// Two links, and topics that no other test uses.
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

/// Runs all scenarios except those of expired leases.
pub(super) async fn run<R: Rig>(nodes: &Arc<Nodes<R>>, report: &mut Report) {
    try_all!(nodes, report,
        "history contains what was published, in pages" => history,
        "history is limited, and reports what is gone" => limits,
        "an id of another sequence is gone" => another_sequence,
        "a batch is answered one by one" => batch,
        "a key counts on all nodes" => keys,
        "nothing is published after an end" => ends,
        "an answer to a watch has its place" => watch_place,
        "events of unwatched topics are not handed over" => unwatch,
        "members are those with rows, and each change is returned once" => members,
        "a row that is put again pushes no newer one aside" => newest_row_counts,
        "a member that comes back within its grace changes nothing" => members_in_grace,
        "a lease begins and ends with its node" => lease,
    );
}

/// Checks that a lease expires unless it is renewed, and comes back. Returns `None` if the run is too short for that.
pub(super) async fn leases<R: Rig>(nodes: &Arc<Nodes<R>>, lasting: Duration) -> Option<Vec<Found>> {
    if lasting < 2 * LEASE {
        return None;
    }
    Some(match Scene::new(nodes).await {
        Ok(scene) => {
            let ended = match scene.lease_runs_out().await {
                Ok(()) => scene.rows_run_out().await,
                ended => ended,
            };
            scene.close(ended).await
        }
        Err(found) => vec![found],
    })
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

    /// Stops the links and returns all faults.
    async fn close(self, ended: Result<(), Found>) -> Vec<Found> {
        let mut found: Vec<_> = ended.err().into_iter().collect();
        for peer in [self.one, self.two] {
            found.extend(peer.stop().await.err());
            found.extend(lock(&peer.audit).take_found().1);
        }
        found
    }

    /// Checks that an event of a watched topic is handed over soon.
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
}

#[cfg(test)]
mod tests {
    use super::super::Kit;
    use super::*;
    use crate::testing::backplane::InMemory;

    #[tokio::test(start_paused = true)]
    async fn in_memory_lease_expires_with_its_rows_and_comes_back() {
        let nodes = Arc::new(Nodes::new(InMemory::new(), &Kit::new(1)));
        let found = leases(&nodes, 2 * LEASE).await;
        assert_eq!(found.as_deref(), Some(&[][..]));
    }
}
