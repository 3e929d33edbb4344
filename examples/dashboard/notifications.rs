//! Notifications for everybody. The topic's history keeps them.

use helios::prelude::*;
use helios::sse::HistoryLimits;

use super::clock;
use super::news::{Kind, News, Notice};

pub(crate) const TOPIC: &str = "notifications";

/// The notifications that a new page receives.
pub(crate) const SHOWN: usize = 30;

/// The history, for pages that were away.
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

    /// Publishes a notification. Its text comes from the server, so its length needs no check.
    pub(crate) async fn notify(&self, kind: Kind, text: String) -> Result<(), SseError> {
        let at = clock::now();
        let notice = News::Notifications(Notice { kind, text, at });
        self.sse.publish(TOPIC, notice).await?;
        Ok(())
    }
}
