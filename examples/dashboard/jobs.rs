//! Routes that start and cancel jobs.

use garde::Validate;
use helios::prelude::*;
use serde::Deserialize;

use super::board::{Board, Job};
use super::news::Kind;
use super::notifications::Notifications;
use super::store::Store;
use super::workers::Workers;

#[derive(Deserialize, Validate, JsonSchema)]
struct NewJob {
    #[garde(range(min = 1_000, max = 10_000_000))]
    below: u32,
}

#[derive(Injectable)]
pub(crate) struct Jobs {
    board: Arc<Store>,
    workers: Arc<Workers>,
    notifications: Arc<Notifications>,
}

#[controller(prefix = "jobs")]
impl Jobs {
    #[post]
    #[http_code(201)]
    async fn start(&self, Json(job): Json<NewJob>) -> Result<Option<Json<Job>>, HttpError> {
        let started = move |board: &mut Board| board.start(job.below).map(Some);
        let job = self.board.change(started).await?;
        self.workers.wake();
        Ok(job.map(Json))
    }

    #[delete("{id}")]
    #[http_code(204)]
    async fn cancel(&self, #[param] id: u64) -> Result<(), HttpError> {
        let cancelled = move |board: &mut Board| board.cancel(id).map(Some);
        self.board.change(cancelled).await?;
        let text = format!("Job {id} was cancelled");
        self.notifications.notify(Kind::Cancelled, text).await?;
        Ok(())
    }
}
