//! What everybody should know. Its history is that of its topic.

use helios::prelude::*;
use helios::sse::HistoryLimits;
use serde::Serialize;

use super::clock;

pub(crate) const TOPIC: &str = "notifications";

/// Those that a new page is given.
pub(crate) const SHOWN: usize = 30;

/// What a page may miss and be given all the same.
pub(crate) const KEPT: HistoryLimits = HistoryLimits {
    events: 200,
    age: Duration::from_secs(30 * 24 * 60 * 60),
};

#[derive(Serialize)]
struct Notice {
    kind: Kind,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Info,
    Done,
    Cancelled,
}

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
        let notice = SseEvent::json(Notice { kind, text, at });
        self.sse.publish(TOPIC, notice.event(TOPIC)).await?;
        Ok(())
    }
}
