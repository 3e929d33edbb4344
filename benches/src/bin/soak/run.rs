//! The course of a soak.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::child::Running;
use crate::drain;
use crate::hostile::{self, Fates};
use crate::kind::Kind;
use crate::life::Life;
use crate::post::{Mark, MarkText};
use crate::report::{Left, Report};
use crate::series::Series;
use crate::server::{RETENTION, Stats};
use crate::world::World;
use crate::{Error, control};

/// Connections that get no events when the server is ended.
const IDLE: usize = 5_000;
/// Clients that are away or stuck come back and read what they have missed. A client with a full socket may learn that
/// it was cut only from the kernel's next probe, up to 15 s later.
const SETTLE: Duration = Duration::from_secs(25);
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Plan {
    pub(crate) minutes: f64,
    pub(crate) clients: usize,
    pub(crate) hostile: usize,
    pub(crate) seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            minutes: 10.0,
            clients: 3_000,
            hostile: 0,
            seed: 1,
        }
    }
}

impl Plan {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(60.0 * self.minutes)
    }

    /// Returns the same plan with good clients in place of hostile ones.
    pub(crate) fn in_peace(&self) -> Self {
        Self {
            clients: self.clients + self.hostile,
            hostile: 0,
            ..*self
        }
    }

    /// The time after which memory should be stable, and before which no hostile peers come.
    pub(crate) fn warm_up(&self) -> Duration {
        (self.duration() / 4).min(Duration::from_secs(60))
    }
}

/// Runs a soak. `peaceful` is the latency of most events without hostile peers.
pub(crate) async fn run(plan: &Plan, peaceful: Option<Duration>) -> Result<Report, Error> {
    let orphans = hostile::orphans()?;
    let mut server = Running::start(plan.seed)?;
    let world = Arc::new(World::new(server.address));
    let _: Stats = control::get(server.address, "/stats").await?;
    let descriptors = server.descriptors()?;
    let mut rng = Rng::with_seed(plan.seed);
    let jobs = tokio::spawn(hear_of_jobs(Arc::clone(&world)));
    let mut lives = JoinSet::new();
    for name in 0..plan.clients {
        let kind = Kind::any(&mut rng).traits();
        lives.spawn(Life::new(Arc::clone(&world), name, kind, rng.fork()).run());
    }
    let attacked = attack(plan, &world, rng.fork());
    let (watched, fates) = tokio::join!(watch(plan, &server), attacked);
    let (watched, fates) = (watched?, fates?);
    let stats = settle(&world).await?;
    jobs.abort();
    let all_go = async {
        while let Some(gone) = lives.join_next().await {
            gone?;
        }
        Ok::<(), Error>(())
    };
    timeout(LEAVE_WITHIN, all_go)
        .await
        .map_err(|_| "a client does not go")??;
    let left = what_is_left(&server, descriptors).await?;
    let orphans = hostile::orphans()?.saturating_sub(orphans);
    let memory_left = control::get::<Stats>(server.address, "/stats").await?;
    let memory_left = memory_left.live_bytes;
    let drained = drain::drain(&mut server, IDLE).await?;
    Ok(Report {
        duration: plan.duration(),
        seed: plan.seed,
        clients: plan.clients,
        watched,
        stats,
        left,
        memory_left,
        drained,
        fates,
        orphans,
        peaceful,
        world,
    })
}

/// Waits for the middle third of the time, and attacks during it from a thread of its own.
async fn attack(plan: &Plan, world: &World, rng: Rng) -> Result<Arc<Fates>, Error> {
    let third = plan.duration() / 3;
    sleep(third).await;
    let (fates, thread) = hostile::attack(world.server, plan.hostile, third, rng)?;
    world.set_middle(true);
    sleep(third).await;
    world.set_middle(false);
    let joined = tokio::task::spawn_blocking(|| thread.join()).await?;
    joined.map_err(|_| "a hostile peer has panicked")?;
    Ok(fates)
}

/// Polls the server for the current jobs.
async fn hear_of_jobs(world: Arc<World>) {
    loop {
        match control::get(world.server, "/jobs").await {
            Ok(jobs) => world.jobs.set(jobs),
            Err(error) => eprintln!("jobs: {error}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Measurements of the processes while clients were connected.
pub(crate) struct Watched {
    /// Bytes that the server has allocated and not freed, since the warm-up. These are judged.
    pub(crate) memory: Series,
    /// Resident memory, including what the allocator keeps, since the warm-up.
    pub(crate) resident: Series,
    /// Open connections, on average.
    pub(crate) connections: f64,
    /// As a share of one core.
    pub(crate) server_cpu: f64,
    pub(crate) own_cpu: f64,
    /// The longest time for which the clients' own thread was delayed.
    pub(crate) own_delay: Duration,
}

async fn watch(plan: &Plan, server: &Running) -> Result<Watched, Error> {
    let started = Instant::now();
    let (mut memory, mut resident) = (Series::default(), Series::default());
    let (mut connections, mut looks) = (0, 0);
    let mut own_delay = Duration::ZERO;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while started.elapsed() < plan.duration() {
        let due = seconds.tick().await;
        own_delay = own_delay.max(due.elapsed());
        let stats: Stats = control::get(server.address, "/stats").await?;
        let second = started.elapsed().as_secs_f64();
        memory.add(second, stats.live_bytes);
        resident.add(second, server.resident()?);
        connections += stats.connections;
        looks += 1;
        if looks % 30 == 0 {
            let seconds = started.elapsed().as_secs();
            let Stats {
                connections,
                topics,
                live_bytes,
                ..
            } = stats;
            let mib = live_bytes as f64 / 1_048_576.0;
            eprintln!("{seconds} s: {connections} connections, {topics} topics, {mib:.1} MiB");
        }
    }
    let took = started.elapsed().as_secs_f64();
    Ok(Watched {
        memory: memory.since(plan.warm_up().as_secs_f64()),
        resident: resident.since(plan.warm_up().as_secs_f64()),
        connections: connections as f64 / f64::from(looks),
        server_cpu: server.cpu()?.as_secs_f64() / took,
        own_cpu: helios_benches::cores::own_cpu()?.as_secs_f64() / took,
        own_delay,
    })
}

/// Stops publishing. All clients come back, read the rest, and check that nothing is missing.
async fn settle(world: &World) -> Result<Stats, Error> {
    let server = world.server;
    control::ask(server, "POST", "/pause").await?;
    world.behave();
    sleep(SETTLE).await;
    let marks: HashMap<String, MarkText> = control::get(server, "/marks").await?;
    let marks = marks
        .into_iter()
        .filter_map(|(topic, mark)| Some((topic, mark.mark()?)));
    let marks: HashMap<String, Mark> = marks.collect();
    let stats = control::get(server, "/stats").await?;
    world.end(marks);
    Ok(stats)
}

/// Waits until the server holds nothing, or should hold nothing.
async fn what_is_left(server: &Running, descriptors: usize) -> Result<Left, Error> {
    let look = async || -> Result<Left, Error> {
        let stats: Stats = control::get(server.address, "/stats").await?;
        Ok(Left {
            connections: stats.connections + stats.clients,
            descriptors: server.descriptors()?.saturating_sub(descriptors),
            topics: stats.topics,
            hooks: stats.hooks,
        })
    };
    let give_up = Instant::now() + RETENTION + LEAVE_WITHIN;
    loop {
        let left = look().await?;
        if left.is_nothing() || Instant::now() > give_up {
            return Ok(left);
        }
        sleep(Duration::from_secs(1)).await;
    }
}
