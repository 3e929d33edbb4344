//! Calls of a handle, and resets, that wait until the stream is live.

use std::mem;

use helios_core::event::SseEvent;
use helios_core::hub::{BacklogLimits, Replay};
use helios_core::sse::{SseError, SseReset};

/// The origin of an event. Closure interceptors map only the events that the route itself sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Own,
    ById,
}

/// The most topics to remember while the app's limit is unknown.
const MAX_WANTED: usize = 100;

/// Most streams defer nothing, so this is no larger than a pointer.
#[derive(Default)]
pub(crate) struct Deferred(Option<Box<Kept>>);

#[derive(Default)]
struct Kept {
    /// Events that were sent. They are encoded once the app's options are known.
    events: Vec<(SseEvent, Origin)>,
    /// The size of all these events.
    bytes: usize,
    /// Topics to join once the hub is known.
    wanted: Vec<(String, Replay)>,
    /// Resets to send when the reader starts.
    resets: Vec<SseReset>,
}

impl Deferred {
    fn kept(&mut self) -> &mut Kept {
        self.0.get_or_insert_default()
    }

    fn take<T: Default>(&mut self, of: impl FnOnce(&mut Kept) -> &mut T) -> T {
        let kept = self.0.as_deref_mut();
        kept.map(|kept| mem::take(of(kept))).unwrap_or_default()
    }

    pub(crate) fn push(
        &mut self,
        event: SseEvent,
        origin: Origin,
        size: usize,
    ) -> Result<(), SseError> {
        let limits = BacklogLimits::default();
        let kept = self.kept();
        if kept.events.len() >= limits.events || kept.bytes + size > limits.bytes {
            return Err(SseError::Full);
        }
        kept.bytes += size;
        kept.events.push((event, origin));
        Ok(())
    }

    pub(crate) fn has_events(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| !kept.events.is_empty())
    }

    pub(crate) fn take_events(&mut self) -> Vec<(SseEvent, Origin)> {
        self.take(|kept| &mut kept.events)
    }

    /// Remembers the topic until the hub is known.
    pub(crate) fn want(&mut self, topic: &str, replay: Replay) -> Result<(), SseError> {
        let wanted = &mut self.kept().wanted;
        if wanted.iter().any(|(wanted, _)| wanted == topic) {
            return Ok(());
        }
        if wanted.len() >= MAX_WANTED {
            return Err(SseError::TooManyJoined { limit: MAX_WANTED });
        }
        wanted.push((topic.to_owned(), replay));
        Ok(())
    }

    pub(crate) fn leave(&mut self, topic: &str) {
        if let Some(kept) = &mut self.0 {
            kept.wanted.retain(|(wanted, _)| wanted != topic);
        }
    }

    pub(crate) fn wanted(&self) -> impl Iterator<Item = &str> {
        let kept = self.0.iter();
        kept.flat_map(|kept| kept.wanted.iter().map(|(topic, _)| topic.as_str()))
    }

    pub(crate) fn take_wanted(&mut self) -> Vec<(String, Replay)> {
        self.take(|kept| &mut kept.wanted)
    }

    pub(crate) fn reset(&mut self, reset: SseReset) {
        self.kept().resets.push(reset);
    }

    pub(crate) fn take_resets(&mut self) -> Vec<SseReset> {
        self.take(|kept| &mut kept.resets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(deferred: &mut Deferred, size: usize) -> Result<(), SseError> {
        deferred.push(SseEvent::text("x"), Origin::Own, size)
    }

    #[test]
    fn nothing_takes_no_room() {
        let mut deferred = Deferred::default();
        assert_eq!(size_of_val(&deferred), size_of::<usize>());
        deferred.leave("a");
        assert!(!deferred.has_events());
        assert!(deferred.take_events().is_empty());
        assert!(deferred.take_wanted().is_empty());
        assert!(deferred.take_resets().is_empty());
        assert_eq!(deferred.wanted().next(), None);
        assert!(deferred.0.is_none());
    }

    #[test]
    fn events_are_bounded_by_number_and_by_bytes() {
        let limits = BacklogLimits::default();
        let mut many = Deferred::default();
        for _ in 0..limits.events {
            push(&mut many, 1).unwrap();
        }
        assert!(matches!(push(&mut many, 1), Err(SseError::Full)));
        assert_eq!(many.take_events().len(), limits.events);
        assert!(!many.has_events());
        let mut large = Deferred::default();
        push(&mut large, limits.bytes).unwrap();
        assert!(matches!(push(&mut large, 1), Err(SseError::Full)));
    }

    #[test]
    fn topics_are_wanted_once_until_left_up_to_a_limit() {
        let mut deferred = Deferred::default();
        for topic in ["a", "b", "a"] {
            deferred.want(topic, Replay::Live).unwrap();
        }
        deferred.leave("a");
        assert!(deferred.wanted().eq(["b"]));
        for n in 1..MAX_WANTED {
            deferred.want(&n.to_string(), Replay::Live).unwrap();
        }
        let refused = deferred.want("c", Replay::Live);
        assert!(matches!(
            refused,
            Err(SseError::TooManyJoined { limit: MAX_WANTED })
        ));
        assert_eq!(deferred.take_wanted().len(), MAX_WANTED);
        assert_eq!(deferred.wanted().next(), None);
    }
}
