//! Measures the log by itself, beside its store with the same options and beside a plain file: many events at the same
//! time, lone events, and opening.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::iter;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use helios::backplane::{Backplane, BackplaneSink, NodeId, Publish, Startup};
use helios::log::{Durability, Log};
use helios::sse::HistoryLimits;
use helios_benches::Error;
use helios_benches::cores::own_cpu;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The prefix of its scenarios' names.
pub(crate) const GROUP: &str = "log";

/// The bytes of data in an event.
pub(crate) const SIZE: usize = 256;

/// The number of publishers, each of which waits for its response. The store and the file write this many events
/// together.
pub(crate) const TOGETHER: u64 = 64;

/// How long rates are measured, after a warm-up of half that time.
pub(crate) const WINDOW: Duration = Duration::from_secs(2);

/// The pause between lone events. There are enough of them to meet the sync of each second a few times.
const PAUSE: Duration = Duration::from_millis(2);
const LONE: usize = 2_000;

/// The number of events in a log to be opened.
const MANY: u64 = 1_000_000;

/// Forgets nothing, since the store and the file do not forget either.
const EVERYTHING: HistoryLimits = HistoryLimits {
    events: usize::MAX,
    age: Duration::from_secs(365 * 24 * 60 * 60),
};

/// A store of events to measure.
trait Target: Sized {
    fn open(folder: &Path, sync: Durability) -> Result<Self, Error>;

    /// Writes as many events as are published at the same time, and syncs them if required.
    fn write(&mut self, from: u64, events: u64) -> Result<(), Error>;
}

/// The store under the log, opened as the log opens it.
struct Store {
    database: Database,
    rows: Keyspace,
    mode: PersistMode,
}

impl Target for Store {
    fn open(folder: &Path, sync: Durability) -> Result<Self, Error> {
        let database = Database::builder(folder)
            .cache_size(16 << 20)
            .max_cached_files(Some(64))
            .max_journaling_size(64 << 20)
            .worker_threads(1)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(8 << 20);
        let rows = database.keyspace("rows", options)?;
        let mode = match sync {
            Durability::Always => PersistMode::SyncData,
            _ => PersistMode::Buffer,
        };
        Ok(Self {
            database,
            rows,
            mode,
        })
    }

    fn write(&mut self, from: u64, events: u64) -> Result<(), Error> {
        let mut batch = self.database.batch();
        for seq in from..from + events {
            let key = [&b"e\0\x04news"[..], &seq.to_be_bytes()].concat();
            batch.insert(&self.rows, key, [b'x'; SIZE + 16]);
        }
        Ok(batch.durability(Some(self.mode)).commit()?)
    }
}

/// A file to which each event is written by itself.
struct Plain {
    file: File,
    sync: Durability,
}

impl Target for Plain {
    fn open(folder: &Path, sync: Durability) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .open(folder.join("file"))?;
        Ok(Self { file, sync })
    }

    fn write(&mut self, _: u64, events: u64) -> Result<(), Error> {
        for _ in 0..events {
            self.file.write_all(&[b'x'; SIZE + 32])?;
        }
        if self.sync == Durability::Always {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// Returns a folder beside this program, which is on a disk. A folder elsewhere may be in memory.
pub(crate) fn folder() -> Result<TempDir, Error> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("a program without a folder")?;
    Ok(tempfile::tempdir_in(folder)?)
}

async fn start(folder: &Path, sync: Durability) -> Result<Arc<Log>, Error> {
    let log = Arc::new(Log::open(folder).durability(sync));
    let node = NodeId::new(1).ok_or("no id of a node")?;
    let startup = Startup::new(node, BackplaneSink::new(|_| true));
    log.start(startup.with_limits(|_| EVERYTHING)).await?;
    log.watch(&["news"]).await?;
    Ok(log)
}

/// Publishes one event, and waits for the response.
trait Publisher: Clone + Send + 'static {
    fn publish(&self) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Publisher for Arc<Log> {
    async fn publish(&self) -> Result<(), Error> {
        let event = Publish::new("news", vec![b'x'; SIZE].into(), EVERYTHING);
        Backplane::publish(&**self, event).await?;
        Ok(())
    }
}

/// Sends an event to the thread of a store, with the sender of the response.
impl Publisher for mpsc::Sender<oneshot::Sender<()>> {
    async fn publish(&self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.send(answer)?;
        Ok(answered.await?)
    }
}

/// Publishes from all tasks until the time or the number of events is reached. Returns how many events there were.
async fn publish_together(
    publisher: &impl Publisher,
    time: Duration,
    most: u64,
) -> Result<u64, Error> {
    let until = Instant::now() + time;
    let mut publishers = JoinSet::new();
    for _ in 0..TOGETHER {
        let publisher = publisher.clone();
        publishers.spawn(async move {
            let mut published = 0;
            while published < most.div_ceil(TOGETHER) && Instant::now() < until {
                publisher.publish().await?;
                published += 1;
            }
            Ok::<u64, Error>(published)
        });
    }
    let mut all = 0;
    while let Some(published) = publishers.join_next().await {
        all += published??;
    }
    Ok(all)
}

/// Measures events a second through the log.
pub(crate) fn log_together(runtime: &Runtime, sync: Durability) -> Result<(), Error> {
    let folder = folder()?;
    runtime.block_on(async {
        let log = start(folder.path(), sync).await?;
        publish_together(&log, WINDOW / 2, u64::MAX).await?;
        let (began, cpu) = (Instant::now(), own_cpu()?);
        let published = publish_together(&log, WINDOW, u64::MAX).await?;
        tell_rate(published, began, cpu)?;
        log.stop().await;
        Ok(())
    })
}

fn together<T: Target>(sync: Durability) -> Result<(), Error> {
    let folder = folder()?;
    let mut target = T::open(folder.path(), sync)?;
    let mut written = 0;
    let mut write_for = |time: Duration| {
        let (began, before) = (Instant::now(), written);
        while began.elapsed() < time {
            target.write(written, TOGETHER)?;
            written += TOGETHER;
        }
        Ok::<_, Error>(written - before)
    };
    write_for(WINDOW / 2)?;
    let (began, cpu) = (Instant::now(), own_cpu()?);
    tell_rate(write_for(WINDOW)?, began, cpu)
}

/// Prints the events per second, and per second of processor time.
pub(crate) fn tell_rate(events: u64, began: Instant, cpu: Duration) -> Result<(), Error> {
    let (time, cpu) = (began.elapsed(), own_cpu()? - cpu);
    let rate = |time: Duration| events as f64 / time.as_secs_f64();
    println!("{} {}", rate(time), rate(cpu));
    Ok(())
}

/// Measures events a second through the store.
pub(crate) fn store_together(sync: Durability) -> Result<(), Error> {
    together::<Store>(sync)
}

/// Measures events a second through the store for publishers that each wait for their response. A thread commits
/// together what they have sent, and answers each. This is the least that a log does, so the rest is its own cost.
pub(crate) fn store_answering(runtime: &Runtime, sync: Durability) -> Result<(), Error> {
    let folder = folder()?;
    let mut store = Store::open(folder.path(), sync)?;
    let (sender, waiting) = mpsc::channel::<oneshot::Sender<()>>();
    let commits = thread::spawn(move || {
        let mut written = 0;
        while let Ok(first) = waiting.recv() {
            let group: Vec<_> = iter::once(first).chain(waiting.try_iter()).collect();
            let events = group.len() as u64;
            store
                .write(written, events)
                .map_err(|error| error.to_string())?;
            written += events;
            for publisher in group {
                // A publisher waits until it is answered.
                let _ = publisher.send(());
            }
        }
        Ok::<(), String>(())
    });
    runtime.block_on(async move {
        publish_together(&sender, WINDOW / 2, u64::MAX).await?;
        let (began, cpu) = (Instant::now(), own_cpu()?);
        let published = publish_together(&sender, WINDOW, u64::MAX).await?;
        tell_rate(published, began, cpu)
    })?;
    commits
        .join()
        .map_err(|_| "the thread of the store panicked")??;
    Ok(())
}

/// Measures events a second into a file.
pub(crate) fn file_together(sync: Durability) -> Result<(), Error> {
    together::<Plain>(sync)
}

/// Prints the 99th percentile, the median and the maximum, in milliseconds.
fn tell(mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: f64| {
        let at = (times.len() as f64 * part) as usize;
        let time = times.get(at.min(times.len().saturating_sub(1)));
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    println!("{} {} {}", at(0.99), at(0.5), at(1.0));
}

/// Measures lone events, one every few milliseconds.
pub(crate) async fn lone(
    mut publish: impl AsyncFnMut(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut times = Vec::with_capacity(LONE);
    for n in 0..LONE as u64 {
        thread::sleep(PAUSE);
        let began = Instant::now();
        publish(n).await?;
        times.push(began.elapsed());
    }
    tell(times);
    Ok(())
}

pub(crate) fn log_alone(runtime: &Runtime) -> Result<(), Error> {
    let folder = folder()?;
    runtime.block_on(async {
        let log = start(folder.path(), Durability::Os).await?;
        lone(async |_| log.publish().await).await?;
        log.stop().await;
        Ok(())
    })
}

pub(crate) fn store_alone(runtime: &Runtime) -> Result<(), Error> {
    let folder = folder()?;
    let mut store = Store::open(folder.path(), Durability::Os)?;
    runtime.block_on(lone(async |n| store.write(n, 1)))
}

pub(crate) fn file_alone(runtime: &Runtime) -> Result<(), Error> {
    let folder = folder()?;
    let mut file = Plain::open(folder.path(), Durability::Os)?;
    runtime.block_on(lone(async |n| file.write(n, 1)))
}

fn millis_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// The subject that writes a log, and the variable that names its folder.
pub(crate) const WRITES: &str = "log-writes";

/// Measures the milliseconds to open a log that was closed, and one whose process was killed.
pub(crate) fn log_open(runtime: &Runtime) -> Result<(), Error> {
    let folder = folder()?;
    let mut writer = std::process::Command::new(std::env::current_exe()?);
    writer.args([crate::child::RUN, WRITES]);
    // The process kills itself, so its status is ignored.
    writer.env(WRITES, folder.path()).status()?;
    let opened = || {
        runtime.block_on(async {
            let began = Instant::now();
            let log = start(folder.path(), Durability::Os).await?;
            let took = millis_since(began);
            log.stop().await;
            Ok::<f64, Error>(took)
        })
    };
    let (killed, closed) = (opened()?, opened()?);
    println!("{} {closed} {killed}", closed.max(killed));
    Ok(())
}

/// Publishes many events, and kills its own process.
pub(crate) fn log_writes(runtime: &Runtime) -> Result<(), Error> {
    let folder = std::env::var_os(WRITES).ok_or("no folder")?;
    runtime.block_on(async {
        let log = start(Path::new(&folder), Durability::Os).await?;
        publish_together(&log, Duration::MAX / 4, MANY).await
    })?;
    std::process::abort();
}

/// Measures the milliseconds to open the store with as many rows.
pub(crate) fn store_open() -> Result<(), Error> {
    let folder = folder()?;
    let mut store = Store::open(folder.path(), Durability::Os)?;
    for from in (0..MANY).step_by(TOGETHER as usize) {
        store.write(from, TOGETHER)?;
    }
    drop(store);
    let began = Instant::now();
    drop(Store::open(folder.path(), Durability::Os)?);
    let took = millis_since(began);
    println!("{took} {took} {}", f64::NAN);
    Ok(())
}
