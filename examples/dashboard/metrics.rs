//! Publishes figures of the server once a second. The topic's history keeps them.

use helios::prelude::*;
use helios::sse::HistoryLimits;
use tokio::time::{Instant, interval};

use super::background::Background;
use super::clock;
use super::news::{News, Sample};
use super::process::Process;

pub(crate) const TOPIC: &str = "metrics";

/// A page shows the figures of the last two minutes.
pub(crate) const KEPT: HistoryLimits = HistoryLimits {
    events: 120,
    age: Duration::from_secs(120),
};

const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Injectable)]
#[inject(on_start = start, on_stop = stop)]
pub(crate) struct Metrics {
    sse: SseService,
    #[inject(default)]
    background: Background,
}

impl Metrics {
    async fn start(&self) -> Result<(), sysinfo::Error> {
        let sampler = Sampler::new(self.sse.clone())?;
        self.background.spawn(|stop| async move {
            stop.run_until_cancelled(sampler.run()).await;
        });
        Ok(())
    }

    async fn stop(&self) {
        self.background.stop().await;
    }
}

struct Sampler {
    sse: SseService,
    process: Process,
    delivered: u64,
    looked: Instant,
}

impl Sampler {
    fn new(sse: SseService) -> Result<Self, sysinfo::Error> {
        Ok(Self {
            delivered: sse.stats().delivered,
            sse,
            process: Process::current()?,
            looked: Instant::now(),
        })
    }

    async fn run(mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.tick().await; // the first comes at once, with nothing to compare
        loop {
            ticks.tick().await;
            // A page knows a sample by its time, so a second copy does no harm.
            let news = News::Metrics(self.sample());
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
