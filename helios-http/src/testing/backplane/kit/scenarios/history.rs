//! Scenarios of history.

use bytes::Bytes;
use helios_core::hub::{EventId, HistoryLimits};

use super::super::peer::ensure;
use super::super::report::{FaultKind, Found, said};
use super::Scene;
use crate::sse::backplane::{Ask, Backplane, Publish};

/// How many events of a topic are kept.
const KEPT: usize = 20;

/// Describes a request.
fn worded(ask: &Ask<'_>) -> String {
    let most = |most: usize| match most {
        usize::MAX => "any number".to_owned(),
        most => most.to_string(),
    };
    let (events, bytes) = (most(ask.events), most(ask.bytes));
    let which = match ask.after {
        Some(after) => format!("after {after}"),
        None => "the newest".to_owned(),
    };
    format!("{which}, at most {events} events and {bytes} bytes,")
}

impl<B: Backplane> Scene<B> {
    async fn published(&self, topic: &str, count: usize) -> Result<Vec<EventId>, Found> {
        let limits = HistoryLimits {
            events: KEPT,
            ..HistoryLimits::default()
        };
        let mut ids: Vec<EventId> = Vec::new();
        for n in 0..count {
            let peer = if n % 2 == 0 { &self.one } else { &self.two };
            let publish = Publish::new(topic, format!("text {n}").into(), limits);
            let id = peer.publish_as(publish).await?;
            let last = ids.last().copied();
            let ascends = last.is_none_or(|last| id.is_after(last) == Some(true));
            let what = || format!("{id} is assigned after {}", said(last));
            ensure(ascends, FaultKind::Order, what)?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// History returns the requested events, and no more, and whether there are more.
    pub(super) async fn history(&self) -> Result<(), Found> {
        let topic = &*self.topic("a");
        let ids = self.published(topic, KEPT).await?;
        let (count, most) = (ids.len(), 1 << 20);
        let behind = || Ask::after(topic, ids[9]);
        for (ask, given, more) in [
            (Ask::newest(topic), 0..count, false),
            (Ask::newest(topic).at_most(3, most), count - 3..count, true),
            (Ask::newest(topic).at_most(count, 1), count - 1..count, true),
            (behind(), 10..count, false),
            (behind().at_most(4, most), 10..14, true),
            (behind().at_most(count - 10, most), 10..count, false),
            (behind().at_most(count, 1), 10..11, true),
            (Ask::after(topic, ids[count - 1]), count..count, false),
        ] {
            let what = worded(&ask);
            let expected: Vec<(EventId, Bytes)> = given
                .map(|n| (ids[n], format!("text {n}").into()))
                .collect();
            let is = self.two.history(ask).await?.map(|(events, more)| {
                let texts = events.into_iter().map(|event| (event.id, event.bytes));
                (texts.collect(), more)
            });
            let is_well = is.as_ref() == Some(&(expected, more));
            ensure(is_well, FaultKind::History, || {
                format!("{what} returns {is:?}")
            })?;
        }
        let nothing = self.one.history(Ask::newest(&self.topic("none"))).await?;
        let is_empty = nothing
            .as_ref()
            .is_some_and(|(events, more)| events.is_empty() && !more);
        ensure(is_empty, FaultKind::History, || {
            format!("an empty topic returns {nothing:?}")
        })
    }

    /// History returns the events that are kept, and reports others as gone. It may keep more than it has to.
    pub(super) async fn limits(&self) -> Result<(), Found> {
        let topic = &*self.topic("a");
        let ids = self.published(topic, KEPT + 5).await?;
        let newest = self
            .one
            .history(Ask::newest(topic))
            .await?
            .unwrap_or_default()
            .0;
        let newest: Vec<_> = newest.iter().map(|event| event.id).collect();
        let is_well = newest.len() >= KEPT && ids.ends_with(&newest);
        let what = || format!("the newest are {newest:?} of {ids:?}");
        ensure(is_well, FaultKind::History, what)?;
        let before = EventId::new(ids[0].epoch(), ids[0].seq().saturating_sub(1));
        let all = self.one.all_after(topic, before, 7).await?;
        let all = all.map(|all| all.iter().map(|event| event.id).collect::<Vec<_>>());
        let is_well = all.as_ref().is_none_or(|all| *all == ids);
        let what = || format!("all are reported as {all:?} of {ids:?}");
        ensure(is_well, FaultKind::History, what)
    }

    pub(super) async fn another_sequence(&self) -> Result<(), Found> {
        let topic = &*self.topic("a");
        let id = self.one.publish(topic, "text").await?;
        for seq in [0, id.seq()] {
            let other = EventId::new(id.epoch() ^ 1, seq);
            let given = self.two.history(Ask::after(topic, other)).await?;
            ensure(given.is_none(), FaultKind::Epoch, || {
                format!("after {other} is {given:?}")
            })?;
        }
        Ok(())
    }
}
