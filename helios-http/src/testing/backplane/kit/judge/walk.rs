//! Follows one client through the published events.

use std::collections::{HashMap, HashSet, VecDeque};

use helios_core::hub::EventId;
use helios_core::sse::ResetReason;

use super::super::diary::{Diary, Step};
use super::super::ledger::{Ledger, Mark, Post};
use super::super::report::{FaultKind, Found, said};
use super::Rules;

/// The end of the events that a reset covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpTo {
    Id(EventId),
    /// Everything, because the topic has ended.
    All,
    /// Nothing, because nothing was read after the reset.
    Nothing,
}

/// How many steps of a client before and after a fault are shown with it.
const SHOWN: usize = 5;

/// The position of a client in its diary.
struct Walk<'a> {
    ledger: &'a Ledger,
    published: &'a [(EventId, usize)],
    client: usize,
    diary: &'a Diary,
    rules: Rules,
    node: usize,
    /// The head of its node after it had joined its topics there.
    head: Option<EventId>,
    /// The number of steps that are read.
    step: usize,
    /// The client has everything up to here, or was reset.
    at: Option<EventId>,
    /// The events after that which it must get, in this sequence.
    owed: Vec<(u64, usize)>,
    next: usize,
    /// How far resets cover missing events, by topic and sequence.
    told: HashMap<(&'a str, u64), u64>,
    seen: HashSet<usize>,
    seen_here: HashSet<Mark>,
    /// Whether a reset has announced another sequence.
    is_anew: bool,
    /// The sequences that it has seen on each node.
    epochs: HashMap<usize, Vec<u64>>,
    /// The sequences in which it has begun on this connection.
    begun_here: HashSet<u64>,
    /// Events that it had not seen before it got a later id, if events may come late.
    missing: Vec<(EventId, usize)>,
    found: Vec<Found>,
}

/// Returns all faults in what this client has seen.
pub(super) fn walk<'a>(
    ledger: &'a Ledger,
    published: &'a [(EventId, usize)],
    (client, diary): (usize, &'a Diary),
    rules: Rules,
) -> Vec<Found> {
    let mut walk = Walk {
        ledger,
        published,
        client,
        diary,
        rules,
        node: 0,
        head: None,
        step: 0,
        at: None,
        owed: Vec::new(),
        next: 0,
        told: HashMap::new(),
        seen: HashSet::new(),
        seen_here: HashSet::new(),
        is_anew: false,
        epochs: HashMap::new(),
        begun_here: HashSet::new(),
        missing: Vec::new(),
        found: Vec::new(),
    };
    let told = told_up_to(&diary.steps);
    for (n, step) in diary.steps.iter().enumerate() {
        walk.step = n + 1;
        walk.take(step, told.get(&n).copied());
    }
    for (id, post) in std::mem::take(&mut walk.missing) {
        if !walk.has(id, post) {
            walk.miss(id.seq(), post, "the end of the round");
        }
    }
    walk.found
}

/// Whether this is the reason of a reset for another sequence.
fn is_anew(reason: &str) -> bool {
    reason == ResetReason::Epoch.as_str()
}

/// Returns how far each reset covers missing events. That is up to the position that follows it. If the connection, or
/// the sequence, ends before that, the reset covers as much as was read.
fn told_up_to(steps: &[Step]) -> HashMap<usize, UpTo> {
    let mut told = HashMap::new();
    let mut waiting = VecDeque::<usize>::new();
    let mut last = None;
    let nowhere = |last: Option<EventId>| last.map_or(UpTo::Nothing, UpTo::Id);
    for (n, step) in steps.iter().enumerate() {
        let takes_back = match step {
            Step::Connected(..) => true,
            Step::Reset { reason, .. } => is_anew(reason),
            _ => false,
        };
        if takes_back {
            told.extend(waiting.drain(..).map(|reset| (reset, nowhere(last))));
        }
        match step {
            Step::Ready(id) => {
                last = id.or(last);
                if let Some(reset) = waiting.pop_front() {
                    told.insert(reset, nowhere(last));
                }
            }
            Step::Reset { id, .. } => {
                last = id.or(last);
                waiting.push_back(n);
            }
            Step::Event(id, _) => last = id.or(last),
            Step::End => told.extend(waiting.drain(..).map(|reset| (reset, UpTo::All))),
            Step::Connected(..) | Step::Unknown(_) => {}
        }
    }
    told.extend(waiting.into_iter().map(|reset| (reset, nowhere(last))));
    told
}

impl<'a> Walk<'a> {
    fn fault(&mut self, kind: FaultKind, what: &str) {
        let (client, node, at) = (self.client, self.node, said(self.at));
        let topics = self.diary.topics.join(" and ");
        let (before, behind) = self.diary.steps.split_at(self.step);
        let before = &before[before.len().saturating_sub(SHOWN)..];
        let behind = &behind[..behind.len().min(SHOWN)];
        let told = |steps: &[Step]| {
            steps
                .iter()
                .map(|step| format!("; {step}"))
                .collect::<String>()
        };
        let (before, behind) = (told(before), told(behind));
        let what = format!(
            "client {client} of {topics}, on node {node} at {at}: {what}{before}; then{behind}"
        );
        self.found.push((kind, what));
    }

    fn take(&mut self, step: &'a Step, told: Option<UpTo>) {
        match step {
            Step::Connected(node, head) => {
                (self.node, self.head) = (*node, Some(*head));
                self.seen_here.clear();
                self.begun_here.clear();
                self.is_anew = false;
            }
            Step::Ready(id) => self.reach(*id),
            Step::Reset { id, reason, topics } => self.reset(*id, is_anew(reason), topics, told),
            Step::Event(id, mark) => self.event(*id, *mark),
            Step::End => self.end(),
            Step::Unknown(what) => self.fault(FaultKind::Invented, what),
        }
    }

    fn reset(
        &mut self,
        id: Option<EventId>,
        is_epoch: bool,
        topics: &'a [String],
        told: Option<UpTo>,
    ) {
        let is_allowed = match is_epoch {
            true => self.rules.epochs,
            false => self.rules.resets,
        };
        if !is_allowed {
            self.fault(FaultKind::Reset, &format!("reset of {topics:?}"));
        }
        let upto = match told {
            Some(UpTo::Id(id)) => Some((id.epoch(), id.seq())),
            Some(UpTo::All) => self.at.map(|at| (at.epoch(), u64::MAX)),
            Some(UpTo::Nothing) | None => None,
        };
        if let Some((epoch, upto)) = upto {
            for topic in topics {
                let told = self.told.entry((topic, epoch)).or_default();
                *told = upto.max(*told);
            }
        }
        // A reset has the id that the client has, or a fresh client's first one.
        if id != self.at {
            self.reach(id);
        }
        if is_epoch {
            // Nothing of the previous sequences comes any more, and the reset covers that.
            let posts = &self.ledger.posts;
            let is_of = |post: usize| topics.iter().any(|topic| **topic == *posts[post].topic);
            self.missing.retain(|(_, post)| !is_of(*post));
            self.is_anew = true;
        }
    }

    fn event(&mut self, id: Option<EventId>, mark: Mark) {
        if self.ledger.is_other(mark) {
            return;
        }
        if !self.seen_here.insert(mark) {
            self.fault(FaultKind::Invented, &format!("{} comes twice", mark.text()));
        }
        let Some(post) = self.ledger.post(mark) else {
            return;
        };
        let topic = &*post.topic;
        if topic != "*" && self.diary.topics.iter().all(|joined| &**joined != topic) {
            let what = format!("{} is of {topic}", mark.text());
            self.fault(FaultKind::Invented, &what);
        }
        self.seen.insert(mark.post);
        if id.is_some() && id == self.at && !self.is_anew {
            self.fault(
                FaultKind::Order,
                &format!("{} has the same id", mark.text()),
            );
        }
        self.reach(id);
        if let Some(id) = id {
            self.note_epoch(id);
        }
    }

    /// Records that the client has everything up to here.
    fn reach(&mut self, id: Option<EventId>) {
        let Some(id) = id else { return };
        match self.at.map(|at| (at, id.is_after(at))) {
            None => self.begin_fresh(id),
            // This also holds in the same sequence, if the client came from a node that had moved to it earlier than
            // this one.
            Some(_) if self.is_anew => {
                self.begin(id);
                self.note_epoch(id);
                if !self.begun_here.insert(id.epoch()) {
                    let what = format!("{id}: it was reset for this sequence before");
                    self.fault(FaultKind::Epoch, &what);
                }
            }
            Some((_, None)) => {
                self.fault(FaultKind::Epoch, &format!("{id} comes without a reset"));
                self.begin(id);
                self.note_epoch(id);
            }
            Some((at, Some(false))) if at != id => {
                self.fault(FaultKind::Order, &format!("{id} comes next"));
            }
            Some((_, Some(_))) => {
                self.pass(id.seq(), &id.to_string());
                self.at = Some(id);
            }
        }
    }

    /// Checks that a node moves to another sequence and never back. A node that is behind others may still be in an old
    /// one.
    fn note_epoch(&mut self, id: EventId) {
        let seen = self.epochs.entry(self.node).or_default();
        if seen.last() == Some(&id.epoch()) {
            return;
        }
        let comes_back = seen.contains(&id.epoch());
        seen.push(id.epoch());
        if comes_back {
            self.fault(FaultKind::Epoch, &format!("{id} comes back on this node"));
        }
    }

    /// Begins a client that has sent no id. From a finished topic it gets the last event, however old that is, and its
    /// position is before that event. It need not get events of other topics between that position and its join.
    fn begin_fresh(&mut self, id: EventId) {
        self.begin(id);
        let mut steps = self.diary.steps[self.step..].iter();
        let first = steps.find_map(|step| match step {
            Step::Event(Some(first), mark) => Some((*first, *mark)),
            _ => None,
        });
        let begins_at_end = first.is_some_and(|(first, mark)| {
            let is_end = self.ledger.post(mark).is_some_and(Post::ends);
            is_end && first == EventId::new(id.epoch(), id.seq() + 1)
        });
        if begins_at_end {
            let head = self.head.filter(|head| head.epoch() == id.epoch());
            let head = head.map_or(u64::MAX, EventId::seq);
            let posts = &self.ledger.posts;
            self.owed
                .retain(|(seq, post)| *seq > head || posts[*post].ends());
        }
    }

    /// Begins after this id, and collects the events that the client must get.
    fn begin(&mut self, id: EventId) {
        self.is_anew = false;
        self.at = Some(id);
        let is_owed = |(of, n): &&(EventId, usize)| {
            let post = &self.ledger.posts[*n];
            let is_in = |joined: &&str| *joined == &*post.topic;
            let mut topics = self.diary.topics.iter().map(|topic| &**topic).chain(["*"]);
            of.is_after(id) == Some(true) && post.is_visible() && topics.any(|topic| is_in(&topic))
        };
        let owed = self.published.iter().filter(is_owed);
        self.owed = owed.map(|(of, n)| (of.seq(), *n)).collect();
        self.next = 0;
    }

    /// Whether the client has seen this event, or a reset covers it.
    fn has(&self, id: EventId, post: usize) -> bool {
        let topic = &*self.ledger.posts[post].topic;
        let told = self.told.get(&(topic, id.epoch()));
        self.seen.contains(&post) || told.is_some_and(|told| id.seq() <= *told)
    }

    /// Returns an id of the current sequence.
    fn id_of(&self, seq: u64) -> EventId {
        EventId::new(self.at.map_or(0, EventId::epoch), seq)
    }

    /// Checks that the client has everything up to this number.
    fn pass(&mut self, upto: u64, before: &str) {
        while let Some((seq, post)) = self.owed.get(self.next).copied()
            && seq <= upto
        {
            self.next += 1;
            let id = self.id_of(seq);
            match self.has(id, post) {
                true => {}
                false if self.rules.late => self.missing.push((id, post)),
                false => self.miss(seq, post, before),
            }
        }
    }

    fn miss(&mut self, seq: u64, post: usize, before: &str) {
        let topic = &self.ledger.posts[post].topic;
        let what = format!("number {seq} of {topic}, post {post}, is not seen before {before}");
        self.fault(FaultKind::Missed, &what);
    }

    fn end(&mut self) {
        let topics = &self.diary.topics;
        let ends = |topic: &str| self.ledger.may_be_finished(topic);
        if let Some(open) = topics.iter().find(|topic| !ends(topic)) {
            self.fault(FaultKind::End, &format!("it ends, but {open} does not"));
        }
        // A broadcast may have come after that.
        for (seq, post) in self.owed.split_off(self.next) {
            let is_of_topic = &*self.ledger.posts[post].topic != "*";
            if is_of_topic && !self.has(self.id_of(seq), post) {
                self.miss(seq, post, "the end");
            }
        }
    }
}
