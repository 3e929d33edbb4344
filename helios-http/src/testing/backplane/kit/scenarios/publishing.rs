//! Scenarios of publishing, with batches, keys and ends.

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use helios_core::hub::{EventId, HistoryLimits};

use super::super::peer::ensure;
use super::super::report::{FaultKind, Found};
use super::Scene;
use crate::sse::backplane::{Backplane, Publish};

fn is_kind(answer: &Result<EventId, BackplaneError>, kind: BackplaneErrorKind) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == kind)
}

impl<B: Backplane> Scene<B> {
    pub(super) async fn batch(&self) -> Result<(), Found> {
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

    pub(super) async fn keys(&self) -> Result<(), Found> {
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
                format!("{first} becomes {again} the next time")
            })?;
        }
        // The key of an end counts, too.
        let end = self
            .two
            .publish_as(keyed(&b, "4").with_key(Some("end")).finishing(true))
            .await?;
        let again = self
            .one
            .publish_as(keyed(&b, "5").with_key(Some("end")).finishing(true))
            .await;
        ensure(again.as_ref().ok() == Some(&end), FaultKind::Key, || {
            format!("the end {end} becomes {again:?} the next time")
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

    pub(super) async fn ends(&self) -> Result<(), Found> {
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
                    format!("a publish after the end {end} returns {answer:?}")
                })?;
            }
            let watched = peer.watch(&[topic]).await?;
            let told = watched.topics.first();
            let finish = told.and_then(|told| told.finish.as_ref());
            let is_told = finish.is_some_and(|it| it.id == end && &it.bytes[..] == b"the end");
            ensure(is_told, FaultKind::End, || {
                format!("the end {end} is reported as {finish:?}")
            })?;
        }
        let behind = self
            .one
            .all_after(topic, first, 10)
            .await?
            .unwrap_or_default();
        let behind: Vec<_> = behind.iter().map(|event| event.id).collect();
        ensure(behind == [end], FaultKind::End, || {
            format!("after {first} is {behind:?}")
        })?;
        self.until_handed(&self.one, topic, end).await
    }
}
