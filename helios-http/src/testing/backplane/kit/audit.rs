//! Checks the events of one link without bad weather: their order, `prev`, and the places of answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use helios_core::hub::EventId;

use super::judge::Sight;
use super::ledger::Mark;
use super::report::{FaultKind, Found, said};
use crate::sse::backplane::{BackplaneEvent, BackplaneSink, Watched};
use crate::sync::lock;

/// The state of a topic that is watched.
#[derive(Debug, Default)]
struct Followed {
    /// The newest event that was handed over, or that came before the first one. `None` if it is not known.
    last: Option<EventId>,
    /// The place of the newest answer to a watch.
    answer: Option<EventId>,
    first_answer: Option<EventId>,
}

/// Listens to one link.
#[derive(Debug, Default)]
pub(super) struct Audit {
    newest: Option<EventId>,
    /// Sequences that have ended.
    over: HashSet<u64>,
    followed: HashMap<String, Followed>,
    unwatched: HashSet<String>,
    handed: HashSet<EventId>,
    sights: Vec<Sight>,
    /// Whether the link has reported a possible loss.
    pub(super) is_torn: bool,
    /// Whether the link may lose events without notice.
    may_lose: bool,
    found: Vec<Found>,
}

pub(super) type SharedAudit = Arc<Mutex<Audit>>;

/// Creates a sink that feeds an audit.
pub(super) fn sink_of(audit: &SharedAudit) -> BackplaneSink {
    let audit = Arc::clone(audit);
    BackplaneSink::new(move |event| {
        lock(&audit).take(&event);
        true
    })
}

impl Audit {
    pub(super) fn new(may_lose: bool) -> SharedAudit {
        Arc::new(Mutex::new(Self {
            may_lose,
            ..Self::default()
        }))
    }

    /// Records that these topics are about to be watched.
    pub(super) fn follow(&mut self, topics: &[&str]) {
        for topic in topics {
            self.unwatched.remove(*topic);
            self.followed.entry((*topic).to_owned()).or_default();
        }
    }

    /// Records that these topics are not watched any more.
    pub(super) fn leave(&mut self, topics: &[&str]) {
        for topic in topics {
            self.followed.remove(*topic);
            self.unwatched.insert((*topic).to_owned());
        }
    }

    /// Checks the answer to the watch of these topics.
    pub(super) fn answered(&mut self, topics: &[&str], watched: &Watched) {
        let newest = watched.newest;
        if watched.topics.len() != topics.len() {
            let what = format!("{} topics, {} answers", topics.len(), watched.topics.len());
            self.found.push((FaultKind::WatchPlace, what));
        }
        for (topic, answer) in topics.iter().zip(&watched.topics) {
            let Some(followed) = self.followed.get_mut(*topic) else {
                continue;
            };
            followed.answer = Some(newest);
            followed.first_answer.get_or_insert(newest);
            let is_beyond = answer.last.and_then(|last| last.is_after(newest));
            let is_missed = match (followed.last, answer.last) {
                (Some(known), Some(last)) => last.is_after(known) == Some(true),
                _ => false,
            };
            if is_beyond == Some(true) || (is_missed && !self.may_lose) {
                let (last, known) = (said(answer.last), said(followed.last));
                let what = format!("{topic} has {last} at {newest}, but {known} was handed over");
                self.found.push((FaultKind::WatchPlace, what));
            }
            followed.last = followed.last.or(answer.last);
        }
    }

    fn take(&mut self, event: &BackplaneEvent<'_>) {
        match event {
            BackplaneEvent::Event { topic, event, prev } => {
                self.take_event(topic, event.id, *prev, &event.bytes);
            }
            BackplaneEvent::Gap { topic, .. } => {
                self.is_torn = true;
                if let Some(followed) = self.followed.get_mut(*topic) {
                    followed.last = None;
                }
            }
            BackplaneEvent::Torn { .. } => {
                self.is_torn = true;
                let all = self.followed.values_mut();
                all.for_each(|followed| followed.last = None);
            }
            BackplaneEvent::Link(_) => {}
        }
    }

    fn take_event(&mut self, topic: &str, id: EventId, prev: Option<EventId>, bytes: &Bytes) {
        if let Some(newest) = self.newest
            && id.is_after(newest) == Some(false)
        {
            let what = format!("{id} in {topic} is handed over after {newest}");
            self.found.push((FaultKind::Order, what));
        }
        if self.over.contains(&id.epoch()) {
            let what = format!("{id} in {topic} is of a sequence that had ended");
            self.found.push((FaultKind::Epoch, what));
        }
        let before = self.newest.replace(id).map(EventId::epoch);
        self.over
            .extend(before.filter(|before| *before != id.epoch()));
        if self.unwatched.contains(topic) {
            let what = format!("{id} in {topic}");
            self.found.push((FaultKind::Unwatch, what));
        }
        let Some(followed) = self.followed.get_mut(topic) else {
            return;
        };
        self.handed.insert(id);
        self.sights.extend(mark_in(bytes).map(|mark| (id, mark)));
        if let Some(answer) = followed.answer
            && answer
                .is_after(id)
                .is_some_and(|after| after || answer == id)
        {
            let what = format!("{id} in {topic} comes after the answer at {answer}");
            self.found.push((FaultKind::WatchPlace, what));
        }
        let last = followed.last.replace(id);
        let is_later = prev.and_then(|prev| Some(!id.is_after(prev)?));
        let is_other = match (last, prev) {
            (Some(last), Some(prev)) if last.epoch() == id.epoch() => last != prev,
            _ => false,
        };
        if is_later == Some(true) || (is_other && !self.may_lose) {
            let (prev, last) = (said(prev), said(last));
            let what = format!("{id} in {topic} names {prev} before it, but follows {last}");
            self.found.push((FaultKind::Prev, what));
        }
    }

    /// Whether this event has been handed over, or came before its topic was watched.
    pub(super) fn has(&self, topic: &str, id: EventId) -> bool {
        let first = self.followed.get(topic).and_then(|it| it.first_answer);
        let is_before = first.is_none_or(|first| id.is_after(first) != Some(true));
        is_before || self.handed.contains(&id)
    }

    /// Adds events that were seen elsewhere.
    pub(super) fn add_sights(&mut self, sights: impl Iterator<Item = Sight>) {
        self.sights.extend(sights);
    }

    /// Returns what was seen and found since the last call.
    pub(super) fn take_found(&mut self) -> (Vec<Sight>, Vec<Found>) {
        self.handed.clear();
        (
            std::mem::take(&mut self.sights),
            std::mem::take(&mut self.found),
        )
    }
}

/// Returns the mark in the bytes of an event, which contain it as a line of data.
pub(super) fn mark_in(bytes: &Bytes) -> Option<Mark> {
    const DATA: &[u8] = b"data: ";
    let at = bytes.windows(DATA.len()).position(|part| part == DATA)?;
    let rest = bytes.get(at + DATA.len()..)?;
    let line = rest.split(|byte| *byte == b'\n').next()?;
    Mark::parse(std::str::from_utf8(line).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::sse::backplane::{PastEvent, WatchedTopic};

    fn id(seq: u64) -> EventId {
        EventId::new(1, seq)
    }

    /// Returns the faults found when the topic `a` is watched at 2, after its event 1, and these events are handed
    /// over.
    fn found(events: &[(u64, Option<u64>)]) -> Vec<FaultKind> {
        let audit = Audit::new(false);
        let sink = sink_of(&audit);
        lock(&audit).follow(&["a"]);
        let answer = Watched::new(id(2), vec![WatchedTopic::new(Some(id(1)), None)]);
        lock(&audit).answered(&["a"], &answer);
        for (seq, prev) in events {
            let event = PastEvent::new(id(*seq), SystemTime::now(), "data: 1/0/0\n\n".into());
            sink.accept(BackplaneEvent::event("a", event, prev.map(id)));
        }
        let (sights, found) = lock(&audit).take_found();
        assert_eq!(sights.len(), events.len());
        found.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn a_link_in_order_has_no_faults() {
        assert_eq!(found(&[(3, Some(1)), (5, None), (6, Some(5))]), []);
    }

    #[test]
    fn each_disorder_of_a_link_is_found() {
        assert_eq!(
            found(&[(4, Some(1)), (3, Some(4))]),
            [FaultKind::Order, FaultKind::Prev]
        );
        assert_eq!(found(&[(3, Some(2))]), [FaultKind::Prev]);
        assert_eq!(found(&[(3, Some(1)), (4, Some(1))]), [FaultKind::Prev]);
        assert_eq!(found(&[(2, Some(1))]), [FaultKind::WatchPlace]);
    }

    #[test]
    fn a_sequence_that_comes_back_is_found() {
        let audit = Audit::new(false);
        let sink = sink_of(&audit);
        lock(&audit).follow(&["a"]);
        for epoch in [1, 2, 1] {
            let event = PastEvent::new(EventId::new(epoch, 1), SystemTime::now(), "x".into());
            sink.accept(BackplaneEvent::event("a", event, None));
        }
        let (_, found) = lock(&audit).take_found();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, FaultKind::Epoch);
    }

    #[test]
    fn an_answer_that_omits_an_event_is_out_of_place() {
        let audit = Audit::new(false);
        lock(&audit).follow(&["a"]);
        for last in [1, 2] {
            let answer = Watched::new(id(2), vec![WatchedTopic::new(Some(id(last)), None)]);
            lock(&audit).answered(&["a"], &answer);
        }
        let (_, found) = lock(&audit).take_found();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, FaultKind::WatchPlace);
    }

    #[test]
    fn a_reported_loss_is_no_fault() {
        let audit = Audit::new(false);
        let sink = sink_of(&audit);
        lock(&audit).follow(&["a"]);
        let answer = Watched::new(id(2), vec![WatchedTopic::new(Some(id(1)), None)]);
        lock(&audit).answered(&["a"], &answer);
        sink.accept(BackplaneEvent::torn(id(5)));
        let event = PastEvent::new(id(6), SystemTime::now(), "x".into());
        sink.accept(BackplaneEvent::event("a", event, Some(id(5))));
        assert!(lock(&audit).take_found().1.is_empty());
    }
}
