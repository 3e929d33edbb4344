//! Everything at once, for a while. Then what was published is compared with what each client saw.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use helios::prelude::*;
use helios::sse::DecodedEvent;
use helios::sse::EventId;
use support::backplane::{Log, Weather};
use support::{DEADLINE, within};
use tokio::time::timeout;

use super::node::Node;

const TOPICS: usize = 6;
const CLIENTS: usize = 8;
const EVENTS: u64 = 1_200;

/// What happened on the whole, to be compared with what each client saw.
#[derive(Default)]
struct World {
    /// Published for certain: number, place in the sequence, topic.
    published: Mutex<BTreeMap<u64, (u64, usize)>>,
    done: AtomicBool,
    resets: AtomicUsize,
    connections: AtomicUsize,
}

impl World {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    fn note(&self, n: u64, topic: usize, published: Result<EventId, SseError>) {
        if let Ok(id) = published {
            let mut published = self.published.lock().unwrap();
            published.insert(n, (id.seq(), topic));
        }
    }
}

/// One client, over all its connections.
struct Reader {
    topics: Vec<usize>,
    last: Option<EventId>,
    began: Option<u64>,
    seen: HashSet<u64>,
    /// Topics that were told to be incomplete up to this place.
    told: BTreeMap<usize, u64>,
    /// Whether events may come late, below what was read.
    late: bool,
}

impl Reader {
    fn names(&self) -> String {
        let names: Vec<_> = self
            .topics
            .iter()
            .map(|topic| format!("t{topic}"))
            .collect();
        names.join("+")
    }

    fn take(&mut self, event: &DecodedEvent, world: &World, log: &Log) {
        if event.event == "helios:overloaded" {
            // Its topics could not be watched.
            return;
        }
        if event.event == "helios:end" {
            let owed = self.owed(world);
            assert!(owed.is_empty(), "{} ends before {owed:?}", self.names());
            return;
        }
        let id: EventId = event.id.parse().unwrap();
        match &*event.event {
            "helios:ready" => {
                // All its joins were before this.
                self.began.get_or_insert_with(|| log.newest());
            }
            "helios:reset" => {
                world.resets.fetch_add(1, Ordering::Relaxed);
                let told: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                for name in told["topics"].as_array().unwrap() {
                    let topic = name.as_str().unwrap().trim_start_matches('t');
                    if let Ok(topic) = topic.parse() {
                        self.told.insert(topic, log.newest());
                    }
                }
            }
            "helios:reconnect" => {}
            _ => {
                let n: u64 = event.data.parse().unwrap();
                assert!(self.seen.insert(n), "{n} came twice: {event:?}");
                let after = self.last.is_none_or(|last| id.is_after(last) == Some(true));
                assert!(after || self.late, "{event:?} comes after {:?}", self.last);
            }
        }
        assert!(
            self.last
                .is_none_or(|last| last.is_after(id) == Some(false)),
            "{event:?} goes back"
        );
        self.last = Some(id);
    }

    /// Connects and reads until its luck runs out, or, at the end, until nothing is owed any more.
    async fn connection(&mut self, node: &Node, world: &World, log: &Log, mut luck: u64) {
        let last = self.last.map(|id| id.to_string());
        let headers: Vec<_> = last.iter().map(|id| ("last-event-id", &**id)).collect();
        let path = format!("/rooms/{}", self.names());
        // It is refused when a watch fails.
        let Some(mut client) = node.server.try_sse(&path, &headers).await else {
            return;
        };
        while luck > 0 || world.is_done() {
            if self.is_done(world) {
                return;
            }
            let next = timeout(DEADLINE / 2, client.next()).await;
            let next = next.unwrap_or_else(|_| {
                let (last, began, owed) = (self.last, self.began, self.owed(world));
                panic!(
                    "{} waits at {last:?} since {began:?} for {owed:?}",
                    self.names()
                )
            });
            match next {
                Some(event) => self.take(&event, world, log),
                None => return,
            }
            luck = luck.saturating_sub(1);
        }
    }

    /// Everything is published, and it has everything.
    fn is_done(&self, world: &World) -> bool {
        let done = world.is_done() && self.began.is_some();
        done && self.owed(world).is_empty()
    }

    /// What it has missed without being told.
    fn owed(&self, world: &World) -> Vec<u64> {
        let Some(began) = self.began else {
            return Vec::new();
        };
        let published = world.published.lock().unwrap();
        let missed = published.iter().filter(|(n, (seq, topic))| {
            let told = self.told.get(topic).is_some_and(|told| seq <= told);
            self.topics.contains(topic) && *seq > began && !told && !self.seen.contains(n)
        });
        missed.map(|(n, _)| *n).collect()
    }
}

async fn publish(node: &Node, world: &World, n: u64, topic: usize) {
    let name = format!("t{topic}");
    let id = node.server.sse.publish(name, n.to_string()).await;
    world.note(n, topic, id);
}

async fn finish(node: &Node, world: &World, n: u64, topic: usize) {
    let name = format!("t{topic}");
    let id = node.server.sse.finish_with(name, n.to_string()).await;
    world.note(n, topic, id);
}

/// What the tasks of one run share.
#[derive(Clone)]
struct Chaos {
    nodes: Arc<[Node; 2]>,
    log: Arc<Log>,
    world: Arc<World>,
    seed: u64,
    weather: Weather,
}

impl Chaos {
    async fn start(seed: u64, keep: usize, weather: Weather) -> Self {
        let log = Log::new(keep);
        let nodes = [
            Node::start(&log, seed).await,
            Node::start(&log, seed + 1).await,
        ];
        for node in &nodes {
            node.link.set_weather(weather);
        }
        Self {
            nodes: Arc::new(nodes),
            log,
            world: Arc::default(),
            seed,
            weather,
        }
    }

    /// Comes and goes, now here, now there, until everything is published and read.
    async fn read(self, n: usize) {
        let mut rng = fastrand::Rng::with_seed(self.seed * 1_000 + n as u64);
        let late = self.weather.drop > 0.0;
        // A silent loss in one topic is found only with that topic's next event.
        let topics = if late { 1 } else { 1 + n % 3 };
        let mut reader = Reader {
            topics: (0..topics).map(|k| (n + 2 * k) % TOPICS).collect(),
            last: None,
            began: None,
            seen: HashSet::new(),
            told: BTreeMap::new(),
            late,
        };
        while !reader.is_done(&self.world) {
            let (node, luck) = (&self.nodes[rng.usize(..2)], rng.u64(1..80));
            let luck = if self.world.is_done() { 0 } else { luck };
            reader.connection(node, &self.world, &self.log, luck).await;
            self.world.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn publish(self, node: usize) {
        let mut rng = fastrand::Rng::with_seed(self.seed * 77 + node as u64);
        for n in 0..EVENTS {
            let n = 2 * n + node as u64;
            publish(&self.nodes[node], &self.world, n, rng.usize(..TOPICS)).await;
            if rng.u8(..4) == 0 {
                sleep(Duration::from_micros(rng.u64(..1_500))).await;
            }
        }
    }

    /// The weather is fine again, and the end of each topic shows what was lost before it.
    async fn calm(&self) {
        for node in self.nodes.iter() {
            node.link.set_weather(Weather::default());
            node.link.flush().await;
        }
        self.world.done.store(true, Ordering::Release);
        for topic in 0..TOPICS {
            let last = u64::MAX - topic as u64;
            finish(&self.nodes[topic % 2], &self.world, last, topic).await;
        }
    }
}

/// How many resets were told.
async fn chaos(seed: u64, keep: usize, weather: Weather) -> usize {
    let chaos = Chaos::start(seed, keep, weather).await;
    let readers = (0..CLIENTS).map(|n| tokio::spawn(chaos.clone().read(n)));
    let readers: Vec<_> = readers.collect();
    for publisher in [0, 1].map(|node| tokio::spawn(chaos.clone().publish(node))) {
        publisher.await.unwrap();
    }
    chaos.calm().await;
    for reader in readers {
        within(reader).await.unwrap();
    }
    let world = &chaos.world;
    let resets = world.resets.load(Ordering::Relaxed);
    let connections = world.connections.load(Ordering::Relaxed);
    let events = world.published.lock().unwrap().len();
    println!("seed {seed}: {events} events, {connections} connections, {resets} resets");
    resets
}

/// Nobody is told of anything that can be made good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_links_that_delay_and_tear_every_client_sees_everything_once_and_in_order() {
    let weather = Weather {
        delay: 2_000,
        tear: 0.01,
        slow: 3_000,
        ..Weather::default()
    };
    for seed in 1..=4 {
        assert_eq!(chaos(seed, usize::MAX, weather).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_links_that_lose_silently_every_client_of_one_topic_sees_everything_or_is_told() {
    let weather = Weather {
        delay: 1_000,
        drop: 0.02,
        tear: 0.005,
        slow: 2_000,
        ..Weather::default()
    };
    for seed in 11..=13 {
        chaos(seed, usize::MAX, weather).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_backplane_at_its_worst_every_client_sees_everything_or_is_told() {
    let weather = Weather {
        delay: 1_000,
        drop: 0.01,
        tear: 0.01,
        no_history: 0.2,
        slow: 2_000,
        no_publish: 0.05,
        no_watch: 0.2,
    };
    for seed in 21..=23 {
        chaos(seed, 40, weather).await;
    }
}
