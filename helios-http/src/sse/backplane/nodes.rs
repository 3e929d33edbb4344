//! Messages between servers over topics of their own. A message is an event for one client of another server, or a user
//! whose streams are to end on all servers.
//!
//! Each server has a lease at the backplane, and a topic that it alone watches. A client's id names its server, so no
//! server has to search for the client. Messages have their place in the order of all events, like everything that is
//! published.

use std::sync::Arc;
use std::time::Duration;

use helios_core::hub::{HistoryLimits, UnnumberedEvent};
use helios_core::sse::{ClientId, NodeId, SseError};
use tokio::time::{MissedTickBehavior, interval};

use super::BackplaneErrorKind;
use super::replication::{Replication, TIMEOUT, within};
use crate::failure::with_causes;
use crate::panics::caught_in;
use crate::sse::hub::topics::RESERVED;
use crate::sse::hub::{Audience, Publication};
use crate::sse::options::SseOptions;

/// How often a lease is renewed. A lease lasts for three times as long.
const RENEWAL: Duration = Duration::from_secs(5);

/// How much of a node's own topic is kept, which is longer than a link stays torn.
const LIMITS: HistoryLimits = HistoryLimits {
    events: 4_096,
    age: Duration::from_secs(60),
};

/// The topic that all nodes watch. A server that was cut off finds there the users whose streams it should have ended.
pub(super) const USERS: &str = "helios:users";

const LIMITS_OF_USERS: HistoryLimits = HistoryLimits {
    events: 16_384,
    age: Duration::from_secs(60 * 60),
};

/// Returns the topic that a node alone watches.
pub(super) fn topic_of(node: NodeId) -> String {
    format!("{RESERVED}node:{node}")
}

/// Returns whether servers themselves read a topic of this name.
pub(super) fn is_own(topic: &str) -> bool {
    topic.starts_with(RESERVED)
}

/// Returns how much of a topic is kept.
pub(super) fn limits_of(topic: &str, options: &SseOptions) -> HistoryLimits {
    match topic {
        USERS => LIMITS_OF_USERS,
        topic if is_own(topic) => LIMITS,
        topic => options.history_of(topic),
    }
}

impl Replication {
    /// Sends an event to a client on another server. `Ok` means that it was handed to that server, which is alive.
    pub(crate) async fn send(
        &self,
        client: ClientId,
        event: UnnumberedEvent,
    ) -> Result<(), SseError> {
        let unknown = SseError::NoSuchClient(client);
        let node = client.node().filter(|node| *node != self.hub.node);
        let Some(node) = node else {
            return Err(unknown);
        };
        let backplane = self.reached().map_err(SseError::Backplane)?;
        let alive = within(
            TIMEOUT,
            BackplaneErrorKind::NotPublished,
            backplane.is_alive(node),
        );
        if !alive.await.map_err(SseError::Backplane)? {
            return Err(unknown);
        }
        let publication = Publication {
            event: Some(event),
            audience: Audience::Only(client),
            finishes: false,
        };
        self.publish(&topic_of(node), &publication, None).await?;
        Ok(())
    }

    /// Asks all servers to end the streams of the user that the event names.
    pub(crate) async fn disconnect(&self, user: UnnumberedEvent) -> Result<(), SseError> {
        let publication = Publication {
            event: Some(user),
            audience: Audience::Servers,
            finishes: false,
        };
        self.publish(USERS, &publication, None).await?;
        Ok(())
    }

    /// Renews the lease of this node until the replication is stopped.
    pub(super) fn keep_leased(self: &Arc<Self>) {
        let (replication, stopped) = (Arc::downgrade(self), self.stopped.clone());
        let renewing = async move {
            let mut renewals = interval(RENEWAL);
            renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                renewals.tick().await;
                let Some(this) = replication.upgrade() else {
                    return;
                };
                caught_in("a backplane's `renew`", this.renew()).await;
            }
        };
        tokio::spawn(stopped.run_until_cancelled_owned(renewing));
    }

    async fn renew(&self) {
        // A backplane that is down logs that itself, once.
        let Ok(backplane) = self.reached() else {
            return;
        };
        let renewed = within(TIMEOUT, BackplaneErrorKind::Down, backplane.renew());
        if let Err(error) = renewed.await {
            let error = with_causes(&error);
            let backplane = backplane.name();
            tracing::warn!(backplane, error, "this node's lease was not renewed");
        }
    }
}
