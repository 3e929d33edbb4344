//! The board in a file, whose every change is published.

use std::path::{Path, PathBuf};
use std::{fs, io};

use helios::prelude::*;
use tokio::sync::Mutex;

use super::board::{Board, Job};
use super::news::News;

/// Where changes are published. It is also the name of their events.
pub(crate) const TOPIC: &str = "jobs";

/// What would be a database is a small file here.
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

    /// Publishes all jobs: pages go on where they were, and the process may have been killed between a change and its news.
    pub(crate) async fn announce(&self) -> Result<(), SseError> {
        let board = self.board.lock().await;
        let news = board.jobs().iter().map(|job| (TOPIC, news(job)));
        let published = self.sse.publish_all(news).await;
        published.into_iter().try_for_each(|one| one.map(drop))
    }

    /// Makes a change, keeps it, and publishes the job that it is about. `None` means that nothing has changed.
    ///
    /// It runs in a task of its own: a request is dropped when its client leaves, and this is not to be half done.
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
        // First the truth,
        self.write(&changed)
            .map_err(|error| HttpError::internal("a change was not kept").with_source(error))?;
        *board = changed;
        // then the news. The lock is still held, so news are told in the order of the changes.
        self.sse.publish(TOPIC, news(&job)).await?;
        Ok(Some(job))
    }

    /// The file is the old one or the new one, whenever the process is killed. It is a few kilobytes: not worth another
    /// thread.
    fn write(&self, board: &Board) -> io::Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(board)?)?;
        fs::rename(new, &self.file)
    }

    /// Sends all jobs to one page. No change comes between what is read here and what the page gets next; and nobody is
    /// waited for while the lock is held, least of all a client.
    pub(crate) async fn send_all(&self, client: &SseStream) -> Result<(), SseError> {
        let board = self.board.lock().await;
        client.try_send(News::AllJobs(board.clone()))
    }
}

/// A job is published whole, so that a page just puts it in the place of what it had.
fn news(job: &Job) -> News {
    News::Jobs(job.clone())
}
