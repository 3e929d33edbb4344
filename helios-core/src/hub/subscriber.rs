//! One reader of several topics: what it has yet to see, and in which order.

use bytes::Bytes;

use super::ring::{Cursor, Lag, Overtaken, Ring};
use super::{Frame, Outbox, OutboxLimits};
use crate::sse::ClientId;

/// A topic's [`Ring`], wherever it is kept and however it is locked.
pub trait Log {
    /// Calls `read` with the ring.
    fn with<R>(&self, read: impl FnOnce(&mut Ring) -> R) -> R;
}

/// One topic of a subscriber.
#[derive(Debug)]
pub struct Subscription<L> {
    /// The topic.
    pub log: L,
    /// The hub's head when it was joined.
    joined_at: u64,
    cursor: Cursor,
    /// The number of the next event, as far as [`Subscriber::gather`] has looked.
    next: Option<u64>,
}

impl<L: Log> Subscription<L> {
    /// A subscription to what comes after the hub's `head`. The caller loads it while the topic is locked, or before.
    pub fn new(log: L, head: u64) -> Self {
        let cursor = log.with(|ring| ring.tail());
        Self {
            log,
            joined_at: head,
            cursor,
            next: None,
        }
    }

    /// Goes back, or forward, to what comes after the number `seq`. False if history does not reach there.
    pub fn resume_after(&mut self, seq: u64) -> bool {
        let cursor = self.log.with(|ring| ring.after(seq));
        self.cursor = cursor.unwrap_or(self.cursor);
        cursor.is_some()
    }
}

/// What a resuming client has to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The number after which it reads on.
    pub position: u64,
    /// The topics, by their place, whose history does not reach back. They begin where they were joined.
    pub gone: Vec<usize>,
}

/// A subscriber: a cursor into each of its topics, and the queue of what is sent to it alone.
///
/// What it reads comes in the order of the hub's one sequence. A private event was stamped with the hub's head when it
/// was sent, and comes after everything up to that.
#[derive(Debug)]
pub struct Subscriber<L> {
    id: ClientId,
    subscriptions: Vec<Subscription<L>>,
    /// What is sent to this client alone.
    pub outbox: Outbox,
    /// The highest number written, or where it began.
    position: u64,
    /// Whether events are written with the hub's ids.
    with_ids: bool,
    /// Nothing above this number is read for now.
    hold: Option<u64>,
    /// Nothing above this number is read any more.
    end: Option<u64>,
}

impl<L: Log> Subscriber<L> {
    /// A subscriber of nothing.
    #[must_use]
    pub fn new(id: ClientId, limits: OutboxLimits) -> Self {
        Self {
            id,
            subscriptions: Vec::new(),
            outbox: Outbox::new(limits),
            position: 0,
            with_ids: false,
            hold: None,
            end: None,
        }
    }

    /// Takes up a topic. What it holds that is older than what was written before comes without its id.
    pub fn join(&mut self, subscription: Subscription<L>) {
        self.subscriptions.push(subscription);
    }

    /// Gives up the first topic of which `is` is true.
    pub fn leave(&mut self, is: impl Fn(&L) -> bool) -> Option<L> {
        let mut subscriptions = self.subscriptions.iter();
        let place = subscriptions.position(|subscription| is(&subscription.log))?;
        Some(self.subscriptions.remove(place).log)
    }

    /// Gives up all topics.
    pub fn leave_all(&mut self) -> impl Iterator<Item = L> {
        let subscriptions = std::mem::take(&mut self.subscriptions);
        subscriptions
            .into_iter()
            .map(|subscription| subscription.log)
    }

    /// The topics.
    pub fn subscriptions(&mut self) -> &mut [Subscription<L>] {
        &mut self.subscriptions
    }

    /// The topics, to be looked at.
    pub fn logs(&self) -> impl Iterator<Item = &L> {
        self.subscriptions
            .iter()
            .map(|subscription| &subscription.log)
    }

    /// From here on events are written with the hub's ids.
    pub fn use_ids_from(&mut self, position: u64) {
        self.with_ids = true;
        self.position = self.position.max(position);
    }

    /// Whether events are written with the hub's ids.
    #[must_use]
    pub fn uses_ids(&self) -> bool {
        self.with_ids
    }

    /// Starts to write events with the hub's ids: after `last`, the number that the client has seen last, as far as
    /// history reaches; else from where each topic was joined.
    pub fn start(&mut self, last: Option<u64>) -> Start {
        let joins = self.subscriptions.iter().map(|topic| topic.joined_at);
        let first_join = joins.min().unwrap_or_default();
        let position = last.unwrap_or(first_join);
        self.use_ids_from(position);
        let mut gone = Vec::new();
        for (place, subscription) in self.subscriptions.iter_mut().enumerate() {
            if last.is_some_and(|seq| !subscription.resume_after(seq)) {
                gone.push(place);
            }
        }
        Start { position, gone }
    }

    /// Moves the position over what is none of this subscriber's, to right before its next event or to the hub's `head`, and
    /// gives it.
    pub fn advance(&mut self, head: u64) -> u64 {
        if let Ok(upto) = self.look_ahead(head) {
            let next = self.subscriptions.iter().filter_map(|topic| topic.next);
            let passed = next.map(|next| next - 1).chain([upto]).min();
            self.position = self.position.max(passed.unwrap_or_default());
        }
        self.position
    }

    /// Reads nothing above the number `seq` until [`Subscriber::go_on`].
    pub fn hold_at(&mut self, seq: u64) {
        self.hold = Some(seq);
    }

    /// Whether it is held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Ends a hold.
    pub fn go_on(&mut self) {
        self.hold = None;
    }

    /// Reads nothing that is published after the hub's `head` of now, and waits for nothing any more. The first end counts.
    pub fn end_at(&mut self, head: u64) {
        self.end.get_or_insert(head);
        self.hold = None;
    }

    /// Moves into `frame` what is to be read, in order, as far as there is room. `head` is the hub's, loaded after the
    /// reader has registered with each of its topics: what is published later wakes it.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if a ring has dropped events that its cursor had not reached; then [`Subscriber::skip_ahead`].
    pub fn gather(&mut self, head: u64, frame: &mut Frame) -> Result<(), Overtaken> {
        let upto = self.look_ahead(head)?;
        loop {
            let (place, public) = self.earliest(upto);
            match (public, self.outbox.peek()) {
                (Some(seq), after) if after.is_none_or(|after| seq <= after) => {
                    let others = self.earliest_but(place, upto);
                    let limit = upto.min(others).min(after.unwrap_or(u64::MAX));
                    if !self.take_run(place, limit, frame)? {
                        return Ok(());
                    }
                }
                (_, Some(after)) if after <= upto || self.end.is_some() => {
                    if !self.outbox.take_into(frame) {
                        return Ok(());
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// Looks up what comes next in each topic, and gives the number up to which may be read.
    fn look_ahead(&mut self, head: u64) -> Result<u64, Overtaken> {
        let mut upto = head
            .min(self.hold.unwrap_or(u64::MAX))
            .min(self.end.unwrap_or(u64::MAX));
        for subscription in &mut self.subscriptions {
            let cursor = subscription.cursor;
            let (next, readable) = subscription.log.with(|ring| {
                let next = ring.peek(cursor).map(|next| next.map(|entry| entry.seq));
                (next, ring.readable_to())
            });
            subscription.next = next?;
            upto = upto.min(readable);
        }
        Ok(upto)
    }

    /// The topic whose next event is the earliest, and that event's number.
    fn earliest(&self, upto: u64) -> (usize, Option<u64>) {
        let next = |(place, topic): (usize, &Subscription<L>)| Some((topic.next?, place));
        let all = self.subscriptions.iter().enumerate().filter_map(next);
        match all.min().filter(|(seq, _)| *seq <= upto) {
            Some((seq, place)) => (place, Some(seq)),
            None => (0, None),
        }
    }

    fn earliest_but(&self, place: usize, upto: u64) -> u64 {
        let others = self.subscriptions.iter().enumerate();
        let others = others.filter(|(other, _)| *other != place);
        let next = others.filter_map(|(_, topic)| topic.next).min();
        next.unwrap_or(upto)
    }

    /// Takes events of one topic up to the number `limit`. False if the frame is full.
    fn take_run(&mut self, place: usize, limit: u64, frame: &mut Frame) -> Result<bool, Overtaken> {
        let Self {
            subscriptions,
            position,
            with_ids,
            id,
            ..
        } = self;
        let Some(Subscription {
            log, cursor, next, ..
        }) = subscriptions.get_mut(place)
        else {
            return Ok(false);
        };
        log.with(|ring| {
            loop {
                let entry = ring.peek(*cursor)?;
                *next = entry.as_ref().map(|entry| entry.seq);
                let Some(entry) = entry.filter(|entry| entry.seq <= limit) else {
                    return Ok(true);
                };
                // What comes late must not take the client's position back.
                let with_id = *with_ids && entry.seq > *position;
                let wanted = entry.except != Some(*id);
                if wanted && !frame.push(entry.bytes(with_id)) {
                    return Ok(false);
                }
                *position = (*position).max(entry.seq);
                cursor.advance();
            }
        })
    }

    /// Gives up what is oldest, so that at most `keep` of each topic is left, and what is gone already. Gives the number
    /// at which the topics in question go on, and their places; `None` if there was nothing to give up.
    pub fn skip_ahead(&mut self, keep: Lag) -> Option<(u64, Vec<usize>)> {
        let mut moved = Vec::new();
        let mut to = 0;
        for (place, topic) in self.subscriptions.iter_mut().enumerate() {
            let cursor = &mut topic.cursor;
            if let Some(passed) = topic.log.with(|ring| ring.skip_to_newest(cursor, keep)) {
                moved.push(place);
                to = to.max(passed);
            }
        }
        for place in &moved {
            self.subscriptions[*place].skip_to(to);
        }
        (!moved.is_empty()).then_some((to, moved))
    }

    /// How far it is behind, topics and private queue together.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let mut lag = Lag {
            events: self.outbox.len() as u64,
            bytes: self.outbox.bytes() as u64,
        };
        for topic in &self.subscriptions {
            let behind = topic.log.with(|ring| ring.lag(topic.cursor));
            lag.events += behind.events;
            lag.bytes += behind.bytes;
        }
        lag
    }

    /// Takes in what the framework itself says, past the limits of the queue.
    pub fn push_control(&mut self, after: u64, bytes: Bytes) {
        self.outbox.push_unbounded(after, bytes);
    }
}

impl<L: Log> Subscription<L> {
    /// Never backwards: what was read is not read again.
    fn skip_to(&mut self, seq: u64) {
        if let Some(cursor) = self.log.with(|ring| ring.after(seq)) {
            self.cursor = self.cursor.max(cursor);
        }
    }
}
