//! The one stream that a page opens.

use helios::prelude::*;

use super::metrics::Metrics;
use super::news::News;
use super::store::{self, Store};
use super::{chat, metrics, notifications};

#[derive(Injectable)]
pub(crate) struct Live {
    sse: SseService,
    board: Arc<Store>,
    _metrics: Arc<Metrics>,
}

#[controller(prefix = "live")]
impl Live {
    /// Four topics, one connection, one order, one id to resume them all. A page that is new is given the newest of what there is.
    #[sse(events = News)]
    async fn stream(&self) -> Result<SseStream, SseError> {
        let page = self.sse.subscribe([store::TOPIC]).await?;
        for (topic, newest) in [
            (metrics::TOPIC, metrics::KEPT.events),
            (chat::TOPIC, chat::SHOWN),
            (notifications::TOPIC, notifications::SHOWN),
        ] {
            page.join_from(topic, Replay::Last(newest)).await?;
        }
        Ok(page)
    }

    /// Behind all that was published until now: here a page that resumes is up to date. Any other one is when its second
    /// `helios:ready` comes.
    #[on_sse_connection]
    fn opened(&self, client: SseStream) -> Result<(), SseError> {
        match client.last_event_id() {
            Some(_) => client.try_send(News::CaughtUp),
            None => Ok(()),
        }
    }

    /// Jobs are a state: what is left of their news does not tell it. A new page needs it, and one that was away for too long.
    #[on_sse_snapshot]
    async fn snapshot(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), SseError> {
        match snapshot.concerns(store::TOPIC) {
            true => self.board.send_all(&client).await,
            false => Ok(()),
        }
    }
}
