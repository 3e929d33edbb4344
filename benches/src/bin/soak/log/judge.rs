//! The promises: every reader of a topic sees each event that returned `Ok`, an id names one text, a text has one id,
//! ids ascend, and no client is reset.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};

use helios::sse::EventId;

use crate::report::row;

/// One published text: the name of its publisher, and a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Text {
    pub(crate) publisher: u32,
    pub(crate) n: u32,
}

impl Display for Text {
    /// Pads texts to all sizes, so that rows of the store have all sizes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let padding = (self.n as usize).wrapping_mul(37) % 1_500;
        write!(f, "{}-{}-{}", self.publisher, self.n, "x".repeat(padding))
    }
}

impl Text {
    /// Returns `None` if the text is not one that was published.
    pub(crate) fn parse(said: &str) -> Option<Self> {
        let mut words = said.split('-');
        let text = Self {
            publisher: words.next()?.parse().ok()?,
            n: words.next()?.parse().ok()?,
        };
        (text.to_string() == said).then_some(text)
    }
}

/// The responses that one publisher got.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) ok: Vec<(usize, Text, EventId)>,
    /// Texts without a response. They may have been published or not.
    pub(crate) unknown: HashSet<Text>,
    /// How often the server was up and refused.
    pub(crate) refused: u64,
}

impl Answers {
    pub(crate) fn answered(&self) -> u64 {
        self.ok.len() as u64
    }

    pub(crate) fn unanswered(&self) -> u64 {
        self.unknown.len() as u64
    }

    /// Returns the number of the newest text in a topic.
    pub(crate) fn last_of(&self, topic: usize) -> Option<u64> {
        let of_topic = self.ok.iter().filter(|(of, ..)| *of == topic);
        of_topic.map(|(.., id)| id.seq()).max()
    }
}

/// The events that a reader received, over all of its connections.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) topics: Vec<usize>,
    pub(crate) events: Vec<(EventId, Text)>,
    pub(crate) connections: u64,
    pub(crate) resets: u64,
    /// How often nothing came for too long.
    pub(crate) hangs: u64,
    /// How many events are none of the texts.
    pub(crate) damaged: u64,
}

/// How often each of the promises was broken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) lost: u64,
    pub(crate) resets: u64,
    /// Ids that name another text elsewhere.
    pub(crate) renamed: u64,
    /// Texts that have another id elsewhere.
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
    /// Texts that nobody has published, or that are damaged.
    pub(crate) made_up: u64,
    pub(crate) refused: u64,
    pub(crate) hangs: u64,
}

impl Judgement {
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "lost", self.lost)?;
        row(f, "undue resets", self.resets)?;
        row(f, "ids of two texts", self.renamed)?;
        row(f, "texts of two ids", self.doubled)?;
        row(f, "out of order", self.out_of_order)?;
        row(f, "made up", self.made_up)?;
        row(f, "refused", self.refused)?;
        row(f, "hangs", self.hangs)
    }
}

pub(crate) fn judge(answers: &[Answers], readers: &[Seen]) -> Judgement {
    let mut names = Names::default();
    let mut found = Judgement::default();
    for all in answers {
        found.refused += all.refused;
        for (_, text, id) in &all.ok {
            names.note(*id, *text, &mut found);
        }
    }
    let unknown: HashSet<_> = answers.iter().flat_map(|all| &all.unknown).collect();
    let answered: HashSet<_> = names.ids.keys().copied().collect();
    for reader in readers {
        found.resets += reader.resets;
        found.hangs += reader.hangs;
        found.made_up += reader.damaged;
        let ascends = |two: &&[(EventId, Text)]| two[1].0.is_after(two[0].0) != Some(true);
        found.out_of_order += reader.events.windows(2).filter(ascends).count() as u64;
        let mut has = HashSet::with_capacity(reader.events.len());
        for (id, text) in &reader.events {
            names.note(*id, *text, &mut found);
            has.insert(*text);
            found.made_up += u64::from(!answered.contains(text) && !unknown.contains(text));
        }
        let its = answers.iter().flat_map(|all| &all.ok);
        let its = its.filter(|(topic, ..)| reader.topics.contains(topic));
        found.lost += its.filter(|(_, text, _)| !has.contains(text)).count() as u64;
    }
    found
}

/// The text of each id, and the id of each text.
#[derive(Default)]
struct Names {
    texts: HashMap<EventId, Text>,
    ids: HashMap<Text, EventId>,
}

impl Names {
    fn note(&mut self, id: EventId, text: Text, found: &mut Judgement) {
        match self.texts.entry(id) {
            Entry::Occupied(before) => found.renamed += u64::from(*before.get() != text),
            Entry::Vacant(place) => drop(place.insert(text)),
        }
        match self.ids.entry(text) {
            Entry::Occupied(before) => found.doubled += u64::from(*before.get() != id),
            Entry::Vacant(place) => drop(place.insert(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seq: u64) -> EventId {
        EventId::new(7, seq)
    }

    fn text(n: u32) -> Text {
        Text { publisher: 3, n }
    }

    /// Three responses in topic 0, one in topic 1, and one text without a response. Two readers of topic 0 have seen
    /// everything.
    fn flawless() -> (Vec<Answers>, Vec<Seen>) {
        let answers = Answers {
            ok: vec![
                (0, text(1), id(1)),
                (0, text(2), id(2)),
                (1, text(3), id(3)),
                (0, text(5), id(5)),
            ],
            unknown: HashSet::from([text(4)]),
            refused: 0,
        };
        let reader = || Seen {
            topics: vec![0],
            events: [1, 2, 4, 5].map(|n| (id(n.into()), text(n))).to_vec(),
            ..Seen::default()
        };
        (vec![answers], vec![reader(), reader()])
    }

    fn found(break_it: impl FnOnce(&mut Answers, &mut Seen)) -> Judgement {
        let (mut answers, mut readers) = flawless();
        break_it(&mut answers[0], &mut readers[1]);
        judge(&answers, &readers)
    }

    #[test]
    fn kept_promises_are_clean_and_unanswered_texts_may_be_missing() {
        assert!(found(|_, _| {}).is_clean());
        assert!(found(|_, reader| reader.events.retain(|(_, it)| *it != text(4))).is_clean());
    }

    #[test]
    fn each_promise_that_is_broken_is_found() {
        let one = Judgement::default;
        let lost = found(|_, reader| reader.events.truncate(3));
        assert_eq!(lost, Judgement { lost: 1, ..one() });
        let reset = found(|_, reader| reader.resets = 1);
        assert_eq!(reset, Judgement { resets: 1, ..one() });
        let renamed = found(|_, reader| reader.events[2].1 = text(9));
        assert_eq!((renamed.renamed, renamed.made_up), (1, 1));
        let doubled = found(|_, reader| reader.events.push((id(6), text(5))));
        assert_eq!(
            doubled,
            Judgement {
                doubled: 1,
                ..one()
            }
        );
        let again = found(|_, reader| reader.events.push((id(5), text(5))));
        let expected = Judgement {
            out_of_order: 1,
            ..one()
        };
        assert_eq!(again, expected);
        let swapped = found(|_, reader| reader.events.swap(0, 1));
        assert_eq!(swapped.out_of_order, 1);
        let other_epoch = found(|_, reader| reader.events[3].0 = EventId::new(8, 5));
        assert!(!other_epoch.is_clean());
        let refused = found(|answers, _| answers.refused = 1);
        assert_eq!(
            refused,
            Judgement {
                refused: 1,
                ..one()
            }
        );
        let hangs = found(|_, reader| reader.hangs = 1);
        assert_eq!(hangs, Judgement { hangs: 1, ..one() });
    }

    #[test]
    fn a_text_parses_as_it_was_written_unless_damaged() {
        let said = text(77).to_string();
        assert_eq!(Text::parse(&said), Some(text(77)));
        assert_eq!(Text::parse(&said[..said.len() - 1]), None);
    }
}
