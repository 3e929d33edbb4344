//! Compares the published events with those that were seen.

mod walk;

use std::collections::{HashMap, HashSet};

use helios_core::hub::EventId;

use super::diary::{Diary, Step};
use super::ledger::{Answer, Ledger, Mark, Post, PostKind};
use super::report::{FaultKind, Found, said};

/// The rules of a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether events may come late, after greater ids, because a link loses events without notice.
    pub(super) late: bool,
    /// Whether clients may be reset.
    pub(super) resets: bool,
    /// Whether another sequence may begin.
    pub(super) epochs: bool,
}

/// An event seen elsewhere than by clients, in history or as it was handed over.
pub(super) type Sight = (EventId, Mark);

/// Returns all faults in what the clients of a round have seen.
pub(super) fn judge(
    ledger: &Ledger,
    diaries: &[Diary],
    sights: &[Sight],
    rules: Rules,
) -> Vec<Found> {
    let mut judge = Judge {
        ledger,
        names: HashMap::new(),
        ids: HashMap::new(),
        ends: HashMap::new(),
        accused: HashSet::new(),
        found: Vec::new(),
    };
    judge.read_answers();
    let of_clients = diaries.iter().flat_map(|diary| &diary.steps);
    let of_clients = of_clients.filter_map(|step| match step {
        Step::Event(id, mark) => Some((*id, *mark)),
        _ => None,
    });
    let sights = sights.iter().map(|(id, mark)| (Some(*id), *mark));
    for (id, mark) in of_clients.chain(sights) {
        judge.sight(id, mark);
    }
    judge.check_ends();
    let mut found = judge.found;
    let published = ledger.published();
    for (client, diary) in diaries.iter().enumerate() {
        found.extend(walk::walk(ledger, &published, (client, diary), rules));
    }
    found
}

struct Judge<'a> {
    ledger: &'a Ledger,
    /// The event that each id names, by its post, and its attempt if that is known.
    names: HashMap<EventId, (usize, Option<usize>)>,
    /// The id of each post in each sequence.
    ids: HashMap<(usize, u64), EventId>,
    /// The end of each topic.
    ends: HashMap<(&'a str, u64), EventId>,
    /// The faults reported already.
    accused: HashSet<(FaultKind, Mark)>,
    found: Vec<Found>,
}

impl<'a> Judge<'a> {
    fn read_answers(&mut self) {
        let ledger = self.ledger;
        for (n, post) in ledger.posts.iter().enumerate() {
            for (attempt, answer) in post.attempts.iter().enumerate() {
                match answer {
                    Answer::Published(id) => {
                        let known = (post.kind != PostKind::Keyed).then_some(attempt);
                        self.name(*id, n, known);
                        self.end(*id, post);
                    }
                    Answer::Finished if !ledger.may_be_finished(&post.topic) => {
                        let topic = &post.topic;
                        let what = format!("{topic} was refused as finished, but never finished");
                        self.found.push((FaultKind::End, what));
                    }
                    Answer::Finished | Answer::NotPublished | Answer::Unknown => {}
                }
            }
        }
    }

    fn end(&mut self, id: EventId, post: &'a Post) {
        if post.ends() {
            let end = self.ends.entry((&post.topic, id.epoch())).or_insert(id);
            if end.is_after(id) == Some(true) {
                *end = id;
            }
        }
    }

    /// Records that an id names this post.
    fn name(&mut self, id: EventId, post: usize, attempt: Option<usize>) {
        let known = self.names.entry(id).or_insert((post, attempt));
        let is_other = matches!((known.1, attempt), (Some(known), Some(now)) if known != now);
        if known.0 != post || is_other {
            let what = format!("{id} names {known:?} and {:?}", (post, attempt));
            self.found.push((FaultKind::Id, what));
        }
        known.1 = known.1.or(attempt);
        let first = *self.ids.entry((post, id.epoch())).or_insert(id);
        if first != id {
            let kind = match self.ledger.posts[post].kind {
                PostKind::Keyed => FaultKind::Key,
                _ => FaultKind::Id,
            };
            let what = format!("{post} is published as {first} and as {id}");
            self.found.push((kind, what));
        }
    }

    /// Checks an event that was seen.
    fn sight(&mut self, id: Option<EventId>, mark: Mark) {
        if self.ledger.is_other(mark) {
            return;
        }
        let Some(post) = self.ledger.post(mark) else {
            let what = format!("{} has the text {}", said(id), mark.text());
            return self.found.push((FaultKind::Invented, what));
        };
        let answer = post.attempts[mark.attempt];
        let is_denied = matches!(answer, Answer::NotPublished | Answer::Finished);
        if is_denied && self.accused.insert((FaultKind::NotPublished, mark)) {
            let what = format!("{} in {}, seen as {}", mark.text(), post.topic, said(id));
            self.found.push((FaultKind::NotPublished, what));
        }
        if let Some(id) = id
            && self.names.get(&id) != Some(&(mark.post, Some(mark.attempt)))
        {
            self.name(id, mark.post, Some(mark.attempt));
        }
        if let Some(id) = id {
            self.end(id, post);
        }
    }

    /// Checks that no event is numbered after an end.
    fn check_ends(&mut self) {
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(id, _)| (id.epoch(), id.seq()));
        for (id, (post, _)) in names {
            let post = &self.ledger.posts[*post];
            let end = self.ends.get(&(&*post.topic, id.epoch()));
            if let Some(end) = end.filter(|end| id.is_after(**end) == Some(true)) {
                let what = format!("{id} in {}, which ends with {end}", post.topic);
                self.found.push((FaultKind::BehindEnd, what));
            }
        }
    }
}

/// A page of history, as far as the kit can read it.
pub(super) type Page = Vec<(EventId, Option<Mark>)>;

/// The history of a topic after a calm. It contains the newest events, and all events of this round, or `None` if those
/// are gone.
pub(super) struct Remembered<'a> {
    pub(super) topic: &'a str,
    pub(super) epoch: u64,
    /// How many events are kept.
    pub(super) kept: usize,
    pub(super) newest: Page,
    pub(super) all: Option<Page>,
}

/// Returns all faults in this history.
pub(super) fn judge_history(ledger: &Ledger, remembered: &Remembered<'_>) -> Vec<Found> {
    let Remembered {
        topic, epoch, kept, ..
    } = *remembered;
    let of_topic = ledger.published();
    let of_topic = of_topic
        .iter()
        .filter(|(id, n)| id.epoch() == epoch && &*ledger.posts[*n].topic == topic);
    let published: Vec<EventId> = of_topic.map(|(id, _)| *id).collect();
    let posts = ledger.posts.iter().filter(|post| &*post.topic == topic);
    let at_most: usize = posts.map(|post| post.attempts.len()).sum();
    let mut found = Vec::new();
    let mut fault = |what: String| found.push((FaultKind::History, format!("{topic}: {what}")));
    for page in [Some(&remembered.newest), remembered.all.as_ref()] {
        let Some(page) = page else { continue };
        let ids: HashSet<EventId> = page.iter().map(|(id, _)| *id).collect();
        if !page.is_sorted_by(|(a, _), (b, _)| b.is_after(*a) == Some(true)) {
            fault("it does not ascend".to_owned());
        }
        let first = page.first().map(|(id, _)| *id);
        let reaches = |id: &&EventId| first.is_none_or(|first| first.is_after(**id) != Some(true));
        for missing in published
            .iter()
            .filter(reaches)
            .filter(|id| !ids.contains(id))
        {
            fault(format!(
                "{missing} is missing, with {} events from {first:?} on",
                page.len()
            ));
        }
    }
    if remembered.newest.len() < kept.min(published.len()) {
        let (has, published) = (remembered.newest.len(), published.len());
        fault(format!(
            "it has {has} of {published} events, but keeps {kept}"
        ));
    }
    match &remembered.all {
        None if at_most <= kept => fault("events are gone, but all should be there".to_owned()),
        Some(all) if all.len() < published.len() => {
            let (has, published) = (all.len(), published.len());
            fault(format!(
                "it returns {has} of {published} events, and reports no more"
            ));
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests;
