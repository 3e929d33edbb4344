//! The publishers. There is a task for each busy topic, one for all the quiet ones, some for topics that end, and one
//! that sends private events to clients.

use std::sync::atomic::Ordering;

use fastrand::Rng;
use helios::prelude::*;
use helios::sse::EventId;

use crate::post::{self, EVERYONE, LAST, Mark, Post, TOLD, Told};
use crate::server::Log;
use crate::topics::{self, CHORUS, HOT, JOBS, RARE, WARM};

const SMALLEST: f64 = 20.0;
const LARGEST: f64 = 20_000.0;

/// Starts all publishers.
pub(crate) fn start(sse: &SseService, log: &Arc<Log>, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut publisher = |topic: String| Publisher {
        sse: sse.clone(),
        log: Arc::clone(log),
        topic,
        last: Mark::default(),
        rng: rng.fork(),
    };
    for n in 0..HOT {
        tokio::spawn(publisher(topics::hot(n)).publish_every(Duration::from_millis(100)));
    }
    for n in 0..WARM {
        tokio::spawn(publisher(topics::warm(n)).publish_every(Duration::from_millis(500)));
    }
    tokio::spawn(publisher(EVERYONE.to_owned()).publish_every(Duration::from_millis(500)));
    for n in 0..JOBS {
        tokio::spawn(publisher(topics::job(n, 0)).run_jobs(n));
    }
    let rare = (0..RARE).map(|n| publisher(topics::rare(n)));
    tokio::spawn(publish_rarely(rare.collect(), Duration::from_millis(65)));
    tokio::spawn(tell_each(publisher(CHORUS.to_owned())));
}

/// A publisher to one topic.
struct Publisher {
    sse: SseService,
    log: Arc<Log>,
    topic: String,
    last: Mark,
    rng: Rng,
}

impl Publisher {
    fn is_paused(&self) -> bool {
        self.log.paused.load(Ordering::Relaxed)
    }

    /// Publishes at random times, and now and then several events at once.
    async fn publish_every(mut self, mean: Duration) {
        while !self.is_paused() {
            sleep(mean.mul_f64(2.0 * self.rng.f64())).await;
            let burst = if self.rng.u32(..100) == 0 { 10 } else { 1 };
            for _ in 0..burst {
                self.publish().await;
            }
        }
    }

    /// Creates the next event and logs it before anybody can receive it.
    fn write(&mut self) -> (SseEvent, Mark) {
        // Small events are far more frequent than large ones.
        let size = SMALLEST * (LARGEST / SMALLEST).powf(self.rng.f64().powi(3));
        let n = self.last.n + 1;
        let at = post::now();
        let post = Post {
            topic: &self.topic,
            n,
            at,
            before: self.last,
            padding: &PADDING[..size as usize],
        };
        self.log.writes(&self.topic, n);
        let written = Mark { n, at, ..self.last };
        (SseEvent::text(post.to_string()), written)
    }

    async fn publish(&mut self) {
        let (event, written) = self.write();
        let published = match &*self.topic {
            EVERYONE => self.sse.broadcast(event).await,
            topic => self.sse.publish(topic, event).await,
        };
        self.published(written, published);
    }

    fn published(&mut self, written: Mark, published: Result<EventId, SseError>) {
        match published {
            Ok(id) => {
                self.last = Mark { id, ..written };
                self.log.published(&self.topic, self.last);
            }
            Err(error) => self.log.failed(&error),
        }
    }

    /// Runs one job after the other, each with a topic of its own.
    async fn run_jobs(mut self, slot: usize) {
        for round in 0.. {
            if self.is_paused() {
                return;
            }
            self.topic = topics::job(slot, round);
            self.last = Mark::default();
            let takes = Duration::from_secs_f64(1.0 + 11.0 * self.rng.f64());
            let ends_at = post::now() + takes.as_micros() as u64;
            self.log.jobs.begun(self.topic.clone(), ends_at);
            self.work(ends_at).await;
            self.finish().await;
            sleep(Duration::from_secs_f64(self.rng.f64())).await;
        }
    }

    /// Publishes until then, and often right before it too.
    async fn work(&mut self, ends_at: u64) {
        while !self.is_paused() {
            let left = Duration::from_micros(ends_at.saturating_sub(post::now()));
            let step = Duration::from_millis(self.rng.u64(..800));
            sleep(step.min(left)).await;
            if step < left {
                self.publish().await;
                continue;
            }
            for _ in 0..self.rng.u32(..4) {
                self.publish().await;
            }
            return;
        }
    }

    async fn finish(&mut self) {
        let (event, written) = self.write();
        let finished = self.sse.finish_with(&self.topic, event.event(LAST)).await;
        self.published(written, finished);
        self.log.finished(&self.topic);
    }
}

/// Lines of 80 characters, so that an event has many of them.
static PADDING: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let line = format!("{}\n", "0123456789".repeat(8));
    line.repeat(LARGEST as usize / line.len() + 1)
});

/// Publishes to one random topic after the other. Most topics are removed before their next event.
async fn publish_rarely(mut all: Vec<Publisher>, pause: Duration) {
    let mut rng = Rng::with_seed(all.len() as u64);
    loop {
        sleep(pause).await;
        let Some(publisher) = rng.choice(&mut all) else {
            return;
        };
        if publisher.is_paused() {
            return;
        }
        for _ in 0..rng.u32(1..=5) {
            publisher.publish().await;
        }
    }
}

/// How many private events a connection was sent.
#[derive(Clone, Copy)]
struct Count(u64);

/// Sends private events to some clients, in between its own publishes.
async fn tell_each(mut chorus: Publisher) {
    while !chorus.is_paused() {
        sleep(Duration::from_secs(1)).await;
        for client in chorus.sse.clients() {
            if chorus.rng.u32(..4) > 0 {
                continue;
            }
            if chorus.rng.u32(..100) == 0 {
                chorus.publish().await;
            }
            let k = client.get::<Count>().map_or(0, |count| count.0) + 1;
            client.insert(Count(k));
            let told = Told {
                k,
                topic: &chorus.topic,
                n: chorus.last.n,
            };
            let event = SseEvent::text(told.to_string()).event(TOLD);
            // The client may have left, or been cut for being too slow.
            let _ = chorus.sse.send_to_client(client.id(), event).await;
        }
    }
}
