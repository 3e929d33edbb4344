use std::sync::Arc;

use super::*;

/// A client sees everything in order, and is not reset.
const STRICT: Rules = Rules {
    late: false,
    resets: false,
    epochs: false,
};

fn id(seq: u64) -> EventId {
    EventId::new(1, seq)
}

fn mark(post: usize, attempt: usize) -> Mark {
    Mark {
        round: 7,
        post,
        attempt,
    }
}

/// Creates a ledger of posts, each with its topic, kind and answers.
fn ledger(posts: &[(&str, PostKind, &[Answer])]) -> Ledger {
    let mut ledger = Ledger::of_round(7);
    for (topic, kind, answers) in posts {
        ledger.posts.push(Post {
            topic: (*topic).into(),
            kind: *kind,
            attempts: answers.to_vec(),
        });
    }
    ledger
}

/// Creates a ledger of plain events of the topic `a`, with these ids.
fn plain(ids: &[u64]) -> Ledger {
    let answers: Vec<_> = ids
        .iter()
        .map(|seq| [Answer::Published(id(*seq))])
        .collect();
    let posts: Vec<_> = answers
        .iter()
        .map(|it| ("a", PostKind::Plain, &it[..]))
        .collect();
    ledger(&posts)
}

fn diary(steps: &[Step]) -> Diary {
    let topics: Vec<Arc<str>> = vec!["a".into(), "b".into()];
    let mut diary = Diary::new(topics);
    diary.steps.push(connected(0));
    diary.steps.extend_from_slice(steps);
    diary
}

fn kinds(ledger: &Ledger, steps: &[Step], rules: Rules) -> Vec<FaultKind> {
    let found = judge(ledger, &[diary(steps)], &[], rules);
    found.into_iter().map(|(kind, _)| kind).collect()
}

/// Connects to a node that has published nothing yet.
fn connected(node: usize) -> Step {
    Step::Connected(node, id(0))
}

fn ready(seq: u64) -> Step {
    Step::Ready(Some(id(seq)))
}

fn event(seq: u64, post: usize) -> Step {
    Step::Event(Some(id(seq)), mark(post, 0))
}

fn late(post: usize) -> Step {
    Step::Event(None, mark(post, 0))
}

fn reset(seq: u64, topics: &[&str]) -> Step {
    Step::Reset {
        id: Some(id(seq)),
        reason: "gap".to_owned(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
    }
}

const RESETS: Rules = Rules {
    resets: true,
    ..STRICT
};

#[test]
fn a_client_that_sees_everything_has_no_faults() {
    let ledger = plain(&[1, 2, 4]);
    assert_eq!(
        kinds(&ledger, &[ready(1), event(2, 1), event(4, 2)], STRICT),
        []
    );
    let again = [
        ready(0),
        event(1, 0),
        event(2, 1),
        connected(1),
        ready(2),
        event(4, 2),
    ];
    assert_eq!(kinds(&ledger, &again, STRICT), []);
}

#[test]
fn a_client_at_an_end_must_get_only_later_events() {
    let ledger = ledger(&[
        ("a", PostKind::End, &[Answer::Published(id(1))]),
        ("b", PostKind::Plain, &[Answer::Published(id(2))]),
        ("b", PostKind::Plain, &[Answer::Published(id(4))]),
    ]);
    let found = |joined: u64| {
        let mut diary = diary(&[ready(0), event(1, 0), event(4, 2)]);
        diary.steps[0] = Step::Connected(0, id(joined));
        let found = judge(&ledger, &[diary], &[], STRICT);
        found.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert_eq!(found(3), []);
    assert_eq!(found(1), [FaultKind::Missed]);
}

#[test]
fn missed_events_are_found_before_any_later_id() {
    let ledger = plain(&[1, 2, 4]);
    let missed = [FaultKind::Missed];
    assert_eq!(
        kinds(&ledger, &[ready(0), event(1, 0), event(4, 2)], STRICT),
        missed
    );
    // A position is an id, too.
    assert_eq!(kinds(&ledger, &[ready(1), ready(3)], STRICT), missed);
    // A client that was cut before a late event has missed it.
    let steps = [ready(0), event(1, 0), event(4, 2), late(1)];
    assert_eq!(kinds(&ledger, &steps, STRICT), missed);
    let lenient = Rules {
        late: true,
        ..STRICT
    };
    assert_eq!(kinds(&ledger, &steps, lenient), []);
    assert_eq!(kinds(&ledger, &steps[..3], lenient), missed);
    // An event that is not read yet is not missed.
    assert_eq!(kinds(&ledger, &[ready(0), event(1, 0)], STRICT), []);
}

#[test]
fn a_reset_covers_its_topics_up_to_the_next_position() {
    let ledger = plain(&[1, 2, 4, 5]);
    let told = [
        ready(0),
        event(1, 0),
        reset(1, &["a"]),
        event(4, 2),
        ready(4),
    ];
    assert_eq!(kinds(&ledger, &told, RESETS), []);
    assert_eq!(kinds(&ledger, &told, STRICT), [FaultKind::Reset]);
    let of_another = [
        ready(0),
        event(1, 0),
        reset(1, &["b"]),
        event(4, 2),
        ready(4),
    ];
    assert_eq!(kinds(&ledger, &of_another, RESETS), [FaultKind::Missed]);
    // The client was cut before the position, so the reset covers as much as it has read.
    let cut = [
        ready(1),
        reset(1, &["a"]),
        event(4, 2),
        connected(1),
        ready(4),
    ];
    assert_eq!(kinds(&ledger, &cut, RESETS), []);
    // The reset does not cover everything.
    let later = [ready(1), reset(1, &["a"]), ready(2), event(5, 3)];
    assert_eq!(kinds(&ledger, &later, RESETS), [FaultKind::Missed]);
    let later = [
        ready(1),
        reset(1, &["a"]),
        connected(1),
        ready(1),
        event(4, 2),
    ];
    assert_eq!(kinds(&ledger, &later, RESETS), [FaultKind::Missed]);
}

#[test]
fn ids_ascend_over_all_connections() {
    let ledger = plain(&[1, 2]);
    let back = [ready(0), event(1, 0), event(2, 1), connected(1), ready(1)];
    assert_eq!(kinds(&ledger, &back, STRICT), [FaultKind::Order]);
    let twice = [ready(0), event(1, 0), event(1, 0)];
    assert_eq!(
        kinds(&ledger, &twice, STRICT),
        [FaultKind::Invented, FaultKind::Order]
    );
}

#[test]
fn ids_and_texts_name_each_other_uniquely() {
    let ledger = plain(&[1, 2]);
    let other_text = [ready(0), event(1, 1)];
    assert!(kinds(&ledger, &other_text, STRICT).contains(&FaultKind::Id));
    let other_id = [ready(0), event(1, 0), event(2, 1), event(3, 0)];
    assert!(kinds(&ledger, &other_id, STRICT).contains(&FaultKind::Id));
    let answers = plain(&[1, 1]);
    assert_eq!(kinds(&answers, &[], STRICT), [FaultKind::Id]);
    // Also if no client has seen it.
    let found = judge(&ledger, &[], &[(id(9), mark(0, 0))], STRICT);
    assert_eq!(found[0].0, FaultKind::Id);
}

#[test]
fn unpublished_events_do_not_appear_but_unknown_ones_may() {
    let answers = [Answer::NotPublished, Answer::Unknown].map(|answer| [answer]);
    let [not, unknown] = answers.each_ref().map(|it| ("a", PostKind::Plain, &it[..]));
    let ledger = ledger(&[not, unknown]);
    assert_eq!(
        kinds(&ledger, &[ready(0), event(1, 0)], STRICT),
        [FaultKind::NotPublished]
    );
    assert_eq!(kinds(&ledger, &[ready(0), event(1, 1)], STRICT), []);
    assert_eq!(kinds(&ledger, &[ready(0)], STRICT), []);
    let nobodys = kinds(&ledger, &[ready(0), event(1, 2)], STRICT);
    assert_eq!(nobodys, [FaultKind::Invented]);
}

#[test]
fn a_key_has_one_id_and_one_text() {
    let same = [
        Answer::Unknown,
        Answer::Published(id(1)),
        Answer::Published(id(1)),
    ];
    let ledger_of = |answers: &[Answer]| ledger(&[("a", PostKind::Keyed, answers)]);
    let attempt = |seq, attempt| Step::Event(Some(id(seq)), mark(0, attempt));
    for first in [0, 1] {
        assert_eq!(
            kinds(&ledger_of(&same), &[ready(0), attempt(1, first)], STRICT),
            []
        );
    }
    let other = [Answer::Published(id(1)), Answer::Published(id(2))];
    let found = kinds(&ledger_of(&other), &[], STRICT);
    assert_eq!(found, [FaultKind::Key]);
    let both = [ready(0), attempt(1, 0), attempt(2, 1)];
    let found = kinds(&ledger_of(&[Answer::Unknown; 2]), &both, STRICT);
    assert_eq!(found, [FaultKind::Key]);
}

#[test]
fn no_event_follows_an_end_and_each_topic_needs_one() {
    let ended = |last| {
        ledger(&[
            ("a", PostKind::Plain, &[Answer::Published(id(1))]),
            ("a", PostKind::End, &[Answer::Published(id(3))]),
            ("b", PostKind::BareEnd, &[Answer::Unknown]),
            ("a", PostKind::Plain, &[last]),
        ])
    };
    let over = [ready(0), event(1, 0), event(3, 1), Step::End];
    assert_eq!(kinds(&ended(Answer::Finished), &over, STRICT), []);
    let late = ended(Answer::Published(id(4)));
    assert!(kinds(&late, &[], STRICT).contains(&FaultKind::BehindEnd));
    let early = [ready(0), event(1, 0), Step::End];
    assert_eq!(
        kinds(&ended(Answer::Finished), &early, STRICT),
        [FaultKind::Missed]
    );
    let open = plain(&[1]);
    assert_eq!(
        kinds(&open, &[ready(1), Step::End], STRICT),
        [FaultKind::End]
    );
    let refused = ledger(&[("a", PostKind::Plain, &[Answer::Finished])]);
    assert_eq!(kinds(&refused, &[], STRICT), [FaultKind::End]);
}

#[test]
fn another_sequence_is_reset_and_never_returns_on_a_node() {
    let rules = Rules {
        epochs: true,
        ..STRICT
    };
    let ledger = plain(&[1]);
    let other = |seq| Step::Ready(Some(EventId::new(2, seq)));
    let told = |epoch| Step::Reset {
        id: Some(EventId::new(epoch, if epoch == 1 { 1 } else { 5 })),
        reason: "epoch".to_owned(),
        topics: vec!["a".to_owned(), "*".to_owned()],
    };
    let well = [ready(1), told(1), other(5)];
    assert_eq!(kinds(&ledger, &well, rules), []);
    assert_eq!(kinds(&ledger, &well, STRICT), [FaultKind::Reset]);
    assert_eq!(
        kinds(&ledger, &[ready(1), other(5)], rules),
        [FaultKind::Epoch]
    );
    // Another sequence began twice, before a position was sent.
    let again = [ready(1), told(1), told(1), other(5)];
    assert_eq!(kinds(&ledger, &again, rules), []);
    // The client was ahead of this node, which has moved to its sequence meanwhile.
    let same = [ready(1), told(1), ready(0), event(1, 0)];
    assert_eq!(kinds(&ledger, &same, rules), []);
    // A connection is reset once for each sequence.
    let twice = [ready(1), told(1), other(5), told(2), other(6)];
    assert_eq!(kinds(&ledger, &twice, rules), [FaultKind::Epoch]);
    let goes_back = [ready(1), ready(0)];
    assert_eq!(kinds(&ledger, &goes_back, rules), [FaultKind::Order]);
    let back = |node| {
        let connected = [connected(node)];
        let back = [other(5), told(2), ready(1), told(1), other(5)];
        [&well[..], &connected, &back].concat()
    };
    // Another node may still be in the old sequence.
    assert_eq!(kinds(&ledger, &back(1), rules), []);
    assert_eq!(kinds(&ledger, &back(0), rules), [FaultKind::Epoch]);
}

#[test]
fn another_sequence_covers_everything_missed_before() {
    let rules = Rules {
        late: true,
        epochs: true,
        ..STRICT
    };
    let ledger = plain(&[7, 8]);
    let missed = [ready(6), event(8, 1)];
    assert_eq!(kinds(&ledger, &missed, rules), [FaultKind::Missed]);
    let told = Step::Reset {
        id: Some(id(8)),
        reason: "epoch".to_owned(),
        topics: vec!["a".to_owned()],
    };
    let ready = Step::Ready(Some(EventId::new(2, 5)));
    let told = [&missed[..], &[told, ready]].concat();
    assert_eq!(kinds(&ledger, &told, rules), []);
}

#[test]
fn another_sequence_takes_back_the_position_of_an_earlier_reset() {
    let rules = Rules {
        epochs: true,
        ..RESETS
    };
    let ledger = ledger(&[
        ("a", PostKind::Plain, &[Answer::Published(id(2))]),
        ("b", PostKind::Plain, &[Answer::Published(id(3))]),
    ]);
    let anew = Step::Reset {
        id: Some(id(3)),
        reason: "epoch".to_owned(),
        topics: vec!["a".to_owned(), "b".to_owned(), "*".to_owned()],
    };
    let position = Step::Ready(Some(EventId::new(2, 5)));
    let told = [ready(1), reset(1, &["a"]), event(3, 1), anew, position];
    assert_eq!(kinds(&ledger, &told, rules), []);
}

#[test]
fn an_event_of_another_topic_is_a_fault() {
    let answers = [Answer::Published(id(1))];
    let ledger = ledger(&[
        ("c", PostKind::Plain, &answers),
        ("*", PostKind::Plain, &[]),
    ]);
    assert_eq!(
        kinds(&ledger, &[ready(0), event(1, 0)], STRICT),
        [FaultKind::Invented]
    );
}

#[test]
fn history_contains_what_was_published_within_its_limits() {
    let ledger = plain(&[1, 2, 3]);
    let page = |ids: &[u64]| -> Page { ids.iter().map(|seq| (id(*seq), None)).collect() };
    let faults = |kept, newest: &[u64], all: Option<&[u64]>| {
        let remembered = Remembered {
            topic: "a",
            epoch: 1,
            kept,
            newest: page(newest),
            all: all.map(page),
        };
        judge_history(&ledger, &remembered).len()
    };
    assert_eq!(faults(9, &[1, 2, 3], Some(&[1, 2, 3])), 0);
    // An event that may have been published is no fault.
    assert_eq!(faults(9, &[1, 2, 3, 4], Some(&[1, 2, 3, 4])), 0);
    assert_eq!(faults(2, &[2, 3], None), 0);
    assert_ne!(faults(9, &[2, 3], Some(&[1, 2, 3])), 0);
    assert_ne!(faults(9, &[1, 2, 3], Some(&[2, 3])), 0);
    assert_ne!(faults(9, &[1, 2, 3], Some(&[1, 3])), 0);
    assert_ne!(faults(9, &[1, 2, 3], None), 0);
    assert_ne!(faults(9, &[1, 3, 2], Some(&[1, 2, 3])), 0);
    assert_ne!(faults(9, &[], Some(&[])), 0);
}
