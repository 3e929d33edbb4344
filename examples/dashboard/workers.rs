//! Two workers. Each does one job at a time, and the other jobs wait.

use helios::prelude::*;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::background::Background;
use super::board::{Board, Job, State};
use super::news::Kind;
use super::notifications::Notifications;
use super::primes;
use super::store::Store;

const WORKERS: usize = 2;

/// The rest after each slice, so that the eye can follow.
const REST: Duration = Duration::from_millis(40);

#[derive(Injectable)]
#[inject(on_start = start, on_stop = stop)]
pub(crate) struct Workers {
    board: Arc<Store>,
    notifications: Arc<Notifications>,
    #[inject(default)]
    wanted: watch::Sender<()>,
    #[inject(default)]
    background: Background,
}

impl Workers {
    async fn start(&self) -> Result<(), SseError> {
        self.board.announce().await?;
        for _ in 0..WORKERS {
            let worker = Worker {
                board: Arc::clone(&self.board),
                notifications: Arc::clone(&self.notifications),
                wanted: self.wanted.subscribe(),
            };
            self.background.spawn(|stop| worker.run(stop));
        }
        Ok(())
    }

    async fn stop(&self) {
        self.background.stop().await;
    }

    /// Wakes the workers for a new job.
    pub(crate) fn wake(&self) {
        self.wanted.send_replace(());
    }
}

struct Worker {
    board: Arc<Store>,
    notifications: Arc<Notifications>,
    wanted: watch::Receiver<()>,
}

impl Worker {
    /// Works until the server stops. An unfinished job goes on from its last slice after a restart.
    async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.work(&stop).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => eprintln!("no work: {error}"),
            }
            stop.run_until_cancelled(self.wanted.changed()).await;
        }
    }

    /// Does the next job. Returns whether there was one.
    async fn work(&self, stop: &CancellationToken) -> Result<bool, HttpError> {
        let Some(mut job) = self.board.change(|board| Ok(board.take())).await? else {
            return Ok(false);
        };
        while job.state == State::Running && !stop.is_cancelled() {
            let slice = job.slice();
            let found = spawn_blocking(|| primes::count(slice)).await;
            let found = found.map_err(|error| HttpError::internal("work").with_source(error))?;
            sleep(REST).await;
            let id = job.id;
            let noted = move |board: &mut Board| Ok(board.advance(id, found));
            match self.board.change(noted).await? {
                Some(next) => job = next,
                None => return Ok(true), // cancelled
            }
        }
        if job.state == State::Done {
            self.tell(&job).await?;
        }
        Ok(true)
    }

    async fn tell(&self, job: &Job) -> Result<(), HttpError> {
        let (found, below) = (grouped(job.found), grouped(job.below));
        let text = format!("Job {} is done: {found} primes below {below}", job.id);
        self.notifications.notify(Kind::Done, text).await?;
        Ok(())
    }
}

/// Writes a number for people, such as `1,000,000`.
fn grouped(n: u32) -> String {
    match n / 1000 {
        0 => n.to_string(),
        thousands => format!("{},{:03}", grouped(thousands), n % 1000),
    }
}
