//! The published events, with their outcomes as far as the publishers know.

use std::collections::HashMap;
use std::sync::Arc;

use helios_core::backplane::BackplaneErrorKind;
use helios_core::hub::EventId;
use helios_core::sse::SseError;

/// The outcome of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Published(EventId),
    NotPublished,
    /// Not published, because the topic is finished.
    Finished,
    Unknown,
}

impl Answer {
    pub(super) fn of(answer: &Result<EventId, SseError>) -> Self {
        match answer {
            Ok(id) => Self::Published(*id),
            Err(SseError::TopicFinished(_)) => Self::Finished,
            Err(SseError::Backplane(error)) if error.kind() == BackplaneErrorKind::Unknown => {
                Self::Unknown
            }
            Err(_) => Self::NotPublished,
        }
    }

    pub(super) fn id(self) -> Option<EventId> {
        match self {
            Self::Published(id) => Some(id),
            Self::NotPublished | Self::Finished | Self::Unknown => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostKind {
    Plain,
    /// Published several times with one key.
    Keyed,
    /// The end of its topic.
    End,
    /// The end of its topic, without an event.
    BareEnd,
}

/// An event that is to be published once, in one attempt or several.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) topic: Arc<str>,
    pub(super) kind: PostKind,
    /// Each is unknown until it is answered.
    pub(super) attempts: Vec<Answer>,
}

impl Post {
    pub(super) fn ends(&self) -> bool {
        matches!(self.kind, PostKind::End | PostKind::BareEnd)
    }

    /// Whether clients can see it.
    pub(super) fn is_visible(&self) -> bool {
        self.kind != PostKind::BareEnd
    }

    /// Returns the ids that it certainly has.
    pub(super) fn ids(&self) -> impl Iterator<Item = EventId> {
        self.attempts.iter().filter_map(|answer| answer.id())
    }

    /// Whether it was published, or may have been.
    pub(super) fn may_be_there(&self) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|answer| matches!(answer, Answer::Published(_) | Answer::Unknown))
    }
}

/// One attempt to publish. It is the text of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    /// The number of the run and round, to recognise events of another round.
    pub(super) round: u64,
    pub(super) post: usize,
    pub(super) attempt: usize,
}

impl Mark {
    pub(super) fn text(self) -> String {
        let Self {
            round,
            post,
            attempt,
        } = self;
        format!("{round}/{post}/{attempt}")
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let mark = Self {
            round: parts.next()?.parse().ok()?,
            post: parts.next()?.parse().ok()?,
            attempt: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(mark)
    }
}

/// The events published in a round.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) round: u64,
    pub(super) posts: Vec<Post>,
}

impl Ledger {
    pub(super) fn of_round(round: u64) -> Self {
        Self {
            round,
            posts: Vec::new(),
        }
    }

    /// Records that a new event is about to be published.
    pub(super) fn begin(&mut self, topic: &Arc<str>, kind: PostKind) -> Mark {
        self.posts.push(Post {
            topic: Arc::clone(topic),
            kind,
            attempts: vec![Answer::Unknown],
        });
        Mark {
            round: self.round,
            post: self.posts.len() - 1,
            attempt: 0,
        }
    }

    /// Records that the same event is published once more.
    pub(super) fn again(&mut self, mark: Mark) -> Mark {
        let Some(post) = self.posts.get_mut(mark.post) else {
            return mark;
        };
        post.attempts.push(Answer::Unknown);
        Mark {
            attempt: post.attempts.len() - 1,
            ..mark
        }
    }

    pub(super) fn note(&mut self, mark: Mark, answer: Answer) {
        let post = self.posts.get_mut(mark.post);
        if let Some(noted) = post.and_then(|post| post.attempts.get_mut(mark.attempt)) {
            *noted = answer;
        }
    }

    /// Returns the post of a mark, if it is of this round.
    pub(super) fn post(&self, mark: Mark) -> Option<&Post> {
        let post = self
            .posts
            .get(mark.post)
            .filter(|_| mark.round == self.round);
        post.filter(|post| mark.attempt < post.attempts.len())
    }

    pub(super) fn is_other(&self, mark: Mark) -> bool {
        mark.round != self.round
    }

    /// Returns everything that was certainly published, with each id once and the number of its post.
    pub(super) fn published(&self) -> Vec<(EventId, usize)> {
        let mut all: Vec<_> = self
            .posts
            .iter()
            .enumerate()
            .flat_map(|(n, post)| post.ids().map(move |id| (id, n)))
            .collect();
        all.sort_by_key(|(id, n)| (id.epoch(), id.seq(), *n));
        all.dedup();
        all
    }

    /// Returns the newest visible event of each topic in this sequence.
    pub(super) fn heads(&self, epoch: u64) -> HashMap<Arc<str>, u64> {
        let mut heads = HashMap::new();
        for (id, n) in self.published() {
            let post = &self.posts[n];
            if id.epoch() == epoch && post.is_visible() {
                // The ids ascend.
                heads.insert(Arc::clone(&post.topic), id.seq());
            }
        }
        heads
    }

    /// Whether the topic certainly has an end in this sequence.
    pub(super) fn is_finished(&self, topic: &str, epoch: u64) -> bool {
        let mut ends = self.posts.iter().filter(|post| post.ends());
        ends.any(|post| &*post.topic == topic && post.ids().any(|id| id.epoch() == epoch))
    }

    /// Whether the topic has an end, or may have one.
    pub(super) fn may_be_finished(&self, topic: &str) -> bool {
        let mut ends = self.posts.iter().filter(|post| post.ends());
        ends.any(|post| &*post.topic == topic && post.may_be_there())
    }
}
