//! A link without a hub, to call a backplane directly.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use helios_core::hub::{EventId, HistoryLimits};
use helios_core::sse::NodeId;
use tokio::time::{Instant, sleep, timeout};

use super::audit::{Audit, SharedAudit, mark_in, sink_of};
use super::judge::Page;
use super::report::{FaultKind, Found};
use crate::failure::with_causes;
use crate::sse::backplane::{
    Ask, Backplane, BackplaneError, History, PastEvent, Publish, Startup, Watched,
};
use crate::sync::lock;

/// How long a hub waits for an answer.
const LONGEST: Duration = Duration::from_secs(5);

/// A topic to which nothing is published.
const WELL: &str = "kit-well";

/// A link that an audit listens to.
pub(super) struct Peer<B> {
    pub(super) backplane: B,
    pub(super) node: NodeId,
    pub(super) audit: SharedAudit,
    is_stopped: AtomicBool,
}

/// Returns a fault unless something holds.
pub(super) fn ensure(
    holds: bool,
    kind: FaultKind,
    what: impl FnOnce() -> String,
) -> Result<(), Found> {
    match holds {
        true => Ok(()),
        false => Err((kind, what())),
    }
}

/// Returns the answer of a call, or a fault if it fails or takes too long.
pub(super) async fn answered<T>(
    what: &str,
    answer: impl Future<Output = Result<T, BackplaneError>>,
) -> Result<T, Found> {
    let failed = |why: String| (FaultKind::Failed, format!("{what}: {why}"));
    match timeout(LONGEST, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(with_causes(&error).to_string())),
        Err(_) => Err(failed("no answer in time".to_owned())),
    }
}

impl<B: Backplane> Peer<B> {
    /// Starts a link.
    pub(super) async fn start(backplane: B, may_lose: bool) -> Result<Self, Found> {
        let audit = Audit::new(may_lose);
        let node = any_node();
        let startup = Startup::new(node, sink_of(&audit));
        answered("start", backplane.start(startup)).await?;
        Ok(Self {
            backplane,
            node,
            audit,
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Stops the link, unless that was done before.
    pub(super) async fn stop(&self) -> Result<(), Found> {
        if self.is_stopped.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let stop = async {
            self.backplane.stop().await;
            Ok(())
        };
        answered("stop", stop).await
    }

    /// Renews the lease and watches a topic until the backplane answers both. The link may have lost only one of two
    /// ways to it.
    ///
    /// # Errors
    ///
    /// If it does not answer in time.
    pub(super) async fn until_well(&self, until: Instant) -> Result<(), Found> {
        loop {
            let answer = async {
                answered("renew", self.backplane.renew()).await?;
                answered("watch", self.backplane.watch(&[WELL])).await?;
                answered("unwatch", self.backplane.unwatch(&[WELL])).await
            };
            match answer.await {
                Err(_) if Instant::now() < until => sleep(Duration::from_millis(20)).await,
                answer => return answer,
            }
        }
    }

    pub(super) async fn watch(&self, topics: &[&str]) -> Result<Watched, Found> {
        lock(&self.audit).follow(topics);
        let watched = answered("watch", self.backplane.watch(topics)).await?;
        lock(&self.audit).answered(topics, &watched);
        Ok(watched)
    }

    pub(super) async fn unwatch(&self, topics: &[&str]) -> Result<(), Found> {
        answered("unwatch", self.backplane.unwatch(topics)).await?;
        lock(&self.audit).leave(topics);
        Ok(())
    }

    pub(super) async fn publish(&self, topic: &str, text: &str) -> Result<EventId, Found> {
        let text = text.to_owned().into();
        self.publish_as(Publish::new(topic, text, HistoryLimits::default()))
            .await
    }

    pub(super) async fn publish_as(&self, publish: Publish<'_>) -> Result<EventId, Found> {
        answered("publish", self.backplane.publish(publish)).await
    }

    /// Returns one answer of history, or `None` if it is gone.
    pub(super) async fn history(
        &self,
        ask: Ask<'_>,
    ) -> Result<Option<(Vec<PastEvent>, bool)>, Found> {
        match answered("history", self.backplane.history(ask)).await? {
            History::Events { events, more } => Ok(Some((events, more))),
            History::Gone => Ok(None),
        }
    }

    /// Returns all events after an id, in pages, or `None` if they are gone.
    pub(super) async fn all_after(
        &self,
        topic: &str,
        after: EventId,
        page: usize,
    ) -> Result<Option<Vec<PastEvent>>, Found> {
        let mut all: Vec<PastEvent> = Vec::new();
        let mut after = after;
        loop {
            let ask = Ask::after(topic, after).at_most(page, 1 << 20);
            let Some((events, more)) = self.history(ask).await? else {
                return Ok(None);
            };
            let is_fit = events.len() <= page && !(more && events.is_empty());
            ensure(is_fit, FaultKind::History, || {
                let count = events.len();
                format!("{topic}: a page of {count} events (limit {page}, more: {more})")
            })?;
            let last = events.last().map(|event| event.id);
            all.extend(events);
            match last.filter(|_| more) {
                Some(last) if last.is_after(after) == Some(true) => after = last,
                Some(last) => {
                    let what = format!("{topic}: a page after {after} that ends with {last}");
                    return Err((FaultKind::History, what));
                }
                None => return Ok(Some(all)),
            }
        }
    }
}

/// Converts remembered events to the form that a judge reads.
pub(super) fn page_of(events: &[PastEvent]) -> Page {
    let events = events.iter();
    events
        .map(|event| (event.id, mark_in(&event.bytes)))
        .collect()
}

/// Returns a node id that is unique in this process, and almost certainly among processes.
fn any_node() -> NodeId {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let mut number = fastrand::u32(..) & !0xFFFF;
        number |= NEXT.fetch_add(1, Ordering::Relaxed) & 0xFFFF;
        if let Some(node) = NodeId::new(number) {
            return node;
        }
    }
}
