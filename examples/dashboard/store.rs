//! State that survives a restart, and whose every change is published.

use std::path::{Path, PathBuf};
use std::{fs, io};

use helios::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

/// A list that pages show.
pub(crate) trait Stored:
    Clone + Default + Serialize + DeserializeOwned + Send + 'static
{
    /// Where changes are published. It is also the name of their events, and that of the file.
    const TOPIC: &'static str;

    /// What a change is about: published whole, so that a page just puts it in the place of what it had.
    type Item: Serialize + Send;

    /// Corrects what is no longer true when the server starts.
    fn restarted(&mut self) {}
}

/// What would be a database is a small file here.
pub(crate) struct Store<T> {
    file: PathBuf,
    sse: SseService,
    state: Mutex<T>,
}

impl<T: Stored> Store<T> {
    pub(crate) fn open(folder: &Path, sse: &SseService) -> io::Result<Self> {
        let file = folder.join(T::TOPIC).with_extension("json");
        let mut state: T = match file.exists() {
            true => serde_json::from_slice(&fs::read(&file)?)?,
            false => T::default(),
        };
        state.restarted();
        Ok(Self {
            file,
            sse: sse.clone(),
            state: Mutex::new(state),
        })
    }

    /// Makes a change, keeps it, and publishes the item that it is about. `None` means that nothing has changed.
    ///
    /// It runs in a task of its own: a request is dropped when its client leaves, and this is not to be half done.
    pub(crate) async fn change<C>(self: &Arc<Self>, change: C) -> Result<Option<T::Item>, HttpError>
    where
        C: FnOnce(&mut T) -> Result<Option<T::Item>, HttpError> + Send + 'static,
    {
        let store = Arc::clone(self);
        tokio::spawn(async move { store.apply(change).await })
            .await
            .map_err(|error| HttpError::internal("a change was not made").with_source(error))?
    }

    async fn apply<C>(&self, change: C) -> Result<Option<T::Item>, HttpError>
    where
        C: FnOnce(&mut T) -> Result<Option<T::Item>, HttpError>,
    {
        let mut state = self.state.lock().await;
        let mut changed = state.clone();
        let Some(item) = change(&mut changed)? else {
            return Ok(None);
        };
        // First the truth,
        self.write(&changed)
            .map_err(|error| HttpError::internal("a change was not kept").with_source(error))?;
        *state = changed;
        // then the news. The lock is still held, so news are told in the order of the changes.
        let news = SseEvent::json(&item).event(T::TOPIC);
        self.sse.publish(T::TOPIC, news).await?;
        Ok(Some(item))
    }

    /// The file is the old one or the new one, whenever the process is killed. It is a few kilobytes: not worth another
    /// thread.
    fn write(&self, state: &T) -> io::Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(state)?)?;
        fs::rename(new, &self.file)
    }

    /// Sends everything to one page. No change comes between what is read here and what the page gets next; and nobody is
    /// waited for while the lock is held, least of all a client.
    pub(crate) async fn send_all(&self, client: &SseStream) -> Result<(), SseError> {
        let state = self.state.lock().await;
        let snapshot = SseEvent::json(&*state).event(snapshot_of(T::TOPIC));
        client.try_send(snapshot)
    }
}

/// The name of the event that has the whole list of a topic.
pub(crate) fn snapshot_of(topic: &str) -> String {
    format!("{topic}:all")
}
