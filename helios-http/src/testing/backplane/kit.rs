//! A test kit that makes trouble for a backplane and checks that its guarantees hold.

mod audit;
mod clients;
mod diary;
mod judge;
mod ledger;
mod peer;
mod publishers;
mod report;
mod round;
mod scenarios;
mod world;

use std::sync::Arc;
use std::time::Duration;

use helios_core::hub::HistoryLimits;
use tokio::time::Instant;

pub use report::{Fault, FaultKind, Report};

use super::rig::Rig;
use super::weather::Weather;
use peer::Peer;
use round::Round;
use world::Nodes;

/// The longest storm before a calm.
const STORM: Duration = Duration::from_secs(3);

/// Tests a backplane, first in scenarios and then in storms, with many clients on several nodes. After each storm comes
/// a calm. The kit then compares everything that was published with the events that each client has seen. Its actions
/// follow from its seed, as far as timing allows.
///
/// The default is 2 nodes, 8 clients and 6 topics, for 10 seconds, with all kinds of weather in turn. Trouble may take
/// 15 seconds to heal. A run of half a minute or more also waits for a lease to expire. The kit needs a tokio runtime,
/// preferably with several threads.
///
/// ```
/// use helios::testing::backplane::{InMemory, Kit, Weather};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let kit = Kit::from_env().lasting(Duration::from_millis(300)).in_weather(Weather::windy());
/// kit.run(InMemory::new()).await.assert_clean();
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "run it"]
pub struct Kit {
    seed: u64,
    nodes: usize,
    clients: usize,
    topics: usize,
    lasting: Duration,
    heals_within: Duration,
    history: HistoryLimits,
    weathers: Vec<Weather>,
}

impl Kit {
    /// Creates a kit whose random choices follow from this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            nodes: 2,
            clients: 8,
            topics: 6,
            lasting: Duration::from_secs(10),
            heals_within: Duration::from_secs(15),
            history: HistoryLimits::default(),
            weathers: Vec::new(),
        }
    }

    /// Creates a kit with the seed of the environment variable `HELIOS_SEED`, or with a random one, which the report
    /// names.
    pub fn from_env() -> Self {
        let seed = std::env::var("HELIOS_SEED").ok();
        let seed = seed.and_then(|seed| seed.parse().ok());
        Self::new(seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000)))
    }

    /// Returns the seed. Print it before a run that may hang.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Sets the number of servers at a time.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.max(1);
        self
    }

    /// Sets the number of clients.
    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Sets the number of topics at a time.
    pub fn topics(mut self, topics: usize) -> Self {
        self.topics = topics.max(1);
        self
    }

    /// Sets how long storms last in total, without the calms. There is at least one storm.
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasting = time;
        self
    }

    /// Sets how long everything may take to recover once the trouble is over.
    pub fn heals_within(mut self, time: Duration) -> Self {
        self.heals_within = time;
        self
    }

    /// Sets how much of each topic is kept. Histories are not compared if the age is below 90 seconds.
    pub fn history(mut self, limits: HistoryLimits) -> Self {
        self.history = limits;
        self
    }

    /// Adds a weather. The storms then use only the added ones, in turn, instead of all.
    pub fn in_weather(mut self, weather: Weather) -> Self {
        self.weathers.push(weather);
        self
    }

    /// Runs the kit and returns its report.
    pub async fn run<R: Rig>(self, rig: R) -> Report {
        let mut report = Report::new(self.seed);
        let nodes = Arc::new(Nodes::new(rig, &self));
        // Boxed, because both parts together would make a future that is too large for a stack.
        Box::pin(scenarios::run(&nodes, &mut report)).await;
        if let Some(found) = scenarios::leases(&nodes, self.lasting).await {
            report
                .scenarios
                .push("a lease expires with its rows, and comes back");
            report.add(self.seed, found);
        }
        let may_lose = nodes.rig.may_lose();
        let link = nodes.rig.node(nodes.number());
        match Peer::start(link, may_lose).await {
            Ok(peer) => {
                self.storms(&nodes, &peer, &mut report).await;
                report.add(self.seed, peer.stop().await.err().into_iter().collect());
            }
            Err(found) => report.add(self.seed, vec![found]),
        }
        nodes.stop().await;
        report
    }

    async fn storms<R: Rig>(
        &self,
        nodes: &Arc<Nodes<R>>,
        peer: &Peer<R::Link>,
        report: &mut Report,
    ) {
        for n in 0..nodes.len() {
            if let Err(found) = nodes.replace_in_time(n).await {
                return report.add(self.seed, vec![found]);
            }
        }
        let until = Instant::now() + self.lasting;
        loop {
            // A run with this seed begins with this round.
            let seed = self.seed.wrapping_add(report.rounds);
            let left = until.saturating_duration_since(Instant::now());
            let storm = (seed, left.min(STORM));
            let outcome = Round::new(self, nodes, peer, storm).run().await;
            report.rounds += 1;
            report.events += outcome.events as u64;
            report.connections += outcome.connections;
            report.resets += outcome.resets as u64;
            report.add(seed, outcome.found);
            if Instant::now() >= until {
                return;
            }
        }
    }

    fn weather_of(&self, seed: u64) -> Weather {
        let all = [
            Weather::fine(),
            Weather::windy(),
            Weather::foggy(),
            Weather::stormy(),
            Weather::worst(),
        ];
        let weathers = match self.weathers.is_empty() {
            true => &all[..],
            false => &self.weathers,
        };
        weathers[(seed % weathers.len() as u64) as usize]
    }
}
