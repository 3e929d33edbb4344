//! The generations in progress, counted and limited.

use helios::prelude::*;
use tokio::sync::watch;
use tokio_stream::StreamExt;

use super::upstream::{Prompt, Tokens, Upstream};

/// The most generations at once, since each costs money.
const MOST: usize = 100;

#[derive(Injectable)]
pub(crate) struct Generations {
    pub(crate) upstream: Arc<dyn Upstream>,
    #[inject(default)]
    running: watch::Sender<usize>,
}

impl Generations {
    /// Starts a generation. It ends when its tokens are dropped, whether at its end, after a stop, or because a client
    /// has left.
    pub(crate) fn start(&self, prompt: Prompt) -> Result<Tokens, HttpError> {
        if !self.upstream.models().contains(&&*prompt.model) {
            let models = self.upstream.models().join(", ");
            return Err(HttpError::not_found(format!("the models are {models}")));
        }
        let running = Running::begin(&self.running)?;
        let mut tokens = self.upstream.generate(prompt);
        Ok(Box::pin(stream! {
            let _running = running;
            while let Some(token) = tokens.next().await {
                yield token;
            }
        }))
    }
}

/// Counts one generation for as long as it lives.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(count: &watch::Sender<usize>) -> Result<Self, HttpError> {
        let begun = count.send_if_modified(|running| {
            let has_room = *running < MOST;
            *running += usize::from(has_room);
            has_room
        });
        let full = || HttpError::too_many_requests("too many answers are being written");
        begun.then(|| Self(count.clone())).ok_or_else(full)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

#[derive(Injectable)]
pub(crate) struct Watch {
    generations: Arc<Generations>,
}

#[controller(prefix = "generations")]
impl Watch {
    /// Sends how many generations are running, at once and after each change.
    #[sse]
    fn count(&self) -> impl Stream<Item = Json<usize>> + use<> {
        let mut running = self.generations.running.subscribe();
        stream! {
            loop {
                let count = *running.borrow_and_update();
                yield Json(count);
                if running.changed().await.is_err() {
                    break;
                }
            }
        }
    }
}
