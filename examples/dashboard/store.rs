//! The board in a file. Every change is published.

use std::path::{Path, PathBuf};
use std::{fs, io};

use helios::prelude::*;
use tokio::sync::Mutex;

use super::board::{Board, Job};
use super::news::News;

/// The topic of changes, and the name of their events.
pub(crate) const TOPIC: &str = "jobs";

/// A small file in place of a database.
pub(crate) struct Store {
    file: PathBuf,
    sse: SseService,
    board: Mutex<Board>,
}

impl Store {
    pub(crate) fn open(folder: &Path, sse: &SseService) -> io::Result<Self> {
        let file = folder.join("jobs.json");
        let mut board: Board = match file.exists() {
            true => serde_json::from_slice(&fs::read(&file)?)?,
            false => Board::default(),
        };
        board.restarted();
        Ok(Self {
            file,
            sse: sse.clone(),
            board: Mutex::new(board),
        })
    }

    /// Publishes all jobs at a start. The process may have been killed after a change and before its event, and pages resume without
    /// a snapshot.
    pub(crate) async fn announce(&self) -> Result<(), SseError> {
        let board = self.board.lock().await;
        let news = board.jobs().iter().map(|job| (TOPIC, news(job)));
        let published = self.sse.publish_all(news).await;
        published.into_iter().try_for_each(|one| one.map(drop))
    }

    /// Makes a change, writes it, and publishes the changed job. Returns `None` if nothing has changed.
    ///
    /// It runs in a task of its own, because a request is dropped when its client leaves.
    pub(crate) async fn change<C>(self: &Arc<Self>, change: C) -> Result<Option<Job>, HttpError>
    where
        C: FnOnce(&mut Board) -> Result<Option<Job>, HttpError> + Send + 'static,
    {
        let store = Arc::clone(self);
        tokio::spawn(async move { store.apply(change).await })
            .await
            .map_err(|error| HttpError::internal("a change was not made").with_source(error))?
    }

    async fn apply<C>(&self, change: C) -> Result<Option<Job>, HttpError>
    where
        C: FnOnce(&mut Board) -> Result<Option<Job>, HttpError>,
    {
        let mut board = self.board.lock().await;
        let mut changed = board.clone();
        let Some(job) = change(&mut changed)? else {
            return Ok(None);
        };
        // The file comes first. Nobody hears of a change that a crash could undo.
        self.write(&changed)
            .map_err(|error| HttpError::internal("a change was not kept").with_source(error))?;
        *board = changed;
        // The lock is still held, so events are published in the order of the changes.
        self.sse.publish(TOPIC, news(&job)).await?;
        Ok(Some(job))
    }

    /// Replaces the file in one step, so a killed process leaves the old or the new one. A few kilobytes are not worth another thread.
    fn write(&self, board: &Board) -> io::Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(board)?)?;
        fs::rename(new, &self.file)
    }

    /// Sends all jobs to one page. The lock keeps changes out until they are sent. `try_send` does not wait, so no client can hold the
    /// lock.
    pub(crate) async fn send_all(&self, client: &SseStream) -> Result<(), SseError> {
        let board = self.board.lock().await;
        client.try_send(News::AllJobs(board.clone()))
    }
}

/// Returns an event with the whole job, so that a page just replaces its copy.
fn news(job: &Job) -> News {
    News::Jobs(job.clone())
}
