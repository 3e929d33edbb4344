//! The measurements of servers of events.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use helios_benches::Error;
use helios_benches::reader::{Idle, Readers};
use helios_benches::sse::{Command as Publish, topic};

use crate::candidate::Candidate;
use crate::child::Running;
use crate::scenarios::ready;
use crate::{redis, subjects};

const TOPIC: &str = "/events/t0";
const WARM_UP: Duration = Duration::from_millis(300);

/// The subjects of [`three_nodes`].
const BEHIND_REDIS: &str = "helios-sse-redis";
const ALONE: &str = "helios-sse";

/// Bytes of data in each event, by default.
const SIZE: u32 = 64;

/// A server and its readers.
struct Pair {
    server: Running,
    readers: Readers,
    expected: u64,
}

impl Pair {
    fn start(candidate: Candidate<'_>) -> Result<Self, Error> {
        Self::of(Running::start(candidate)?, candidate)
    }

    fn of(server: Running, candidate: Candidate<'_>) -> Result<Self, Error> {
        let (address, _) = ready(&server)?;
        let idle = match subjects::shares_core_with_load(candidate.subject) {
            true => Idle::Sleep,
            false => Idle::Spin,
        };
        Ok(Self {
            readers: Readers::new(address.parse()?, idle)?,
            server,
            expected: 0,
        })
    }

    fn with_readers(candidate: Candidate<'_>, count: usize) -> Result<Self, Error> {
        Self::start(candidate)?.opened(count)
    }

    fn opened(mut self, count: usize) -> Result<Self, Error> {
        self.readers.open(TOPIC, count)?;
        // The first bytes of each stream are not part of the measurement.
        self.readers.read_for(WARM_UP)?;
        Ok(self)
    }

    /// Publishes, and waits until each of the readers has received everything.
    fn round(&mut self, publish: Publish, readers: usize) -> Result<(), Error> {
        self.server.publish(publish)?;
        self.expected += u64::from(publish.events) * readers as u64;
        self.readers.wait_for(self.expected)
    }

    /// Runs rounds without a pause for this time.
    fn rounds(&mut self, time: Duration, publish: Publish, readers: usize) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.round(publish, readers)?;
        }
        Ok(())
    }

    /// Measures the cost of events when a round begins as soon as each reader has everything of the last one, so that
    /// no reader falls behind.
    fn cost(&mut self, publish: Publish, readers: usize) -> Result<Cost, Error> {
        self.rounds(WARM_UP, publish, readers)?;
        self.cost_of(|pair| pair.rounds(window(), publish, readers))
    }

    /// Measures the cost of the events received during `run`.
    fn cost_of(&mut self, run: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<Cost, Error> {
        let (received, server) = (self.readers.received, self.server.cpu()?);
        let start = Instant::now();
        run(self)?;
        Ok(Cost {
            events: (self.readers.received - received) as f64,
            server: self.server.cpu()? - server,
            time: start.elapsed(),
        })
    }

    /// Publishes at this rate, whether or not the readers keep up.
    fn publish_at(&mut self, rate: u32, time: Duration) -> Result<(), Error> {
        let (start, pause) = (Instant::now(), Duration::from_secs(1) / rate);
        let mut next = start;
        while start.elapsed() < time {
            while next <= Instant::now() {
                self.server.publish(command(1))?;
                next += pause;
            }
            self.readers
                .read_for(next.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }
}

/// The cost of a number of events.
struct Cost {
    events: f64,
    server: Duration,
    time: Duration,
}

impl Cost {
    /// Returns the microseconds of the server's processor time for each event.
    fn micros(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.events
    }

    fn per_cpu_second(&self) -> f64 {
        self.events / self.server.as_secs_f64()
    }

    fn per_second(&self) -> f64 {
        self.events / self.time.as_secs_f64()
    }
}

/// Returns how long rates are measured. `BENCH_WINDOW_MS` makes it longer, for use with a profiler.
fn window() -> Duration {
    let millis = std::env::var("BENCH_WINDOW_MS").ok();
    let millis = millis.and_then(|millis| millis.parse().ok());
    Duration::from_millis(millis.unwrap_or(800))
}

fn command(events: u32) -> Publish {
    Publish {
        events,
        topics: 1,
        size: SIZE,
    }
}

/// Measures events received per second of the server's processor time, and per second.
pub(crate) fn fan_out(
    candidate: Candidate<'_>,
    readers: usize,
    publish: u32,
) -> Result<Vec<f64>, Error> {
    let mut pair = Pair::with_readers(candidate, readers)?;
    let cost = pair.cost(command(publish), readers)?;
    Ok(vec![cost.per_cpu_second(), cost.per_second()])
}

/// Measures events received from three servers at the same time, per second of their processor time, and per second. With Redis, one of
/// them publishes for all. Without, each publishes for itself.
pub(crate) fn three_nodes(candidate: Candidate<'_>, readers: usize) -> Result<Vec<f64>, Error> {
    let redis = match candidate.subject {
        BEHIND_REDIS => Some(redis::Server::start()?),
        _ => None,
    };
    let node = Candidate {
        subject: ALONE,
        ..candidate
    };
    let start = |_| {
        let server = match &redis {
            Some(redis) => Running::start_behind(&redis.url(), node)?,
            None => Running::start(node)?,
        };
        Pair::of(server, node)?.opened(readers)
    };
    let mut nodes: Vec<Pair> = (0..3).map(start).collect::<Result<_, Error>>()?;
    let publishers = match redis {
        Some(_) => 1,
        None => nodes.len(),
    };
    let rounds = |nodes: &mut [Pair], time| {
        let start = Instant::now();
        while start.elapsed() < time {
            for node in &mut nodes[..publishers] {
                node.server.publish(command(1))?;
            }
            for node in &mut *nodes {
                node.expected += readers as u64;
                node.readers.wait_for(node.expected)?;
            }
        }
        Ok::<_, Error>(())
    };
    let so_far = |nodes: &[Pair]| {
        let cpu = nodes.iter().map(|node| node.server.cpu());
        let received: u64 = nodes.iter().map(|node| node.readers.received).sum();
        Ok::<_, Error>((received, cpu.sum::<Result<Duration, Error>>()?))
    };
    rounds(&mut nodes, WARM_UP)?;
    let (received, cpu) = so_far(&nodes)?;
    let start = Instant::now();
    rounds(&mut nodes, window())?;
    let time = start.elapsed();
    let (received_then, cpu_then) = so_far(&nodes)?;
    let cost = Cost {
        events: (received_then - received) as f64,
        server: cpu_then - cpu,
        time,
    };
    Ok(vec![cost.per_cpu_second(), cost.per_second()])
}

/// Measures the microseconds of the server's processor time for an event, by the number of readers of one topic.
pub(crate) fn by_subscribers(candidate: Candidate<'_>, points: &[u32]) -> Result<Vec<f64>, Error> {
    let mut pair = Pair::start(candidate)?;
    let mut open = 0;
    let cost = |readers: &u32| {
        let readers = *readers as usize;
        pair.readers.open(TOPIC, readers - open)?;
        open = readers;
        pair.readers.read_for(WARM_UP)?;
        Ok(pair.cost(command(1), readers)?.micros())
    };
    points.iter().map(cost).collect()
}

/// Measures the same with 10,000 readers, by the number of topics. Each round publishes one event to each topic.
pub(crate) fn by_topics(candidate: Candidate<'_>, points: &[u32]) -> Result<Vec<f64>, Error> {
    const READERS: u32 = 10_000;
    let cost = |topics: &u32| {
        let mut pair = Pair::start(candidate)?;
        let target = |reader| format!("/events/{}", topic(reader % topics));
        let targets: Vec<_> = (0..READERS).map(target).collect();
        pair.readers.open_each(&targets)?;
        pair.readers.read_for(WARM_UP)?;
        let publish = Publish {
            topics: *topics,
            ..command(1)
        };
        Ok(pair.cost(publish, targets.len())?.micros())
    };
    points.iter().map(cost).collect()
}

/// Measures the same with 100 readers, by the size of events.
pub(crate) fn by_size(candidate: Candidate<'_>, points: &[u32]) -> Result<Vec<f64>, Error> {
    const READERS: usize = 100;
    let mut pair = Pair::with_readers(candidate, READERS)?;
    let cost = |size: &u32| {
        let publish = Publish {
            size: *size,
            ..command(1)
        };
        Ok(pair.cost(publish, READERS)?.micros())
    };
    points.iter().map(cost).collect()
}

/// Measures the same with 100 readers, by the number of events a second.
pub(crate) fn by_rate(candidate: Candidate<'_>, points: &[u32]) -> Result<Vec<f64>, Error> {
    const READERS: usize = 100;
    let mut pair = Pair::with_readers(candidate, READERS)?;
    let cost = |rate: &u32| {
        let cost = pair.cost_of(|pair| pair.publish_at(*rate, window()))?;
        pair.readers.read_for(WARM_UP)?;
        Ok(cost.micros())
    };
    points.iter().map(cost).collect()
}

/// Measures the milliseconds from publish to receipt, at 20 events a second. Returns the 99th percentile, the median,
/// and the 99.9th percentile.
pub(crate) fn latency(candidate: Candidate<'_>, readers: usize) -> Result<Vec<f64>, Error> {
    const PAUSE: Duration = Duration::from_millis(50);
    const EVENTS: usize = 40;
    let mut pair = Pair::with_readers(candidate, readers)?;
    pair.rounds(WARM_UP, command(1), readers)?;
    pair.readers.latencies = Some(Vec::with_capacity(EVENTS * readers));
    for _ in 0..EVENTS {
        let next = Instant::now() + PAUSE;
        pair.round(command(1), readers)?;
        sleep(next.saturating_duration_since(Instant::now()));
    }
    let mut latencies = pair.readers.latencies.take().unwrap_or_default();
    latencies.sort_unstable();
    let quantile = |part: f64| {
        let at = (latencies.len() as f64 * part) as usize;
        latencies
            .get(at)
            .map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
    };
    Ok(vec![quantile(0.99), quantile(0.5), quantile(0.999)])
}

/// Measures the events of one generator that never waits, per second of the server's processor time.
pub(crate) fn flat_out(candidate: Candidate<'_>) -> Result<Vec<f64>, Error> {
    let mut pair = Pair::start(candidate)?;
    pair.readers.open("/events/flat-out", 1)?;
    pair.readers.read_for(WARM_UP)?;
    let cost = pair.cost_of(|pair| pair.readers.read_for(window()))?;
    Ok(vec![cost.per_cpu_second()])
}

/// Measures the KiB of memory for each connection that waits for an event.
pub(crate) fn idle(candidate: Candidate<'_>, readers: usize) -> Result<Vec<f64>, Error> {
    let mut pair = Pair::start(candidate)?;
    let before = pair.server.memory()?;
    pair.readers.open(TOPIC, readers)?;
    pair.readers.read_for(WARM_UP)?;
    let grown = pair.server.memory()? as f64 - before as f64;
    Ok(vec![grown / 1024.0 / readers as f64])
}

/// Measures the microseconds of the server's processor time for a connection that opens, gets its first bytes, and
/// closes.
pub(crate) fn set_up(candidate: Candidate<'_>) -> Result<Vec<f64>, Error> {
    const BATCHES: usize = 60;
    const BATCH: usize = 100;
    let mut pair = Pair::with_readers(candidate, BATCH)?;
    pair.readers.close();
    pair.readers.read_for(WARM_UP)?;
    let cpu = pair.server.cpu()?;
    for _ in 0..BATCHES {
        pair.readers.open(TOPIC, BATCH)?;
        pair.readers.close();
    }
    sleep(WARM_UP);
    let cpu = pair.server.cpu()? - cpu;
    Ok(vec![cpu.as_secs_f64() * 1e6 / (BATCHES * BATCH) as f64])
}

/// Measures how many clients can resume per second of the server's processor time, when all come back at once.
pub(crate) fn resume(
    candidate: Candidate<'_>,
    clients: usize,
    missed: u32,
) -> Result<Vec<f64>, Error> {
    const BATCH: usize = 100;
    let mut pair = Pair::with_readers(candidate, 1)?;
    let last = position(&pair.readers.first);
    pair.round(command(missed), 1)?;
    let cpu = pair.server.cpu()?;
    let resume = format!("last-event-id: {last}\r\n");
    let targets = vec![TOPIC.to_owned(); BATCH];
    // In batches, as fast as the server accepts them. More at once would overflow its accept queue, and then wait for a
    // second SYN.
    for _ in 0..clients / BATCH {
        pair.readers.connect(BATCH)?;
        pair.readers.ask(&targets, &resume)?;
        pair.readers.wait_until_open()?;
    }
    pair.readers
        .wait_for(u64::from(missed) * (clients as u64 + 1))?;
    let cpu = pair.server.cpu()? - cpu;
    Ok(vec![clients as f64 / cpu.as_secs_f64()])
}

/// Runs the program that counts allocations, and returns its figure.
pub(crate) fn allocations(candidate: Candidate<'_>) -> Result<Vec<f64>, Error> {
    let mut counting = Command::new(candidate.allocations());
    let said = counting.arg(candidate.subject).output()?;
    match said.status.success() {
        true => Ok(vec![String::from_utf8(said.stdout)?.trim().parse()?]),
        false => Err(String::from_utf8_lossy(&said.stderr).into()),
    }
}

/// Returns the first id on a stream, or any id if there was none.
fn position(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let id = said.lines().find_map(|line| line.strip_prefix("id: "));
    id.unwrap_or("0").to_owned()
}
