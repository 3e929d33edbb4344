//! Scenarios of leases.

use std::time::Duration;

use helios_core::sse::NodeId;
use tokio::time::{Instant, sleep};

use super::super::peer::{answered, ensure};
use super::super::report::{FaultKind, Found};
use super::Scene;
use crate::sse::backplane::Backplane;

/// How long a lease lasts.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// How much earlier or later its end may be noticed.
const ABOUT: Duration = Duration::from_secs(3);

impl<B: Backplane> Scene<B> {
    async fn is_alive(&self, node: NodeId) -> Result<bool, Found> {
        answered("is_alive", self.two.backplane.is_alive(node)).await
    }

    async fn ensure_alive(&self, node: NodeId, is: bool, when: &str) -> Result<(), Found> {
        let is_alive = self.is_alive(node).await?;
        ensure(is_alive == is, FaultKind::Lease, || {
            format!("{when}, alive is {is_alive}")
        })
    }

    pub(super) async fn lease(&self) -> Result<(), Found> {
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

    pub(super) async fn lease_runs_out(&self) -> Result<(), Found> {
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
            // The other node has to stay alive.
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
