//! The one stream that a page opens.

use helios::prelude::*;

use super::board::Board;
use super::chat::Messages;
use super::metrics::{self, Metrics};
use super::notifications::Notices;
use super::store::{Store, Stored};

#[derive(Injectable)]
pub(crate) struct Live {
    sse: SseService,
    metrics: Arc<Metrics>,
    board: Arc<Store<Board>>,
    messages: Arc<Store<Messages>>,
    notices: Arc<Store<Notices>>,
}

#[controller(prefix = "live")]
impl Live {
    /// Four topics, one connection, one order, one id to resume them all.
    #[sse]
    async fn stream(&self) -> Result<SseStream, SseError> {
        let topics = [
            metrics::TOPIC,
            Board::TOPIC,
            Messages::TOPIC,
            Notices::TOPIC,
        ];
        self.sse.subscribe(topics).await
    }

    /// Who is new gets everything. Who has been here before gets what it has missed, or is reset.
    #[on_sse_connection]
    async fn opened(&self, client: SseStream) -> Result<(), SseError> {
        if client.last_event_id().is_none() {
            self.send_all(&client, |_| true).await?;
        }
        // Behind all that was published until now: here a page that resumes is up to date. One that is reset is when its
        // second `helios:ready` comes.
        client.try_send(SseEvent::json(()).event("caught-up"))
    }

    /// What was missed is not to be had: after a restart all of it, after a long sleep perhaps only the metrics.
    #[on_sse_reset]
    async fn missed(&self, client: SseStream, reset: &SseReset) -> Result<(), SseError> {
        self.send_all(&client, |topic| reset.concerns(topic)).await
    }
}

impl Live {
    async fn send_all(
        &self,
        client: &SseStream,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), SseError> {
        if wanted(metrics::TOPIC) {
            self.metrics.send_all(client)?;
        }
        if wanted(Board::TOPIC) {
            self.board.send_all(client).await?;
        }
        if wanted(Messages::TOPIC) {
            self.messages.send_all(client).await?;
        }
        if wanted(Notices::TOPIC) {
            self.notices.send_all(client).await?;
        }
        Ok(())
    }
}
