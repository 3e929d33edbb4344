//! Tests of the hub's rules against a model that keeps everything.

#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use helios_core::event::SseEvent;
use helios_core::hub::{
    Backlog, BacklogLimits, EventId, FRAME_BYTES, Frame, HistoryLimits, NumberedEvent, Overtaken,
    Replay, Ring, Start, Subscriber, Subscription, TopicRing, UnnumberedEvent, Unread,
};
use helios_core::sse::ClientId;
use proptest::prelude::*;

const TOPICS: usize = 4;

#[derive(Clone, Debug)]
struct Topic {
    name: usize,
    ring: Rc<RefCell<Ring>>,
    /// Counts the changes of the topic, which wake its readers.
    round: Rc<Cell<u64>>,
    /// The round since which this reader waits.
    waits_since: Option<u64>,
}

impl Topic {
    fn new(name: usize, ring: Ring) -> Self {
        Self {
            name,
            ring: Rc::new(RefCell::new(ring)),
            round: Rc::default(),
            waits_since: None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Ring)) {
        self.round.set(self.round.get() + 1);
        self.with(change);
    }
}

impl TopicRing for Topic {
    fn with<R>(&self, look: impl FnOnce(&mut Ring) -> R) -> R {
        look(&mut self.ring.borrow_mut())
    }

    fn read_or_wait(
        &mut self,
        _: &Waker,
        read: impl FnOnce(&mut Ring) -> Result<Unread, Overtaken>,
    ) -> Result<Unread, Overtaken> {
        let left = self.with(read)?;
        if left == Unread::Nothing {
            self.waits_since = Some(self.round.get());
        }
        Ok(left)
    }

    fn is_waited_for(&self) -> bool {
        self.waits_since == Some(self.round.get())
    }
}

/// The place where a topic begins.
#[derive(Clone, Copy, Debug)]
enum From {
    Live,
    /// After the number that is this far behind the head.
    Back(u64),
    Last(usize),
    Earliest,
}

fn from() -> impl Strategy<Value = From> {
    prop_oneof![
        6 => Just(From::Live),
        3 => (0..20_u64).prop_map(From::Back),
        1 => (0..6_usize).prop_map(From::Last),
        1 => Just(From::Earliest),
    ]
}

/// A step of the test.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        topic: usize,
        size: usize,
    },
    PublishExcept {
        topic: usize,
        except: usize,
    },
    Private {
        client: usize,
    },
    Join {
        client: usize,
        topic: usize,
    },
    JoinFrom {
        client: usize,
        topic: usize,
        from: From,
    },
    Leave {
        client: usize,
        topic: usize,
    },
    Read {
        client: usize,
    },
    /// The connection breaks after this many events of the next frame, and the client reconnects.
    Reconnect {
        client: usize,
        events: usize,
        /// Whether the client has forgotten its id.
        fresh: bool,
        /// The place where each topic begins, for a client without an id.
        replays: Vec<From>,
        /// The topics that get an event after each of the client's topics is joined.
        meanwhile: Vec<usize>,
    },
    /// The hook of a fresh client sends a part of its snapshot.
    Snapshot {
        client: usize,
    },
    /// The hook has returned.
    Answered {
        client: usize,
    },
    Finish {
        topic: usize,
        with_event: bool,
    },
    /// Memory is short, so the oldest event is dropped.
    DropOldest {
        topic: usize,
    },
    Expire {
        seconds: u64,
    },
    Forget {
        topic: usize,
    },
    CatchUp {
        topic: usize,
    },
    CaughtUp {
        topic: usize,
    },
    Lose {
        topic: usize,
    },
    /// History is fetched again, for a client that resumes.
    Fetch {
        topic: usize,
    },
    Skip {
        client: usize,
    },
    End {
        client: usize,
    },
    /// Another epoch begins, at this number.
    Restart {
        head: u64,
    },
}

const CLIENTS: usize = 3;

fn reconnect() -> impl Strategy<Value = Step> {
    let replays = proptest::collection::vec(from(), TOPICS);
    let meanwhile = proptest::collection::vec(0..TOPICS, 0..=TOPICS);
    (0..CLIENTS, 0..6_usize, any::<bool>(), replays, meanwhile).prop_map(
        |(client, events, fresh, replays, meanwhile)| Step::Reconnect {
            client,
            events,
            fresh,
            replays,
            meanwhile,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let (topic, client) = (0..TOPICS, 0..CLIENTS);
    prop_oneof![
        8 => (topic.clone(), prop_oneof![9 => 1..60_usize, 1 => Just(FRAME_BYTES)])
            .prop_map(|(topic, size)| Step::Publish { topic, size }),
        2 => (topic.clone(), client.clone())
            .prop_map(|(topic, except)| Step::PublishExcept { topic, except }),
        3 => client.clone().prop_map(|client| Step::Private { client }),
        3 => (client.clone(), topic.clone()).prop_map(|(client, topic)| Step::Join { client, topic }),
        1 => (client.clone(), topic.clone(), from())
            .prop_map(|(client, topic, from)| Step::JoinFrom { client, topic, from }),
        1 => (client.clone(), topic.clone())
            .prop_map(|(client, topic)| Step::Leave { client, topic }),
        8 => client.clone().prop_map(|client| Step::Read { client }),
        3 => reconnect(),
        2 => client.clone().prop_map(|client| Step::Snapshot { client }),
        1 => client.clone().prop_map(|client| Step::Answered { client }),
        2 => (topic.clone(), any::<bool>())
            .prop_map(|(topic, with_event)| Step::Finish { topic, with_event }),
        1 => topic.clone().prop_map(|topic| Step::DropOldest { topic }),
        1 => (1..20_u64).prop_map(|seconds| Step::Expire { seconds }),
        1 => topic.clone().prop_map(|topic| Step::Forget { topic }),
        1 => topic.clone().prop_map(|topic| Step::CatchUp { topic }),
        3 => topic.clone().prop_map(|topic| Step::CaughtUp { topic }),
        1 => topic.clone().prop_map(|topic| Step::Lose { topic }),
        1 => topic.prop_map(|topic| Step::Fetch { topic }),
        1 => client.clone().prop_map(|client| Step::Skip { client }),
        1 => client.prop_map(|client| Step::End { client }),
        1 => (0..6_u64).prop_map(|head| Step::Restart { head }),
    ]
}

/// An event that a client has to receive.
#[derive(Clone, Debug)]
struct Promise {
    seq: u64,
    topic: usize,
    /// Requested after a later event had been written. The client does not resume it.
    late: bool,
    debt: Debt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debt {
    /// It has to come.
    Owed,
    /// It may not come, and then the client has to learn of that.
    Skipped,
    /// It may not come, and the client knows.
    Told,
}

struct Client {
    id: ClientId,
    reader: Subscriber<Topic>,
    /// The events that the client has to receive, in this order.
    owed: Vec<Promise>,
    /// The last id that the client received.
    last: u64,
    /// The client has no id yet. It receives its first one with the reset for the events that it misses.
    without_id: bool,
    /// The client waits for its position, which comes behind its snapshot and before any published event.
    awaits_position: bool,
    /// The stream ended before the snapshot was complete.
    is_cut_short: bool,
    /// The parts of the snapshot that were sent, and those that the client has read.
    sent: u64,
    shown: u64,
    /// The number up to which the client may have skipped events. They excluded it, or a private event came behind
    /// them.
    spared: u64,
    privates: u64,
    privates_read: u64,
    /// Another epoch has begun, and the client has not read a reset yet.
    is_to_be_told: bool,
    /// The client's last id belongs to an earlier epoch, so the client is fresh when it reconnects.
    is_of_before: bool,
    ended: bool,
    /// The topics that the client left when it ended.
    left: Vec<usize>,
}

/// A topic that was joined before the client began to read.
struct Joined {
    head: u64,
    /// The number after which it begins without a replay.
    begins_at: u64,
    /// The number after which the requested replay begins, whether or not that is possible.
    asked: Option<u64>,
    /// The number after which the requested replay begins, if that is possible.
    reached: Option<u64>,
}

struct World {
    epoch: u64,
    head: u64,
    now: u64,
    forgotten: u64,
    topics: Vec<Topic>,
    /// The numbers at which topics were finished, and whether with an event.
    finished: [Option<(u64, bool)>; TOPICS],
    log: BTreeMap<u64, (usize, Option<ClientId>)>,
    clients: Vec<Client>,
    /// Whether each client receives a snapshot when it has no id.
    snapshots: [bool; CLIENTS],
    connections: u8,
}

fn event(seq: u64, size: usize) -> NumberedEvent {
    let data = format!("{seq}:{}", "x".repeat(size));
    let event = UnnumberedEvent::new(&SseEvent::text(data)).unwrap();
    event.with_id(&seq.to_string())
}

impl World {
    fn new(events: usize, snapshots: [bool; CLIENTS]) -> Self {
        let limits = HistoryLimits {
            events,
            age: Duration::from_secs(30),
        };
        let topic = |name| Topic::new(name, Ring::new(limits, 0));
        let mut world = Self {
            epoch: 0,
            head: 0,
            now: 0,
            forgotten: 0,
            topics: (0..TOPICS).map(topic).collect(),
            finished: [None; TOPICS],
            log: BTreeMap::new(),
            clients: Vec::new(),
            snapshots,
            connections: 0,
        };
        for _ in 0..CLIENTS {
            let client = world.connect(&[], &[], None, false);
            world.clients.push(client);
        }
        world
    }

    fn next_event(&mut self, size: usize) -> NumberedEvent {
        self.head += 1;
        event(self.head, size)
    }

    fn publish(&mut self, topic: usize, size: usize, except: Option<ClientId>) {
        if self.finished[topic].is_some() {
            return;
        }
        let (event, now) = (self.next_event(size), Duration::from_secs(self.now));
        self.topics[topic].change(|ring| ring.push(self.head, event, except, now));
        self.published(topic, except);
    }

    fn finish(&mut self, topic: usize, with_event: bool) {
        if self.finished[topic].is_some() {
            return;
        }
        let (event, now) = (self.next_event(1), Duration::from_secs(self.now));
        let event = with_event.then_some(event);
        self.topics[topic].change(|ring| ring.finish(self.head, event, now));
        self.finished[topic] = Some((self.head, with_event));
        if with_event {
            self.published(topic, None);
        }
    }

    /// Loses an event that was published elsewhere.
    fn lose(&mut self, topic: usize) {
        self.head += 1;
        let lost = self.head;
        self.topics[topic].change(|ring| ring.lost_up_to(lost));
    }

    /// Prepends the events before the oldest one held, as far as there is room.
    fn fetch(&mut self, topic: usize) {
        let now = Duration::from_secs(self.now);
        self.topics[topic].with(|ring| {
            let oldest = ring.oldest().unwrap_or_else(|| ring.last() + 1);
            let before = self.log.range(..oldest).rev();
            for (seq, (_, except)) in before.filter(|(_, (of, _))| *of == topic) {
                if !ring.prepend(*seq, event(*seq, 1), *except, now) {
                    break;
                }
                ring.reaches_back_to(*seq - 1);
            }
        });
    }

    /// Adds the newest event to the expectations of the clients in the topic.
    fn published(&mut self, topic: usize, except: Option<ClientId>) {
        self.log.insert(self.head, (topic, except));
        let promise = Promise {
            seq: self.head,
            topic,
            late: false,
            debt: Debt::Owed,
        };
        for client in &mut self.clients {
            let joined = client.reader.topics().any(|log| log.name == topic);
            if except == Some(client.id) {
                client.spared = self.head;
            }
            if joined && !client.ended && except != Some(client.id) {
                client.owed.push(promise.clone());
            }
        }
    }

    /// Returns the number after which a client that joins this topic now begins without a replay: the head or, if the
    /// last event is still held, the number before it. Returns `Err` if the last event was dropped.
    fn begins_at(&self, topic: usize) -> Result<u64, u64> {
        let floor = self.topics[topic].with(|ring| ring.floor());
        match self.finished[topic] {
            Some((seq, true)) if floor < seq => Ok(seq - 1),
            Some((_, true)) => Err(self.head),
            _ => Ok(self.head),
        }
    }

    /// Requests a replay. Returns the number after which it begins, if that is not the head, or `Err` if that is not
    /// possible.
    fn replay(
        &self,
        subscription: &mut Subscription<Topic>,
        from: From,
    ) -> Result<Option<u64>, u64> {
        let number = |id: EventId| Ok(id.seq());
        let begins_at = self.begins_at(subscription.topic.name);
        let count = match from {
            From::Live => {
                let replayed = subscription.replay(Replay::Live, number);
                assert_eq!(replayed.is_ok(), begins_at.is_ok());
                return begins_at.map(|_| None);
            }
            From::Back(back) => {
                let seq = self.head.saturating_sub(back);
                let replayed = subscription.replay(Replay::After(EventId::new(0, seq)), number);
                return replayed.map(|()| Some(seq)).map_err(|_| seq);
            }
            From::Last(count) => {
                let replayed = subscription.replay(Replay::Last(count), number);
                assert_eq!(replayed.is_ok(), begins_at.is_ok());
                count
            }
            From::Earliest => {
                let replayed = subscription.replay(Replay::Earliest, number);
                assert_eq!(replayed.is_ok(), begins_at.is_ok());
                usize::MAX
            }
        };
        begins_at?;
        // The other replays request only events that are held.
        let topic = &subscription.topic;
        let floor = topic.with(|ring| ring.floor());
        let held = self.log.range(floor + 1..).rev();
        let held = held.filter(|(_, (of, _))| *of == topic.name);
        let first = held.take(count).last().map(|(seq, _)| seq - 1);
        Ok(first.or(begins_at.ok()).filter(|_| count > 0))
    }

    fn subscribe(&self, topic: usize, from: From) -> (Subscription<Topic>, Joined) {
        let mut subscription = Subscription::new(self.topics[topic].clone(), || self.head);
        let reached = self.replay(&mut subscription, from);
        let asked = match reached {
            Ok(from) => from,
            // The client expects all of these events, and learns that some are missing.
            Err(from) => Some(from).filter(|from| *from < self.head),
        };
        let joined = Joined {
            head: self.head,
            begins_at: self.begins_at(topic).unwrap_or(self.head),
            asked,
            reached: reached.ok().flatten(),
        };
        (subscription, joined)
    }

    /// Opens a connection to these topics, each with its replay. The client has seen everything up to `last`. A client
    /// that has seen nothing may receive a snapshot.
    fn connect(
        &mut self,
        topics: &[(usize, From)],
        meanwhile: &[usize],
        last: Option<u64>,
        snapshots: bool,
    ) -> Client {
        self.connections += 1;
        let id = ClientId::from_random_bytes([self.connections; 16]);
        let mut reader = Subscriber::new(id, BacklogLimits::default());
        reader.go_over(self.epoch);
        let mut joins = Vec::new();
        for (place, (topic, from)) in topics.iter().enumerate() {
            let (subscription, joined) = self.subscribe(*topic, *from);
            joins.push(joined);
            reader.join(subscription);
            if let Some(topic) = meanwhile.get(place) {
                self.publish(*topic, 1, None);
            }
        }
        let start = reader.start(last);
        let live = joins.iter().map(|join| join.head).min().unwrap_or(0);
        let mut owed = Vec::new();
        for (place, (topic, _)) in topics.iter().enumerate() {
            let join = &joins[place];
            let begins = last.or(join.asked).unwrap_or(live.min(join.begins_at));
            // The missed events end where the topic begins in that case.
            let missed = start.missed.iter().any(|(of, _)| *of == place);
            let reached = join.reached.filter(|_| last.is_some());
            let missed_to = missed.then(|| reached.unwrap_or(join.begins_at));
            let after = self.log.range(begins + 1..);
            let after = after.filter(|(_, (of, except))| of == topic && *except != Some(id));
            owed.extend(after.map(|(seq, _)| Promise {
                seq: *seq,
                topic: *topic,
                late: false,
                debt: match missed_to.is_some_and(|missed_to| *seq <= missed_to) {
                    true => Debt::Skipped,
                    false => Debt::Owed,
                },
            }));
        }
        owed.sort_by_key(|promise| promise.seq);
        let mut client = Client {
            id,
            reader,
            owed,
            last: start.position,
            without_id: last.is_none() && !start.missed.is_empty(),
            awaits_position: false,
            is_cut_short: false,
            sent: 0,
            shown: 0,
            spared: 0,
            privates: 0,
            privates_read: 0,
            is_to_be_told: false,
            is_of_before: false,
            ended: false,
            left: Vec::new(),
        };
        client.begin(&start, snapshots && last.is_none() && !topics.is_empty());
        client
    }

    fn read(&mut self, client: usize) -> Result<(), TestCaseError> {
        self.read_events(client, usize::MAX)
    }

    /// Reads a frame, of which this many events reach the client.
    fn read_events(&mut self, client: usize, events: usize) -> Result<(), TestCaseError> {
        let head = self.head;
        let finished = self.finished;
        let client = &mut self.clients[client];
        let mut frame = Frame::default();
        let gathered = client.reader.gather(head, Waker::noop(), &mut frame);
        let mut read = frame_events(frame);
        let is_cut = events < read.len();
        read.truncate(events);
        client.check(&read)?;
        if is_cut {
            return Ok(());
        }
        client.check_over(finished)?;
        match gathered {
            Ok(()) => {
                let owed = client.owed.iter().find(|next| next.debt == Debt::Owed);
                // It resumes the topics that it has left.
                let all = client.reader.has_read_all() && client.left.is_empty();
                prop_assert!(!all || owed.is_none(), "not read: {owed:?}");
            }
            Err(_) => client.skip(),
        }
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Publish { topic, size } => self.publish(topic, size, None),
            Step::PublishExcept { topic, except } => {
                let except = self.clients[except].id;
                self.publish(topic, 1, Some(except));
            }
            Step::Private { client } => {
                let (epoch, head) = (self.epoch, self.head);
                self.clients[client].send(epoch, head);
            }
            Step::Join { client, topic } => self.join(client, topic),
            Step::JoinFrom {
                client,
                topic,
                from,
            } => self.join_from(client, topic, from),
            Step::Leave { client, topic } => {
                let client = &mut self.clients[client];
                client.reader.leave(|log| log.name == topic);
                client.owed.retain(|promise| promise.topic != topic);
            }
            Step::Read { client } => self.read(client)?,
            Step::Reconnect {
                client,
                events,
                fresh,
                ref replays,
                ref meanwhile,
            } => {
                self.read_events(client, events)?;
                self.reconnect(client, fresh, replays, meanwhile)?;
            }
            Step::Snapshot { client } => self.clients[client].send_snapshot(),
            Step::Answered { client } => self.clients[client].reader.unpause(),
            Step::Finish { topic, with_event } => self.finish(topic, with_event),
            Step::DropOldest { topic } => {
                self.topics[topic].with(Ring::drop_oldest);
            }
            Step::Expire { seconds } => {
                self.now += seconds;
                for topic in &self.topics {
                    topic.with(|ring| ring.expire(Duration::from_secs(self.now)));
                }
            }
            Step::Forget { topic } => self.forget(topic),
            Step::CatchUp { topic } => self.topics[topic].change(Ring::catch_up),
            Step::CaughtUp { topic } => self.topics[topic].change(Ring::caught_up),
            Step::Lose { topic } => self.lose(topic),
            Step::Fetch { topic } => self.fetch(topic),
            Step::Skip { client } => self.clients[client].skip(),
            Step::End { client } => {
                let head = self.head;
                self.clients[client].end(head);
            }
            Step::Restart { head } => self.restart(head),
        }
        Ok(())
    }

    fn restart(&mut self, head: u64) {
        self.epoch += 1;
        (self.head, self.forgotten) = (head, head);
        self.finished = [None; TOPICS];
        self.log.clear();
        for topic in &self.topics {
            topic.change(|ring| ring.restart(self.epoch, head));
        }
        for client in &mut self.clients {
            client.go_over(self.epoch, head);
        }
    }

    fn join(&mut self, client: usize, topic: usize) {
        self.join_from(client, topic, From::Live);
    }

    fn join_from(&mut self, client: usize, topic: usize, from: From) {
        let mut subscription = Subscription::new(self.topics[topic].clone(), || self.head);
        let reached = self.replay(&mut subscription, from);
        let begins_at = self.begins_at(topic).unwrap_or(self.head);
        let reader = &mut self.clients[client];
        let joined = reader.reader.topics().any(|log| log.name == topic);
        let (false, Ok(from)) = (reader.ended || joined, reached) else {
            return;
        };
        reader.reader.join(subscription);
        let from = from.unwrap_or(begins_at);
        let missed = self.log.range(from + 1..);
        let missed = missed.filter(|(_, (of, except))| *of == topic && *except != Some(reader.id));
        let position = reader.reader.position();
        reader.owed.extend(missed.map(|(seq, _)| Promise {
            seq: *seq,
            topic,
            late: *seq <= position,
            debt: Debt::Owed,
        }));
        reader.owed.sort_by_key(|promise| promise.seq);
    }

    /// Reconnects with the last id that the client received, as after a broken connection.
    fn reconnect(
        &mut self,
        client: usize,
        fresh: bool,
        replays: &[From],
        meanwhile: &[usize],
    ) -> Result<(), TestCaseError> {
        let before = &self.clients[client];
        let joined = before.reader.topics().map(|log| log.name);
        let topics = joined.chain(before.left.iter().copied());
        let topics: Vec<_> = topics.map(|topic| (topic, replays[topic])).collect();
        let fresh = fresh || before.without_id || before.is_of_before;
        let last = (!fresh).then_some(before.last);
        let owed_before = std::mem::take(&mut self.clients[client].owed);
        let after = self.connect(&topics, meanwhile, last, self.snapshots[client]);
        for before in owed_before.iter().filter(|_| !fresh) {
            let same = |after: &Promise| after.seq == before.seq;
            let known = before.late || before.debt == Debt::Told;
            prop_assert!(
                known || after.owed.iter().any(same),
                "{before:?} is lost after {last:?}"
            );
        }
        self.clients[client] = after;
        Ok(())
    }

    /// Removes an unused topic together with its history.
    fn forget(&mut self, topic: usize) {
        let used = |client: &Client| client.reader.topics().any(|log| log.name == topic);
        if self.clients.iter().any(used) {
            return;
        }
        let last = self.topics[topic].with(|ring| ring.last());
        self.forgotten = self.forgotten.max(last);
        let limits = HistoryLimits {
            events: 8,
            age: Duration::from_secs(30),
        };
        let ring = Ring::new(limits, self.forgotten).in_epoch(self.epoch);
        self.topics[topic] = Topic::new(topic, ring);
        self.finished[topic] = None;
    }
}

impl Client {
    /// Enters another epoch, as the runtime does. Only private events from before are still expected.
    fn go_over(&mut self, epoch: u64, head: u64) {
        self.owed.clear();
        (self.spared, self.is_of_before) = (0, true);
        self.reader.outbox.drop_positions(|_| true);
        if self.ended {
            let topics: Vec<_> = self.reader.abandon().collect();
            self.left.extend(topics.iter().map(|topic| topic.name));
            self.reader.go_over(epoch);
            return;
        }
        self.is_to_be_told = true;
        self.reset();
        self.reader.go_over(epoch);
        self.last = 0;
        if self.awaits_position {
            self.last = head;
            let ready = format!("id: {head}\ndata: position\n\n");
            self.reader.push_position(head, ready.into());
        }
    }

    fn send(&mut self, epoch: u64, head: u64) {
        if self.ended {
            return;
        }
        self.privates += 1;
        let event = format!(
            "data: private {} after {head} of {epoch}\n\n",
            self.privates
        );
        self.reader.outbox.push(head, event.into(), false).unwrap();
    }

    /// Begins a stream, as the runtime does. If there is a snapshot, the position comes behind it.
    fn begin(&mut self, start: &Start, with_snapshot: bool) {
        let mut first = Vec::new();
        if with_snapshot {
            let position = start.position;
            let ready = format!("id: {position}\ndata: position\n\n");
            self.reader.push_position(position, ready.into());
            self.reader.pause_at(position);
            (self.without_id, self.awaits_position) = (true, true);
            first.push("data: ready\n\n".into());
        }
        if !start.missed.is_empty() {
            first.push("data: reset\n\n".into());
        }
        self.reader.push_control_first(first);
    }

    fn send_snapshot(&mut self) {
        if let Some(at) = self.reader.paused_at() {
            self.sent += 1;
            self.reader.push_control(at, "data: snapshot\n\n".into());
        }
    }

    fn end(&mut self, head: u64) {
        if let Some(at) = self.reader.paused_at() {
            // Without an id the client is fresh again, and its next connection gets another snapshot.
            self.owed.retain(|promise| promise.seq <= at);
            self.is_cut_short = true;
        }
        self.reader.end_at(head);
        self.ended = true;
    }

    /// Drops the oldest events and reports that, together with events dropped before, in a reset.
    fn skip(&mut self) {
        let keep = Backlog {
            events: 2,
            bytes: u64::MAX,
        };
        if self.ended {
            // The client resumes the rest.
            let topics: Vec<_> = self.reader.abandon().collect();
            self.left.extend(topics.iter().map(|topic| topic.name));
            return;
        }
        let places = self.reader.skip_ahead(keep);
        if places.is_empty() {
            return;
        }
        let names: Vec<usize> = self.reader.topics().map(|log| log.name).collect();
        for promise in &mut self.owed {
            let skipped = places.iter().any(|place| names[*place] == promise.topic);
            if skipped && promise.debt == Debt::Owed {
                promise.debt = Debt::Skipped;
            }
        }
        self.reset();
    }

    /// Queues a reset before all events that are left to read, as the runtime does.
    fn reset(&mut self) {
        let at = self.reader.position();
        self.reader.push_control(at, "data: reset\n\n".into());
    }

    /// Checks that no reader counts as finished while an event is left for it or one of its topics is not finished.
    fn check_over(&self, finished: [Option<(u64, bool)>; TOPICS]) -> Result<(), TestCaseError> {
        if !self.reader.has_finished(|_| true) {
            return Ok(());
        }
        let mut topics = self.reader.topics();
        prop_assert!(topics.all(|log| finished[log.name].is_some()));
        let owed = self.owed.iter().find(|next| next.debt == Debt::Owed);
        prop_assert!(owed.is_none(), "finished before {owed:?}");
        Ok(())
    }

    /// Notes that the client has read of missing events.
    fn told(&mut self) {
        self.without_id = self.awaits_position;
        for promise in &mut self.owed {
            if promise.debt == Debt::Skipped {
                promise.debt = Debt::Told;
            }
        }
    }

    /// Checks that private events arrive in the order in which they were sent, behind events published before.
    fn check_private(&mut self, private: &str) -> Result<(), TestCaseError> {
        let (n, after) = private.split_once(" after ").unwrap();
        self.privates_read += 1;
        prop_assert_eq!(n.parse::<u64>().unwrap(), self.privates_read);
        let (after, epoch) = after.split_once(" of ").unwrap();
        if epoch != self.reader.epoch().to_string() {
            return Ok(());
        }
        let after: u64 = after.parse().unwrap();
        self.spared = self.spared.max(after);
        // An end does not wait for a topic that is catching up.
        let mut owed = self.owed.iter().filter(|next| next.debt == Debt::Owed);
        if let Some(next) = owed.next().filter(|next| !self.ended && !next.late) {
            prop_assert!(next.seq > after, "private before {next:?}");
        }
        Ok(())
    }

    /// Checks that public events are the next ones expected, and that private events follow those published before
    /// them.
    fn check(&mut self, events: &[(Option<u64>, String)]) -> Result<(), TestCaseError> {
        for (id, data) in events {
            self.is_of_before &= id.is_none();
            if data == "reset" {
                self.is_to_be_told = false;
                self.told();
                continue;
            }
            match data.as_str() {
                "ready" => {
                    prop_assert!(self.awaits_position && self.shown == 0 && id.is_none());
                    continue;
                }
                "snapshot" => {
                    prop_assert!(self.awaits_position && id.is_none());
                    self.shown += 1;
                    continue;
                }
                "position" => {
                    prop_assert_eq!(*id, Some(self.last));
                    prop_assert!(self.awaits_position && !self.is_cut_short);
                    prop_assert_eq!(self.shown, self.sent);
                    (self.without_id, self.awaits_position) = (false, false);
                    continue;
                }
                _ => {}
            }
            if let Some(private) = data.strip_prefix("private ") {
                self.check_private(private)?;
                continue;
            }
            prop_assert!(!self.is_to_be_told, "{data} comes before the reset");
            let (seq, _) = data.split_once(':').unwrap();
            let seq: u64 = seq.parse().unwrap();
            let place = self.owed.iter().position(|promise| promise.seq == seq);
            prop_assert!(place.is_some(), "{seq} was not expected");
            let passed: Vec<_> = self.owed.drain(..=place.unwrap()).collect();
            let is_late = passed.last().is_some_and(|promise| promise.late);
            prop_assert!(
                !self.awaits_position || is_late,
                "{seq} came before the position"
            );
            let due = passed.iter().find(|promise| promise.debt == Debt::Owed);
            prop_assert!(
                due.is_none_or(|due| due.seq == seq),
                "{seq} came before {due:?}"
            );
            // An id never goes back, and only late events have none.
            match id {
                Some(id) => prop_assert!(*id == seq && seq > self.last),
                None => prop_assert!(seq <= self.last.max(self.spared)),
            }
            self.last = self.last.max(seq);
        }
        Ok(())
    }
}

/// Returns the ids and the data of the events in a frame.
fn frame_events(frame: Frame) -> Vec<(Option<u64>, String)> {
    let text = String::from_utf8(frame.into_bytes().to_vec()).unwrap();
    let blocks = text.split_terminator("\n\n");
    let field = |block: &str, name: &str| {
        let mut lines = block.lines();
        let line = lines.find_map(|line| line.strip_prefix(name))?;
        Some(line.to_owned())
    };
    blocks
        .map(|block| {
            let id = field(block, "id: ").map(|id| id.parse().unwrap());
            (id, field(block, "data: ").unwrap())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// In every case a reader receives the events due to it, once and in order. When nothing holds it back, it receives
    /// all of them.
    #[test]
    fn a_reader_is_given_exactly_what_it_is_owed(
        steps in proptest::collection::vec(step(), 1..120),
        events in 2_usize..12,
        snapshots: [bool; CLIENTS],
    ) {
        let mut world = World::new(events, snapshots);
        for step in &steps {
            world.apply(step)?;
        }
        for topic in &world.topics {
            topic.change(Ring::caught_up);
        }
        for client in 0..CLIENTS {
            world.clients[client].send_snapshot();
            world.clients[client].reader.unpause();
            for _ in 0..2 * steps.len() + 10 {
                world.read(client)?;
            }
            let client = &world.clients[client];
            // Every reader whose topics are all finished and read learns that.
            let mut topics = client.reader.topics().peekable();
            let is_over = topics.peek().is_some()
                && topics.all(|log| world.finished[log.name].is_some());
            let over = client.reader.has_finished(|_| true);
            prop_assert!(over == is_over || client.ended, "over: {over}, should be: {is_over}");
            let resumes = !client.left.is_empty();
            let due = client.owed.iter().find(|promise| promise.debt != Debt::Told);
            prop_assert!(resumes || due.is_none(), "neither received nor reset: {due:?}");
            prop_assert_eq!(client.privates_read, client.privates);
            prop_assert!(client.ended || !client.awaits_position, "no position");
            prop_assert!(!client.is_to_be_told, "no reset for a new epoch");
        }
    }
}
