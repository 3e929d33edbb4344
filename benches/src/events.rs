//! What is measured of servers of events.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use helios_benches::Error;
use helios_benches::reader::Readers;
use helios_benches::sse::Command as Publish;

use crate::child::Running;
use crate::scenarios::ready;

const TOPIC: &str = "/events/t0";
const WARM_UP: Duration = Duration::from_millis(300);

/// Bytes of data in each event, where nothing else is said.
const SIZE: u32 = 64;

/// A server and its readers.
struct Pair {
    server: Running,
    readers: Readers,
    expected: u64,
}

impl Pair {
    fn start(subject: &str) -> Result<Self, Error> {
        let server = Running::start(subject)?;
        let (address, _) = ready(&server)?;
        Ok(Self {
            readers: Readers::new(address.parse()?)?,
            server,
            expected: 0,
        })
    }

    fn with_readers(subject: &str, count: usize) -> Result<Self, Error> {
        let mut pair = Self::start(subject)?;
        pair.readers.open(TOPIC, count)?;
        // What a server says first is read before anything is measured.
        pair.readers.read_for(WARM_UP)?;
        Ok(pair)
    }

    /// Publishes, and waits until so many readers have got it all.
    fn round(&mut self, publish: Publish, readers: usize) -> Result<(), Error> {
        self.server.publish(publish)?;
        self.expected += u64::from(publish.events) * readers as u64;
        self.readers.wait_for(self.expected)
    }

    /// Rounds without a pause, for so long.
    fn rounds(&mut self, time: Duration, publish: Publish, readers: usize) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.round(publish, readers)?;
        }
        Ok(())
    }
}

/// How long rates are measured. `BENCH_WINDOW_MS` makes it longer, for a look with a profiler.
fn window() -> Duration {
    let millis = std::env::var("BENCH_WINDOW_MS").ok();
    let millis = millis.and_then(|millis| millis.parse().ok());
    Duration::from_millis(millis.unwrap_or(1500))
}

fn command(events: u32) -> Publish {
    Publish {
        events,
        topic: 0,
        size: SIZE,
    }
}

/// Events received for each second of the server's processor time, and of time.
///
/// A round begins when each reader has what was published in the last one: nobody falls behind.
pub(crate) fn fan_out(subject: &str, readers: usize, publish: u32) -> Result<Vec<f64>, Error> {
    let mut pair = Pair::with_readers(subject, readers)?;
    let publish = command(publish);
    pair.rounds(WARM_UP, publish, readers)?;
    let (received, cpu, start) = (pair.readers.received, pair.server.cpu()?, Instant::now());
    pair.rounds(window(), publish, readers)?;
    let received = (pair.readers.received - received) as f64;
    let cpu = pair.server.cpu()? - cpu;
    Ok(vec![
        received / cpu.as_secs_f64(),
        received / start.elapsed().as_secs_f64(),
    ])
}

/// Milliseconds from publish to receipt, at 20 events a second: of 99 in 100 events, half, and 999 in 1,000.
pub(crate) fn latency(subject: &str, readers: usize) -> Result<Vec<f64>, Error> {
    const PAUSE: Duration = Duration::from_millis(50);
    const EVENTS: usize = 60;
    let mut pair = Pair::with_readers(subject, readers)?;
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

/// Events of one generator that never waits, for each second of the server's processor time.
pub(crate) fn flat_out(subject: &str) -> Result<Vec<f64>, Error> {
    let mut pair = Pair::start(subject)?;
    pair.readers.open("/events/flat-out", 1)?;
    pair.readers.read_for(WARM_UP)?;
    let (received, cpu) = (pair.readers.received, pair.server.cpu()?);
    pair.readers.read_for(window())?;
    let received = pair.readers.received - received;
    let cpu = pair.server.cpu()? - cpu;
    Ok(vec![received as f64 / cpu.as_secs_f64()])
}

/// KiB of memory for each connection that waits for an event.
pub(crate) fn idle(subject: &str, readers: usize) -> Result<Vec<f64>, Error> {
    let mut pair = Pair::start(subject)?;
    let before = pair.server.memory()?;
    pair.readers.open(TOPIC, readers)?;
    pair.readers.read_for(WARM_UP)?;
    let grown = pair.server.memory()? - before;
    Ok(vec![grown as f64 / 1024.0 / readers as f64])
}

/// Microseconds of the server's processor time for a connection that comes, gets its first bytes, and goes.
pub(crate) fn set_up(subject: &str) -> Result<Vec<f64>, Error> {
    const BATCHES: usize = 60;
    const BATCH: usize = 100;
    let mut pair = Pair::with_readers(subject, BATCH)?;
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

/// Clients for each second of the server's processor time, which all come back at once and resume.
pub(crate) fn resume(subject: &str, clients: usize, missed: u32) -> Result<Vec<f64>, Error> {
    const BATCH: usize = 100;
    let mut pair = Pair::with_readers(subject, 1)?;
    let last = position(&pair.readers.first);
    pair.round(command(missed), 1)?;
    let cpu = pair.server.cpu()?;
    let resume = format!("last-event-id: {last}\r\n");
    // In batches, as fast as the server takes them: more would overflow its backlog, and wait for a second SYN.
    for _ in 0..clients / BATCH {
        pair.readers.connect(BATCH)?;
        pair.readers.ask(TOPIC, &resume, BATCH)?;
        pair.readers.wait_until_open()?;
    }
    pair.readers
        .wait_for(u64::from(missed) * (clients as u64 + 1))?;
    let cpu = pair.server.cpu()? - cpu;
    Ok(vec![clients as f64 / cpu.as_secs_f64()])
}

/// What the program that counts them says.
pub(crate) fn allocations(subject: &str) -> Result<Vec<f64>, Error> {
    let program = std::env::current_exe()?.with_file_name("allocations");
    let said = Command::new(program).arg(subject).output()?;
    match said.status.success() {
        true => Ok(vec![String::from_utf8(said.stdout)?.trim().parse()?]),
        false => Err(String::from_utf8_lossy(&said.stderr).into()),
    }
}

/// The id in what a stream said first; anything, if it said none.
fn position(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let id = said.lines().find_map(|line| line.strip_prefix("id: "));
    id.unwrap_or("0").to_owned()
}

/// How much more an event costs each reader when there are 19,000 of them instead of 1,000.
pub(crate) fn growth(subject: &str) -> Result<Vec<f64>, Error> {
    let few = fan_out(subject, 1_000, 1)?;
    let many = fan_out(subject, 19_000, 1)?;
    Ok(vec![few[0] / many[0]])
}
