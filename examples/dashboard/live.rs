//! The stream of a page. Each page opens one.

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
    /// Four topics over one connection, in one order, with one id to resume them all. A new page begins with the newest events.
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

    /// Tells a page that resumes when it is up to date: this event comes behind all that was published before. Other pages are up to
    /// date at their second `helios:ready`.
    #[on_sse_connection]
    fn opened(&self, client: SseStream) -> Result<(), SseError> {
        match client.last_event_id() {
            Some(_) => client.try_send(News::CaughtUp),
            None => Ok(()),
        }
    }

    /// Sends all jobs. A new page needs them, and so does one that was away for too long: the events in the history do not add up to
    /// the state of all jobs.
    #[on_sse_snapshot]
    async fn snapshot(&self, client: SseStream, snapshot: &SseSnapshot) -> Result<(), SseError> {
        match snapshot.concerns(store::TOPIC) {
            true => self.board.send_all(&client).await,
            false => Ok(()),
        }
    }
}
