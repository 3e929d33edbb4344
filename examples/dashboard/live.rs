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

    /// Behind all that was published until now: here a page that resumes is up to date. Any other one is when its second
    /// `helios:ready` comes.
    #[on_sse_connection]
    fn opened(&self, client: SseStream) -> Result<(), SseError> {
        match client.last_event_id() {
            Some(_) => client.try_send(SseEvent::json(()).event("caught-up")),
            None => Ok(()),
        }
    }

    /// A new page needs everything. So does every page after a restart; after a long sleep perhaps only the metrics.
    #[on_sse_snapshot]
    async fn snapshot(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), SseError> {
        if snapshot.concerns(metrics::TOPIC) {
            self.metrics.send_all(&client)?;
        }
        if snapshot.concerns(Board::TOPIC) {
            self.board.send_all(&client).await?;
        }
        if snapshot.concerns(Messages::TOPIC) {
            self.messages.send_all(&client).await?;
        }
        if snapshot.concerns(Notices::TOPIC) {
            self.notices.send_all(&client).await?;
        }
        Ok(())
    }
}
