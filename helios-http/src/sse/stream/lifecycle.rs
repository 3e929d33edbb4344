//! The lifecycle of a stream, with its stages and the reasons that may end it. It uses no lock and no clock, and leaves
//! the effects of a step to the caller. Endings are passed by reference, because an application's error should not be
//! dropped under the caller's lock.

use std::mem;
use std::time::Duration;

use bytes::Bytes;
use helios_core::sse::{CloseReason, SseError};

/// Runs when the stream has ended.
pub(crate) type CloseCallback = Box<dyn FnOnce(CloseReason) + Send>;

/// How a stream ends.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) reason: CloseReason,
    pub(crate) event: EndEvent,
}

impl Ending {
    /// The source has ended, and nothing more will come.
    pub(crate) const COMPLETED: Self = Self {
        reason: CloseReason::Completed,
        event: EndEvent::End,
    };
}

/// The event that reports the end to the client.
#[derive(Clone, Debug)]
pub(crate) enum EndEvent {
    End,
    Reconnect(Duration),
    Error(SseError),
    /// An event that a filter of the app has chosen.
    Event(Bytes),
    /// No event. The body breaks off instead of ending.
    BreakOff,
}

pub(crate) struct StreamLifecycle {
    stage: Stage,
    /// Boxed, because few streams ever have one.
    announced: Option<Box<Announced>>,
    /// Whether the app watches for an end before it is decided.
    is_watched: bool,
    callbacks: Vec<CloseCallback>,
}

/// An end that is not decided yet.
struct Announced {
    ending: Ending,
    /// The latest time at which it is decided.
    until: Duration,
    /// Whether the stream may come to its own end before that.
    may_finish: bool,
}

enum Stage {
    /// Not attached yet, or not accepted by the hooks. An end is kept until the stream is live.
    Detached(Option<Ending>),
    Live,
    /// The source has failed, and the error hooks run. Only the error ends the stream.
    Failing,
    /// The end is decided. Earlier events are still written, and then the end event.
    Closing(CloseReason),
    Finished(CloseReason),
}

/// The result of deciding an end.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Another end counts.
    Refused,
    /// The end is decided, and is sent once the stream is live.
    Kept,
    /// The end is decided, and is to be sent to the client now.
    Closes(Ending),
}

/// The work left for a stream that has ended.
pub(crate) struct Finish {
    pub(crate) reason: CloseReason,
    pub(crate) was_live: bool,
    pub(crate) callbacks: Vec<CloseCallback>,
}

impl StreamLifecycle {
    pub(crate) fn detached() -> Self {
        Self {
            stage: Stage::Detached(None),
            announced: None,
            is_watched: false,
            callbacks: Vec::new(),
        }
    }

    /// Makes the stream live. Returns an end that was decided before, which has to be decided again.
    pub(crate) fn go_live(&mut self) -> Option<Ending> {
        match mem::replace(&mut self.stage, Stage::Live) {
            Stage::Detached(ending) => ending,
            _ => None,
        }
    }

    /// Marks the source as failed. An end that is already decided stays.
    pub(crate) fn fail(&mut self) {
        if matches!(self.stage, Stage::Live) {
            self.stage = Stage::Failing;
        }
    }

    /// Announces an end to the code that watches for it, to be decided at `until` at the latest. Returns false if the
    /// app does not watch. The end is then to be decided at once. The first announced end counts, except that a time to
    /// finish gives way to another end.
    pub(crate) fn announce(&mut self, ending: &Ending, until: Duration) -> bool {
        if self.is_watched {
            self.announce_as(ending, until, false);
        }
        let announced = self.announced.as_ref();
        announced.is_some_and(|end| !end.may_finish)
    }

    /// Announces an end for `until`, unless the stream comes to its own end before that.
    pub(crate) fn let_finish(&mut self, ending: &Ending, until: Duration) {
        self.announce_as(ending, until, true);
    }

    fn announce_as(&mut self, ending: &Ending, until: Duration, may_finish: bool) {
        let counts = |before: &Announced| !before.may_finish || may_finish;
        if !self.announced.as_deref().is_some_and(counts) && self.is_open() {
            let ending = ending.clone();
            self.announced = Some(Box::new(Announced {
                ending,
                until,
                may_finish,
            }));
        }
    }

    /// Returns the announced end if it is due.
    pub(crate) fn overdue(&self, now: Duration) -> Option<Ending> {
        let overdue = self.announced.as_ref().filter(|end| end.until <= now);
        overdue.map(|end| end.ending.clone())
    }

    /// Decides the end. The first one counts.
    pub(crate) fn decide(&mut self, ending: &Ending) -> Decision {
        match &mut self.stage {
            Stage::Detached(kept @ None) => {
                *kept = Some(ending.clone());
                Decision::Kept
            }
            Stage::Live => self.close(ending),
            Stage::Failing if ending.reason == CloseReason::Error => self.close(ending),
            _ => Decision::Refused,
        }
    }

    fn close(&mut self, ending: &Ending) -> Decision {
        // A source that had a moment for a last event has not finished the stream with it.
        let ending = match (self.announced.take(), ending.reason) {
            (Some(announced), CloseReason::Completed) if !announced.may_finish => announced.ending,
            _ => ending.clone(),
        };
        self.stage = Stage::Closing(ending.reason);
        Decision::Closes(ending)
    }

    /// Ends the stream. `reason` counts if no end was decided before. Returns `None` if it had ended already.
    pub(crate) fn finish(&mut self, reason: CloseReason) -> Option<Finish> {
        if self.finished_reason().is_some() {
            return None;
        }
        let was_live = self.is_live();
        let reason = self.closed_reason().unwrap_or(reason);
        self.stage = Stage::Finished(reason);
        Some(Finish {
            reason,
            was_live,
            callbacks: mem::take(&mut self.callbacks),
        })
    }

    /// Keeps a callback until the stream has ended. If it has ended already, returns the callback with the reason.
    pub(crate) fn on_close(
        &mut self,
        callback: CloseCallback,
    ) -> Option<(CloseCallback, CloseReason)> {
        match self.stage {
            Stage::Finished(reason) => Some((callback, reason)),
            _ => {
                self.callbacks.push(callback);
                None
            }
        }
    }

    pub(crate) fn is_detached(&self) -> bool {
        matches!(self.stage, Stage::Detached(_))
    }

    /// Whether the stream is live, which it is until its last byte is taken.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Failing | Stage::Closing(_))
    }

    /// Whether the stream is live and still accepts events.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Failing)
    }

    /// Whether nothing ends the stream yet, so that it may be found too slow. After that it keeps the time for its last
    /// events.
    pub(crate) fn is_well(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing(_))
    }

    /// Returns the reason once the end is announced or decided. Until then, notes that the app watches for it.
    pub(crate) fn watch(&mut self) -> Option<CloseReason> {
        self.is_watched = true;
        let announced = self.announced.as_ref().map(|end| end.ending.reason);
        announced.or_else(|| self.closed_reason())
    }

    /// Returns the reason once the end is decided, so that no more can be sent.
    pub(crate) fn closed_reason(&self) -> Option<CloseReason> {
        match &self.stage {
            Stage::Detached(ending) => ending.as_ref().map(|ending| ending.reason),
            Stage::Live | Stage::Failing => None,
            Stage::Closing(reason) | Stage::Finished(reason) => Some(*reason),
        }
    }

    /// Returns the reason once the stream has ended.
    pub(crate) fn finished_reason(&self) -> Option<CloseReason> {
        match self.stage {
            Stage::Finished(reason) => Some(reason),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use CloseReason::{
        ClientDisconnected, Completed, Error, MaxAge, Rejected, ServerClosed, Shutdown, SlowClient,
    };

    use super::*;

    const LATER: Duration = Duration::from_secs(1);

    fn ending(reason: CloseReason) -> Ending {
        Ending {
            reason,
            event: EndEvent::End,
        }
    }

    fn live() -> StreamLifecycle {
        let mut lifecycle = StreamLifecycle::detached();
        assert!(lifecycle.go_live().is_none());
        lifecycle
    }

    fn announced(reason: CloseReason) -> StreamLifecycle {
        let mut lifecycle = live();
        assert_eq!(lifecycle.watch(), None);
        assert!(lifecycle.announce(&ending(reason), LATER));
        lifecycle
    }

    /// Returns the reason that the client is to get.
    fn told(decision: Decision) -> Option<CloseReason> {
        match decision {
            Decision::Closes(ending) => Some(ending.reason),
            Decision::Kept | Decision::Refused => None,
        }
    }

    fn is_refused(lifecycle: &mut StreamLifecycle, reason: CloseReason) -> bool {
        matches!(lifecycle.decide(&ending(reason)), Decision::Refused)
    }

    fn finish(lifecycle: &mut StreamLifecycle, reason: CloseReason) -> Option<(CloseReason, bool)> {
        let finished = lifecycle.finish(reason)?;
        Some((finished.reason, finished.was_live))
    }

    #[test]
    fn a_stream_is_detached_then_live_then_closing_then_finished() {
        let mut lifecycle = StreamLifecycle::detached();
        assert!(lifecycle.is_detached() && !lifecycle.is_live());
        assert!(lifecycle.go_live().is_none());
        assert!(lifecycle.is_live() && lifecycle.is_open() && lifecycle.is_well());
        assert_eq!(lifecycle.closed_reason(), None);
        assert_eq!(told(lifecycle.decide(&ending(Completed))), Some(Completed));
        assert!(lifecycle.is_live() && lifecycle.is_closing() && !lifecycle.is_open());
        assert_eq!(lifecycle.closed_reason(), Some(Completed));
        assert_eq!(lifecycle.finished_reason(), None);
        assert_eq!(finish(&mut lifecycle, SlowClient), Some((Completed, true)));
        assert!(!lifecycle.is_live() && !lifecycle.is_detached());
        assert_eq!(lifecycle.finished_reason(), Some(Completed));
    }

    #[test]
    fn the_first_end_counts_even_after_a_failure() {
        let mut lifecycle = live();
        let decision = lifecycle.decide(&ending(ServerClosed));
        assert_eq!(told(decision), Some(ServerClosed));
        lifecycle.fail();
        assert!(is_refused(&mut lifecycle, Error));
        assert_eq!(lifecycle.closed_reason(), Some(ServerClosed));
    }

    #[test]
    fn an_end_before_it_is_live_is_kept_until_then() {
        let mut lifecycle = StreamLifecycle::detached();
        let decision = lifecycle.decide(&ending(ServerClosed));
        assert!(matches!(decision, Decision::Kept));
        assert!(is_refused(&mut lifecycle, Rejected));
        assert_eq!(lifecycle.closed_reason(), Some(ServerClosed));
        let kept = lifecycle.go_live().unwrap();
        assert_eq!(told(lifecycle.decide(&kept)), Some(ServerClosed));
    }

    #[test]
    fn a_stream_that_was_never_live_keeps_its_ending() {
        let mut dropped = StreamLifecycle::detached();
        assert_eq!(finish(&mut dropped, Rejected), Some((Rejected, false)));
        let mut closed = StreamLifecycle::detached();
        assert_eq!(told(closed.decide(&ending(ServerClosed))), None);
        assert_eq!(finish(&mut closed, Rejected), Some((ServerClosed, false)));
    }

    #[test]
    fn it_is_finished_once_and_not_ended_any_more() {
        let mut lifecycle = live();
        let finished = finish(&mut lifecycle, ClientDisconnected);
        assert_eq!(finished, Some((ClientDisconnected, true)));
        assert_eq!(finish(&mut lifecycle, Error), None);
        assert!(is_refused(&mut lifecycle, Error));
        assert_eq!(lifecycle.finished_reason(), Some(ClientDisconnected));
    }

    #[test]
    fn only_its_error_ends_a_failed_stream() {
        let mut lifecycle = live();
        lifecycle.fail();
        assert!(lifecycle.is_open() && !lifecycle.is_well());
        for other in [SlowClient, Shutdown, Completed] {
            assert!(is_refused(&mut lifecycle, other));
        }
        assert_eq!(told(lifecycle.decide(&ending(Error))), Some(Error));
    }

    #[test]
    fn an_end_is_announced_only_to_watchers_while_live() {
        assert!(!live().announce(&ending(Shutdown), LATER));
        let mut lifecycle = StreamLifecycle::detached();
        assert_eq!(lifecycle.watch(), None);
        assert!(!lifecycle.announce(&ending(Shutdown), LATER));
        assert!(lifecycle.go_live().is_none());
        assert!(lifecycle.announce(&ending(Shutdown), LATER));
    }

    #[test]
    fn an_announced_end_is_not_decided_until_it_is_overdue() {
        let mut lifecycle = announced(MaxAge);
        assert!(lifecycle.announce(&ending(Shutdown), LATER));
        assert_eq!(lifecycle.watch(), Some(MaxAge));
        assert_eq!(lifecycle.closed_reason(), None);
        assert!(lifecycle.overdue(Duration::ZERO).is_none());
        let overdue = lifecycle.overdue(LATER).map(|ending| ending.reason);
        assert_eq!(overdue, Some(MaxAge));
    }

    #[test]
    fn a_source_that_ends_after_an_announcement_ends_as_announced() {
        let mut lifecycle = announced(MaxAge);
        assert_eq!(told(lifecycle.decide(&ending(Completed))), Some(MaxAge));
        assert!(lifecycle.overdue(LATER).is_none());
    }

    #[test]
    fn a_source_that_may_finish_ends_itself_or_when_overdue() {
        let mut lifecycle = live();
        lifecycle.let_finish(&ending(Shutdown), LATER);
        assert_eq!(lifecycle.watch(), Some(Shutdown));
        assert!(lifecycle.overdue(Duration::ZERO).is_none());
        let overdue = lifecycle.overdue(LATER).map(|ending| ending.reason);
        assert_eq!(overdue, Some(Shutdown));
        assert_eq!(told(lifecycle.decide(&ending(Completed))), Some(Completed));
    }

    #[test]
    fn a_time_to_finish_gives_way_to_another_end() {
        let mut unwatched = live();
        unwatched.let_finish(&ending(Shutdown), LATER);
        assert!(
            !unwatched.announce(&ending(MaxAge), LATER),
            "it is decided at once"
        );
        let mut watched = live();
        watched.watch();
        watched.let_finish(&ending(Shutdown), LATER);
        assert!(watched.announce(&ending(MaxAge), LATER));
        assert_eq!(told(watched.decide(&ending(Completed))), Some(MaxAge));
    }

    #[test]
    fn any_other_end_comes_before_the_announced_one() {
        let mut lifecycle = announced(MaxAge);
        let decision = lifecycle.decide(&ending(ServerClosed));
        assert_eq!(told(decision), Some(ServerClosed));
        assert_eq!(lifecycle.watch(), Some(ServerClosed));
    }

    #[test]
    fn a_callback_is_given_back_once_when_it_is_over() {
        let mut lifecycle = live();
        assert!(lifecycle.on_close(Box::new(|_| {})).is_none());
        let finished = lifecycle.finish(Completed);
        assert_eq!(finished.map(|finished| finished.callbacks.len()), Some(1));
        let late = lifecycle.on_close(Box::new(|_| {}));
        assert_eq!(late.map(|(_, reason)| reason), Some(Completed));
    }
}
