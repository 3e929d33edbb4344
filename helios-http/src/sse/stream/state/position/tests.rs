//! Property test of a client that knows only its last id, and is cut anywhere. It has every event from where it began,
//! or was reset. The client of a plain stream knows statuses and ends, and no control event.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use helios_core::error::HttpError;
use helios_core::event::SseEvent;
use helios_core::hub::{BacklogLimits, EventId, Frame, HistoryLimits, Replay};
use helios_core::route::Verb;
use helios_core::sse::{CloseReason, SseSnapshot};
use proptest::prelude::*;
use tokio::runtime::{self, Runtime};
use tokio::task::yield_now;

use crate::sse::hooks::{ControllerHooks, Hooks};
use crate::sse::options::{SlowClients, SseOptions};
use crate::sse::stream::deferred::Origin;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::lifecycle::{EndEvent, Ending};
use crate::sse::stream::route::{StreamRequest, StreamRoute};
use crate::sse::stream::state::{Beginning, BrokenOff, StreamState, request_to};
use crate::sse::streams::Streams;

/// The last of them is in all connections.
const TOPICS: [&str; 4] = ["a", "b", "c", "*"];
const EVERYONE: usize = 3;
const CLIENTS: usize = 2;

/// When a topic is joined, in the order in which that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    Handler,
    Hook,
    Producer,
    /// The response head has left. The topic is not resumed.
    Late,
}

/// The beginning of a joined topic.
#[derive(Clone, Copy, Debug)]
enum At {
    Head,
    Back(u64),
    Last(usize),
    Earliest,
    OtherEpoch,
}

/// The joins of each connection of a route.
type Route = Vec<(When, usize, At)>;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        topic: usize,
    },
    Finish {
        topic: usize,
    },
    Private {
        client: usize,
    },
    /// A connection takes its next step, from its creation to reading what is available.
    Go {
        client: usize,
    },
    /// It breaks after so many of the events that are written to it next.
    Cut {
        client: usize,
        events: usize,
    },
    /// The app closes the stream.
    Close {
        client: usize,
    },
    /// The hooks that wait for the runtime run.
    Hooks,
    /// Another sequence begins, at this number.
    Restart {
        head: u64,
    },
}

fn route() -> impl Strategy<Value = Route> {
    let when = prop_oneof![
        3 => Just(When::Handler),
        1 => Just(When::Hook),
        2 => Just(When::Producer),
        1 => Just(When::Late),
    ];
    let at = prop_oneof![
        3 => Just(At::Head),
        3 => (0..9_u64).prop_map(At::Back),
        1 => (0..6_usize).prop_map(At::Last),
        1 => Just(At::Earliest),
        1 => Just(At::OtherEpoch),
    ];
    proptest::collection::vec((when, 0..EVERYONE, at), 1..5).prop_map(|mut route: Route| {
        route.sort_by_key(|(when, ..)| *when);
        let mut topics = HashSet::new();
        route.retain(|(_, topic, _)| topics.insert(*topic));
        route
    })
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        8 => (0..TOPICS.len()).prop_map(|topic| Step::Publish { topic }),
        1 => (0..EVERYONE).prop_map(|topic| Step::Finish { topic }),
        1 => client.clone().prop_map(|client| Step::Private { client }),
        10 => client.clone().prop_map(|client| Step::Go { client }),
        3 => (client.clone(), 0..6_usize).prop_map(|(client, events)| Step::Cut { client, events }),
        1 => client.prop_map(|client| Step::Close { client }),
        3 => Just(Step::Hooks),
        1 => (0..6_u64).prop_map(|head| Step::Restart { head }),
    ]
}

/// The state of the app: how much has been published. Its snapshot hook sends this.
struct Truth(AtomicUsize);

static SNAPSHOTS: Hooks<Truth> = Hooks {
    snapshot: Some(|truth, client, snapshot| Box::pin(truth.send(client, snapshot))),
    ..Hooks::NONE
};

impl Truth {
    async fn send(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), HttpError> {
        let taken = self.0.load(Ordering::Relaxed);
        yield_now().await;
        let text = format!("{taken} {}", snapshot.topics.join(" "));
        Ok(client.send(SseEvent::text(text).event("snapshot")).await?)
    }
}

struct Published {
    topic: usize,
    id: EventId,
}

/// One page, whose connections come one after the other.
struct Page {
    route: Route,
    is_plain: bool,
    /// Whether its last connection was refused, because a topic cannot begin where the route wants it to.
    is_refused: bool,
    /// Whether it knows only what a snapshot shows and what comes after it. A reset then excuses nothing.
    has_snapshots: bool,
    /// The id that it sends when it comes back.
    last: Option<String>,
    connection: Option<Connection>,
    /// For each topic, the place in the log from which on it must get the events.
    begins: [Option<usize>; TOPICS.len()],
    /// For each topic, the place in the log before which events may be missing, because the page was reset.
    excused: [usize; TOPICS.len()],
    had: HashSet<usize>,
}

impl Page {
    /// Forgets everything.
    fn begin_anew(&mut self) {
        self.last = None;
        self.begins = [None; TOPICS.len()];
    }

    /// Whether the route has made all joins that come before the head.
    fn head_may_leave(&self) -> bool {
        let joins_more = |joined: usize| {
            let next = self.route.get(joined);
            next.is_some_and(|(when, ..)| *when < When::Late)
        };
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.is_live && !joins_more(connection.joined))
    }
}

struct Connection {
    stream: Arc<StreamState>,
    /// How many of the route's joins have been made.
    joined: usize,
    is_live: bool,
    /// Whether the response head has left.
    has_begun: bool,
    /// The place in the log at which the first topic was joined.
    first_join: Option<usize>,
    begins: [Option<usize>; TOPICS.len()],
    had: HashSet<usize>,
    /// The place in the log at which the app closed it.
    closed_at: Option<usize>,
}

struct World {
    runtime: Runtime,
    streams: Arc<Streams>,
    truth: Arc<Truth>,
    /// For each topic that is finished, the place of its last event in the log.
    finished: [Option<usize>; TOPICS.len()],
    log: Vec<Published>,
    pages: Vec<Page>,
}

impl World {
    fn new(routes: Vec<(Route, bool, bool)>, events: usize, slow_clients: SlowClients) -> Self {
        let streams = Streams::new();
        let mut options = SseOptions::default();
        options.history = HistoryLimits {
            events,
            ..HistoryLimits::default()
        };
        options.backlog = BacklogLimits {
            events: 4,
            bytes: 4096,
        };
        options.slow_clients = slow_clients;
        streams.hub.configure(options);
        let page = |(route, is_plain, has_snapshots)| Page {
            route,
            is_plain,
            is_refused: false,
            has_snapshots,
            last: None,
            connection: None,
            begins: [None; TOPICS.len()],
            excused: [0; TOPICS.len()],
            had: HashSet::new(),
        };
        Self {
            runtime: runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap(),
            streams,
            truth: Arc::new(Truth(AtomicUsize::new(0))),
            finished: [None; TOPICS.len()],
            log: Vec::new(),
            pages: routes.into_iter().map(page).collect(),
        }
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Publish { topic } if self.finished[topic].is_some() => {}
            Step::Finish { topic } if self.finished[topic].is_some() => {}
            Step::Finish { topic } => {
                let last = SseEvent::text(self.log.len().to_string());
                let id = self.streams.finish(TOPICS[topic], Some(&last));
                let id = self.runtime.block_on(id).unwrap();
                self.finished[topic] = Some(self.log.len());
                self.log.push(Published { topic, id });
                self.truth.0.store(self.log.len(), Ordering::Relaxed);
            }
            Step::Publish { topic } => {
                let event = SseEvent::text(self.log.len().to_string());
                let id = self.streams.publish(TOPICS[topic], &event, None);
                let id = self.runtime.block_on(id).unwrap();
                self.log.push(Published { topic, id });
                self.truth.0.store(self.log.len(), Ordering::Relaxed);
            }
            Step::Private { client } => {
                if let Some(connection) = &self.pages[client].connection {
                    // A full queue refuses it, which is not tested here.
                    let event = SseEvent::text("private");
                    let sent = connection.stream.prepare(event, Origin::ById);
                    let _ = sent.and_then(|event| connection.stream.push(&event, None));
                }
            }
            Step::Go { client } => self.go(client)?,
            Step::Cut { client, events } => self.cut(client, events)?,
            Step::Close { client } => self.close(client),
            Step::Hooks => self.run_hooks(),
            Step::Restart { head } => self.restart(head),
        }
        Ok(())
    }

    /// Closes the stream. Everything that was published before is written before the end.
    fn close(&mut self, client: usize) {
        let (here, page) = (self.log.len(), &mut self.pages[client]);
        // Topics that are not joined yet do not count for this connection.
        let all = page.route.len();
        let joined_all =
            |connection: &&mut Connection| connection.is_live && connection.joined == all;
        if let Some(connection) = page.connection.as_mut().filter(joined_all) {
            connection.closed_at.get_or_insert(here);
            connection.stream.end(&Ending {
                reason: CloseReason::ServerClosed,
                event: EndEvent::End,
            });
        }
    }

    fn run_hooks(&self) {
        self.runtime.block_on(async {
            for _ in 0..20 {
                yield_now().await;
            }
        });
    }

    fn route(&self, is_plain: bool, has_snapshots: bool) -> Arc<StreamRoute> {
        let verb = if is_plain { Verb::Post } else { Verb::Get };
        let bare = StreamRoute::bare(Arc::clone(&self.streams), verb);
        if !has_snapshots {
            return bare;
        }
        Arc::new(StreamRoute {
            streams: Arc::clone(&self.streams),
            hooks: vec![ControllerHooks::of(&self.truth, &SNAPSHOTS)],
            mappers: Arc::new([]),
            filters: Vec::new(),
            may_reply: false,
            options: bare.options.clone(),
        })
    }

    /// Restarts as a replication does. Streams notice it when they next read, or when an event is sent to them.
    fn restart(&mut self, head: u64) {
        self.finished = [None; TOPICS.len()];
        let epoch = self.streams.hub.epoch() + 1;
        self.streams.hub.restart_at(EventId::new(epoch, head));
    }

    /// Returns how much of the log is up to this id.
    fn place(&self, id: EventId) -> usize {
        let is_before =
            |event: &Published| (event.id.epoch(), event.id.seq()) <= (id.epoch(), id.seq());
        self.log.partition_point(is_before)
    }

    fn go(&mut self, client: usize) -> Result<(), TestCaseError> {
        let page = &self.pages[client];
        let route = self.route(page.is_plain, page.has_snapshots);
        let page = &mut self.pages[client];
        let connection = page.connection.get_or_insert_with(|| Connection {
            stream: Arc::new(StreamState::new()),
            joined: 0,
            is_live: false,
            has_begun: false,
            first_join: None,
            begins: [None; TOPICS.len()],
            had: HashSet::new(),
            closed_at: None,
        });
        connection.stream.register_with(&self.streams);
        let next = page.route.get(connection.joined).copied();
        let (is_attached, is_live) = (connection.stream.request().is_some(), connection.is_live);
        match next {
            Some((When::Handler, topic, at)) => self.join(client, topic, at),
            _ if !is_attached => {
                let request = StreamRequest {
                    route,
                    last_event_id: page.last.clone(),
                    ..request_to(&self.streams)
                };
                prop_assert!(connection.stream.attach(request).is_ok());
            }
            Some((When::Hook, topic, at)) => self.join(client, topic, at),
            _ if !is_live => {
                connection.is_live = true;
                let _runtime = self.runtime.enter();
                let request = connection.stream.request().unwrap();
                connection.stream.go_live(request);
                if !page.is_plain {
                    connection.first_join.get_or_insert(self.log.len());
                }
                connection.begins[EVERYONE] = connection.first_join;
            }
            Some((When::Producer, topic, at)) => self.join(client, topic, at),
            Some((When::Late, topic, at))
                if page.last.is_some() || page.has_snapshots && connection.has_begun =>
            {
                self.join(client, topic, at);
            }
            _ => return self.read(client, usize::MAX),
        }
        Ok(())
    }

    /// Returns the place in the log of the first of the newest events that the topic holds. `None` means the place
    /// of the first join.
    fn newest(&self, topic: usize, count: usize) -> Option<usize> {
        let held = self.streams.hub.topics.find(TOPICS[topic]);
        let floor = held.map_or(0, |topic| topic.lock().ring.floor());
        let above = self.place(self.streams.hub.id(floor));
        let newest = (above..self.log.len()).rev();
        let newest = newest.filter(|place| self.log[*place].topic == topic);
        newest.take(count).last()
    }

    fn join(&mut self, client: usize, topic: usize, at: At) {
        let (here, head) = (self.log.len(), self.streams.hub.head());
        let (at, begins) = match at {
            At::Head => (Replay::Live, None),
            At::Back(events) => {
                let id = self.streams.hub.id(head.saturating_sub(events));
                (Replay::After(id), Some(self.place(id)))
            }
            At::Last(count) => (Replay::Last(count), self.newest(topic, count)),
            At::Earliest => (Replay::Earliest, self.newest(topic, usize::MAX)),
            At::OtherEpoch => (Replay::After(EventId::new(1, 1)), None),
        };
        let page = &mut self.pages[client];
        let Some(connection) = &mut page.connection else {
            return;
        };
        let when = page.route[connection.joined].0;
        connection.joined += 1;
        // A stream that has ended does not join any more.
        let joined = self
            .runtime
            .block_on(connection.stream.join(TOPICS[topic], at));
        if when < When::Late && joined.is_ok() {
            let first_join = *connection.first_join.get_or_insert(here);
            // No connection begins after the last event of a finished topic.
            let last_event = self.finished[topic].unwrap_or(first_join);
            connection.begins[topic] = begins.or(Some(first_join.min(last_event)));
            // A plain stream gets broadcasts from its first join on.
            connection.begins[EVERYONE] = Some(first_join);
        }
    }

    fn cut(&mut self, client: usize, events: usize) -> Result<(), TestCaseError> {
        if self.pages[client].head_may_leave() {
            self.read(client, events)?;
        }
        if let Some(connection) = self.pages[client].connection.take() {
            let _runtime = self.runtime.enter();
            connection.stream.finish(CloseReason::ClientDisconnected);
        }
        Ok(())
    }

    /// Reads one frame. Only so many of its events reach the client.
    fn read(&mut self, client: usize, events: usize) -> Result<(), TestCaseError> {
        self.begin(client)?;
        let _runtime = self.runtime.enter();
        let Some(connection) = &self.pages[client].connection else {
            return Ok(());
        };
        let context = Context::from_waker(Waker::noop());
        let polled = connection
            .stream
            .poll_chunk(&self.streams.hub, Frame::default(), &context);
        match polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(BrokenOff))) => {
                connection.stream.finish(CloseReason::Completed);
                self.pages[client].connection = None;
            }
            Poll::Ready(None) => {
                connection.stream.finish(CloseReason::Completed);
                if self.pages[client].is_plain {
                    self.has_all(client)?;
                }
                self.pages[client].connection = None;
            }
            Poll::Ready(Some(Ok(chunk))) => {
                let text = str::from_utf8(&chunk.bytes).unwrap();
                let control = text.contains("event: helios:") || text.contains("retry:");
                prop_assert!(!control || !self.pages[client].is_plain, "{text}");
                for event in text.split_terminator("\n\n").take(events) {
                    self.take(client, event)?;
                }
            }
        }
        Ok(())
    }

    /// Lets the response head reach the client.
    fn begin(&mut self, client: usize) -> Result<(), TestCaseError> {
        let _runtime = self.runtime.enter();
        let page = &mut self.pages[client];
        let connection = page.connection.as_mut();
        let Some(connection) = connection.filter(|connection| !connection.has_begun) else {
            return Ok(());
        };
        connection.has_begun = true;
        match connection.stream.begin() {
            Beginning::Open(None) => {}
            Beginning::Open(Some(id)) => return self.is_told(client, &id.to_string()),
            Beginning::Over => {
                prop_assert!(page.is_plain);
                connection.closed_at = Some(self.log.len());
                self.has_all(client)?;
                self.pages[client].connection = None;
            }
            Beginning::SentAway => {
                prop_assert!(page.is_plain);
                connection.stream.finish(CloseReason::Rejected);
                page.connection = None;
            }
            Beginning::Gone => {
                prop_assert!(page.is_plain);
                connection.stream.finish(CloseReason::Rejected);
                page.connection = None;
                page.is_refused = true;
                page.begin_anew();
            }
        }
        Ok(())
    }

    /// The client learns that the stream is complete. It must have everything from before the end.
    fn has_all(&mut self, client: usize) -> Result<(), TestCaseError> {
        let connection = self.pages[client].connection.as_ref().unwrap();
        let closed_at = connection.closed_at;
        prop_assert!(closed_at.is_some(), "it ends as if it were complete");
        self.has_all_up_to(client, closed_at.unwrap_or_default())?;
        self.pages[client].begin_anew();
        Ok(())
    }

    /// Lets one event reach the client.
    fn take(&mut self, client: usize, event: &str) -> Result<(), TestCaseError> {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let here = self.log.len();
        let page = &mut self.pages[client];
        let connection = page.connection.as_mut().unwrap();
        let data = field("data: ").unwrap_or_default();
        match field("event: ") {
            Some("snapshot") => {
                let (taken, topics) = data.split_once(' ').unwrap();
                for topic in topics.split(' ') {
                    let topic = TOPICS.iter().position(|name| *name == topic).unwrap();
                    page.excused[topic] = page.excused[topic].max(taken.parse().unwrap());
                }
            }
            Some("helios:reset") if !page.has_snapshots => {
                let reset: serde_json::Value = serde_json::from_str(data).unwrap();
                for (topic, name) in TOPICS.iter().enumerate() {
                    let topics = reset["topics"].as_array().unwrap();
                    if topics.iter().any(|topic| topic == name) {
                        page.excused[topic] = here;
                    }
                }
            }
            None if data != "private" => {
                let event = data.parse().unwrap();
                prop_assert!(connection.had.insert(event), "{event} comes twice");
                page.had.insert(event);
            }
            Some("helios:end") => return self.has_all(client),
            _ => {}
        }
        match field("id: ") {
            Some(id) => self.is_told(client, id),
            None => Ok(()),
        }
    }

    /// Lets an id reach the client.
    fn is_told(&mut self, client: usize, id: &str) -> Result<(), TestCaseError> {
        let page = &mut self.pages[client];
        let connection = page.connection.as_mut().unwrap();
        if page.last.is_none() {
            let all = |begins: Option<usize>| begins.map(|_| 0);
            page.begins = match page.has_snapshots {
                true => connection.begins.map(all),
                false => connection.begins,
            };
        }
        let is_new = page.last.as_deref() != Some(id);
        page.last = Some(id.to_owned());
        match id.parse() {
            Ok(id) if is_new => self.has_all_up_to(client, self.place(id)),
            _ => Ok(()),
        }
    }

    /// Checks that the page has everything that it must have, up to this place in the log.
    fn has_all_up_to(&self, client: usize, place: usize) -> Result<(), TestCaseError> {
        let page = &self.pages[client];
        for (n, event) in self.log.iter().enumerate().take(place) {
            let is_owed = page.begins[event.topic].is_some_and(|begins| n >= begins);
            let is_known = page.had.contains(&n) || n < page.excused[event.topic];
            prop_assert!(
                !is_owed || is_known,
                "{n} of {} is lost, but {:?} was sent",
                TOPICS[event.topic],
                page.last
            );
        }
        Ok(())
    }

    /// Reads until there is nothing more.
    fn settle(&mut self, client: usize) -> Result<(), TestCaseError> {
        for _ in 0..40 + self.log.len() {
            self.run_hooks();
            self.go(client)?;
        }
        let page = &self.pages[client];
        prop_assert!(
            page.connection.is_some() && page.last.is_some()
                || page.is_refused
                // It gets no position before the first event.
                || page.is_plain && page.has_snapshots
                || page.route.iter().all(|(when, ..)| *when == When::Late)
        );
        self.has_all_up_to(client, self.log.len())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_cut_anywhere_has_everything_or_was_told(
        routes in proptest::collection::vec((route(), any::<bool>(), any::<bool>()), CLIENTS),
        steps in proptest::collection::vec(step(), 1..120),
        events in 2_usize..12,
        drops_oldest: bool,
    ) {
        let slow_clients = match drops_oldest {
            true => SlowClients::DropOldest,
            false => SlowClients::Disconnect,
        };
        let mut world = World::new(routes, events, slow_clients);
        for step in &steps {
            world.apply(step)?;
        }
        for client in 0..CLIENTS {
            world.settle(client)?;
        }
    }
}
