//! A storm and the calm after it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use helios_core::hub::EventId;
use helios_core::sse::SseError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::rig::Rig;
use super::diary::Diary;
use super::judge::{Page, Remembered, Rules, judge, judge_history};
use super::ledger::Ledger;
use super::peer::{Peer, page_of};
use super::report::{FaultKind, Found, said};
use super::world::{Goal, Nodes, World};
use super::{Kit, clients, publishers};
use crate::failure::with_causes;
use crate::sse::backplane::Ask;
use crate::sync::lock;

/// Publishers of one node.
const PUBLISHERS: usize = 2;

/// The most topics of one client.
const TOPICS: usize = 3;

/// The longest time of a round.
const LONGEST: Duration = Duration::from_secs(90);

/// The results of a round.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) events: usize,
    pub(super) connections: u64,
    pub(super) resets: usize,
    pub(super) found: Vec<Found>,
}

pub(super) struct Round<'a, R: Rig> {
    kit: &'a Kit,
    world: Arc<World<R>>,
    peer: &'a Peer<R::Link>,
    rules: Rules,
    storm: Duration,
    rng: Rng,
    found: Vec<Found>,
}

impl<'a, R: Rig> Round<'a, R> {
    pub(super) fn new(
        kit: &'a Kit,
        nodes: &Arc<Nodes<R>>,
        peer: &'a Peer<R::Link>,
        (seed, storm): (u64, Duration),
    ) -> Self {
        let weather = kit.weather_of(seed);
        nodes.set_weather(weather);
        // Random, so that no other round has it, not even in another run on the same store.
        let name = fastrand::u64(..);
        let topics = (0..kit.topics).map(|n| format!("kit-{name:x}-{n}").into());
        let rig = &nodes.rig;
        let world = World {
            nodes: Arc::clone(nodes),
            is_silent: weather.drop > 0.0 || rig.may_lose(),
            topics: topics.collect(),
            everyone: "*".into(),
            ledger: Mutex::new(Ledger::of_round(name)),
            is_calm: AtomicBool::new(false),
            goal: watch::Sender::new(None),
            connections: AtomicU64::new(0),
        };
        Self {
            kit,
            peer,
            rules: Rules {
                late: world.is_silent,
                resets: !weather.is_made_good()
                    || rig.may_lose()
                    || rig.begins_anew()
                    || kit.history.age < LONGEST,
                epochs: rig.begins_anew(),
            },
            world: Arc::new(world),
            storm,
            rng: Rng::with_seed(seed),
            found: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) -> Outcome {
        if let Err(found) = self.watch().await {
            self.found.push(found);
        }
        let clients = self.clients();
        self.storm().await;
        self.heal().await;
        let epoch = self.last_events().await;
        let diaries = self.arrive(clients, epoch).await;
        self.check_handed(epoch).await;
        if let Err(found) = self.check_history(epoch).await {
            self.found.push(found);
        }
        self.judged(&diaries)
    }

    fn topics(&self) -> Vec<&str> {
        self.world.topics.iter().map(|topic| &**topic).collect()
    }

    /// Lets the audit listen to all topics of this round.
    async fn watch(&self) -> Result<(), Found> {
        lock(&self.peer.audit).is_torn = false;
        self.peer.watch(&self.topics()).await.map(drop)
    }

    fn clients(&mut self) -> Vec<JoinHandle<(Diary, bool)>> {
        let most = match self.world.is_silent {
            true => 1,
            false => TOPICS,
        };
        let clients = 0..self.kit.clients;
        clients
            .map(|_| {
                let mut topics = self.world.topics.clone();
                self.rng.shuffle(&mut topics);
                topics.truncate(self.rng.usize(1..=most));
                let rng = self.rng.fork();
                tokio::spawn(clients::run(Arc::clone(&self.world), topics, rng))
            })
            .collect()
    }

    async fn storm(&mut self) {
        let nodes = self.world.nodes.len();
        let mut tasks = Vec::new();
        for node in (0..nodes).cycle().take(nodes * PUBLISHERS) {
            let (world, rng) = (Arc::clone(&self.world), self.rng.fork());
            tasks.push(tokio::spawn(publishers::run(world, node, rng)));
        }
        let (world, rng) = (Arc::clone(&self.world), self.rng.fork());
        tasks.push(tokio::spawn(trouble(world, rng)));
        sleep(self.storm).await;
        self.world.is_calm.store(true, Ordering::Release);
        for task in tasks {
            if task.await.is_err() {
                self.found
                    .push((FaultKind::Failed, "a publisher panicked".to_owned()));
            }
        }
    }

    /// Ends all trouble.
    async fn heal(&mut self) {
        let nodes = &self.world.nodes;
        nodes.set_weather(super::super::weather::Weather::fine());
        nodes.rig.heal().await;
        for n in 0..nodes.len() {
            if nodes.hub(n).is_none()
                && let Err(found) = nodes.replace_in_time(n).await
            {
                self.found.push(found);
            }
        }
        let until = Instant::now() + self.kit.heals_within;
        self.found.extend(self.peer.until_well(until).await.err());
    }

    /// Ends half of the topics, and publishes a last event to the others. Returns the current epoch.
    async fn last_events(&mut self) -> u64 {
        let mut topics = self.world.topics.clone();
        if !self.world.is_silent {
            topics.push(Arc::clone(&self.world.everyone));
        }
        let until = Instant::now() + self.kit.heals_within;
        let mut newest = None;
        for (n, topic) in topics.iter().enumerate() {
            let node = n % self.world.nodes.len();
            let with_event = self.rng.bool() || self.world.is_silent;
            let answer = loop {
                let answer = match n % 2 == 1 && n < self.world.topics.len() {
                    true => publishers::finish(&self.world, node, topic, with_event).await,
                    false => publishers::last(&self.world, node, topic).await,
                };
                let is_final = matches!(answer, Ok(_) | Err(SseError::TopicFinished(_)));
                if is_final || Instant::now() > until {
                    break answer;
                }
                sleep(Duration::from_millis(20)).await;
            };
            match answer {
                Ok(id) => newest = Some(id),
                Err(SseError::TopicFinished(_)) => {}
                Err(error) => {
                    let error = with_causes(&error);
                    let what = format!("nothing can be published to {topic} in the calm: {error}");
                    self.found.push((FaultKind::Failed, what));
                }
            }
        }
        newest.map_or(0, EventId::epoch)
    }

    /// Waits until all clients have reached the newest events.
    async fn arrive(&mut self, clients: Vec<JoinHandle<(Diary, bool)>>, epoch: u64) -> Vec<Diary> {
        let goal = {
            let ledger = lock(&self.world.ledger);
            let topics = self.world.topics.iter();
            let finished = topics.filter(|topic| ledger.is_finished(topic, epoch));
            Goal {
                until: Instant::now() + self.kit.heals_within,
                epoch,
                finished: Arc::new(finished.cloned().collect()),
                heads: Arc::new(ledger.heads(epoch)),
            }
        };
        self.world.goal.send_replace(Some(goal.clone()));
        let mut diaries = Vec::new();
        for (n, client) in clients.into_iter().enumerate() {
            match client.await {
                Ok((diary, is_there)) => {
                    if !is_there {
                        let (topics, last) = (diary.topics.join(" and "), said(diary.last));
                        let heads = diary.topics.iter().filter_map(|it| goal.heads.get(it));
                        let heads: Vec<_> = heads.collect();
                        let what = format!(
                            "client {n} of {topics} is at {last}, and the newest numbers are {heads:?}"
                        );
                        self.found.push((FaultKind::Stuck, what));
                    }
                    diaries.push(diary);
                }
                Err(_) => self
                    .found
                    .push((FaultKind::Failed, "a client panicked".to_owned())),
            }
        }
        diaries
    }

    /// Checks that the link of the audit has received everything.
    async fn check_handed(&mut self, epoch: u64) {
        let until = Instant::now() + self.kit.heals_within;
        loop {
            let missing = self.not_handed(epoch);
            if missing.is_empty() {
                return;
            }
            if Instant::now() > until {
                let found = missing.into_iter().map(|what| (FaultKind::Missed, what));
                return self.found.extend(found);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn not_handed(&self, epoch: u64) -> Vec<String> {
        let (ledger, audit) = (lock(&self.world.ledger), lock(&self.peer.audit));
        if audit.is_torn || self.world.nodes.rig.may_lose() {
            return Vec::new();
        }
        let published = ledger.published().into_iter();
        let missing = published.filter_map(|(id, post)| {
            let topic = &ledger.posts[post].topic;
            let is_missing = id.epoch() == epoch && !audit.has(topic, id);
            is_missing.then(|| format!("{id} in {topic} is never handed over"))
        });
        missing.collect()
    }

    async fn check_history(&mut self, epoch: u64) -> Result<(), Found> {
        let is_kept = self.kit.history.age >= LONGEST;
        for topic in self.world.topics.clone().into_iter().filter(|_| is_kept) {
            let first = {
                let ledger = lock(&self.world.ledger);
                let mut published = ledger.published().into_iter();
                let first = published
                    .find(|(id, post)| id.epoch() == epoch && ledger.posts[*post].topic == topic);
                first.map(|(id, _)| EventId::new(epoch, id.seq().saturating_sub(1)))
            };
            let Some(first) = first else { continue };
            let newest = self.peer.history(Ask::newest(&topic)).await?;
            let all = self.peer.all_after(&topic, first, 50).await?;
            let remembered = Remembered {
                topic: &topic,
                epoch,
                kept: self.kit.history.events,
                newest: newest.map_or_else(Page::new, |(events, _)| page_of(&events)),
                all: all.map(|events| page_of(&events)),
            };
            self.found
                .extend(judge_history(&lock(&self.world.ledger), &remembered));
            let pages = remembered
                .newest
                .into_iter()
                .chain(remembered.all.unwrap_or_default());
            let sights = pages.filter_map(|(id, mark)| Some((id, mark?)));
            lock(&self.peer.audit).add_sights(sights);
        }
        self.peer.unwatch(&self.topics()).await
    }

    fn judged(mut self, diaries: &[Diary]) -> Outcome {
        let ledger = lock(&self.world.ledger);
        let (sights, of_audit) = lock(&self.peer.audit).take_found();
        let mut counts = std::collections::HashMap::<_, usize>::new();
        for post in &ledger.posts {
            *counts.entry(&post.topic).or_default() += post.attempts.len();
        }
        let is_over = |count: &usize| *count > self.kit.history.events;
        self.rules.resets |= counts.values().any(is_over);
        let mut found = std::mem::take(&mut self.found);
        found.extend(of_audit);
        found.extend(judge(&ledger, diaries, &sights, self.rules));
        Outcome {
            events: ledger.published().len(),
            connections: self.world.connections.load(Ordering::Relaxed),
            resets: diaries.iter().map(Diary::resets).sum(),
            found,
        }
    }
}

/// Replaces and holds nodes, and lets the rig make its own trouble.
async fn trouble<R: Rig>(world: Arc<World<R>>, mut rng: Rng) {
    let nodes = &world.nodes;
    while !world.is_calm() {
        sleep(Duration::from_millis(rng.u64(50..600))).await;
        let node = rng.usize(..nodes.len());
        match rng.u8(..6) {
            // A node that does not start is started again in the calm.
            0 => drop(nodes.replace(node).await),
            1 => {
                let time = Duration::from_millis(rng.u64(..150));
                nodes.hold(node, time).await;
            }
            _ => nodes.rig.trouble(rng.u64(..)).await,
        }
    }
}
