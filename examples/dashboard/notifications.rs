//! What everybody should know. Its history is that of its topic.

use helios::prelude::*;
use helios::sse::HistoryLimits;

use super::clock;
use super::news::{Kind, News, Notice};

pub(crate) const TOPIC: &str = "notifications";

/// Those that a new page is given.
pub(crate) const SHOWN: usize = 30;

/// What a page may miss and be given all the same.
pub(crate) const KEPT: HistoryLimits = HistoryLimits {
    events: 200,
    age: Duration::from_secs(30 * 24 * 60 * 60),
};

#[derive(Injectable)]
#[inject(on_start = announce)]
pub(crate) struct Notifications {
    sse: SseService,
}

impl Notifications {
    async fn announce(&self) -> Result<(), SseError> {
        self.notify(Kind::Info, "The server has started".into())
            .await
    }

    /// The text is ours, so its length is.
    pub(crate) async fn notify(&self, kind: Kind, text: String) -> Result<(), SseError> {
        let at = clock::now();
        let notice = News::Notifications(Notice { kind, text, at });
        self.sse.publish(TOPIC, notice).await?;
        Ok(())
    }
}
