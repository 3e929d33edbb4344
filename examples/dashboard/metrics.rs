//! What the server is doing, once a second.

use std::sync::{Mutex, MutexGuard, PoisonError};

use helios::prelude::*;
use serde::Serialize;
use tokio::time::{Instant, interval};

use super::background::Background;
use super::clock;
use super::process::Process;
use super::recent::Recent;
use super::store::snapshot_of;

pub(crate) const TOPIC: &str = "metrics";

/// Samples kept for who comes later: two minutes.
pub(crate) const KEPT: usize = 120;

const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Serialize)]
struct Sample {
    /// Milliseconds since 1970.
    at: u64,
    /// Percent of one core.
    cpu: f32,
    /// Resident bytes.
    memory: u64,
    connections: usize,
    /// Events written to connections, a second.
    events: f64,
}

type Samples = Mutex<Recent<Sample, KEPT>>;

#[derive(Injectable)]
#[inject(on_start = start, on_stop = stop)]
pub(crate) struct Metrics {
    sse: SseService,
    #[inject(default)]
    samples: Arc<Samples>,
    #[inject(default)]
    background: Background,
}

impl Metrics {
    async fn start(&self) -> Result<(), sysinfo::Error> {
        let sampler = Sampler::new(self.sse.clone(), Arc::clone(&self.samples))?;
        self.background.spawn(|stop| async move {
            stop.run_until_cancelled(sampler.run()).await;
        });
        Ok(())
    }

    async fn stop(&self) {
        self.background.stop().await;
    }

    /// A page knows a sample by its time, so it does not matter if it gets one twice.
    pub(crate) fn send_all(&self, client: &SseStream) -> Result<(), SseError> {
        let all = SseEvent::json(&*lock(&self.samples)).event(snapshot_of(TOPIC));
        client.try_send(all)
    }
}

struct Sampler {
    sse: SseService,
    samples: Arc<Samples>,
    process: Process,
    delivered: u64,
    looked: Instant,
}

impl Sampler {
    fn new(sse: SseService, samples: Arc<Samples>) -> Result<Self, sysinfo::Error> {
        Ok(Self {
            delivered: sse.stats().delivered,
            sse,
            samples,
            process: Process::current()?,
            looked: Instant::now(),
        })
    }

    async fn run(mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.tick().await; // the first is at once, and there is nothing to compare with
        loop {
            ticks.tick().await;
            let sample = self.sample();
            let news = SseEvent::json(&sample).event(TOPIC);
            lock(&self.samples).push(sample);
            if let Err(error) = self.sse.publish(TOPIC, news).await {
                eprintln!("no metrics: {error}");
            }
        }
    }

    fn sample(&mut self) -> Sample {
        let (usage, stats) = (self.process.usage(), self.sse.stats());
        let seconds = self.looked.elapsed().as_secs_f64();
        let delivered = stats.delivered.saturating_sub(self.delivered);
        self.looked = Instant::now();
        self.delivered = stats.delivered;
        Sample {
            at: clock::now(),
            cpu: usage.cpu,
            memory: usage.memory,
            connections: stats.connections,
            events: delivered as f64 / seconds,
        }
    }
}

fn lock(samples: &Samples) -> MutexGuard<'_, Recent<Sample, KEPT>> {
    samples.lock().unwrap_or_else(PoisonError::into_inner)
}
