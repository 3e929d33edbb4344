//! A chat. A message appears once, however often a page sends it. The topic's history is all that keeps the messages.

use garde::Validate;
use helios::prelude::*;
use helios::sse::{HistoryLimits, PublishOptions};
use serde::Deserialize;
use uuid::Uuid;

use super::clock;
use super::news::{Message, News};

pub(crate) const TOPIC: &str = "chat";

/// The messages that a new page receives.
pub(crate) const SHOWN: usize = 60;

/// The history, for pages that were away.
pub(crate) const KEPT: HistoryLimits = HistoryLimits {
    events: 1_000,
    age: Duration::from_secs(30 * 24 * 60 * 60),
};

/// How long a page may go on sending a message.
pub(crate) const SENT_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Visitors choose their own names. `auth.rs` shows how to know who somebody is.
#[derive(Deserialize, Validate, JsonSchema)]
struct NewMessage {
    #[garde(skip)]
    key: Uuid,
    #[garde(length(chars, max = 30), custom(not_blank))]
    name: String,
    #[garde(length(chars, max = 500), custom(not_blank))]
    text: String,
}

#[derive(Injectable)]
pub(crate) struct Chat {
    sse: SseService,
}

#[controller(prefix = "chat")]
impl Chat {
    /// Publishes a message. A form on another site cannot send JSON, and this route accepts nothing else.
    #[post]
    #[http_code(204)]
    async fn say(&self, Json(new): Json<NewMessage>) -> Result<(), SseError> {
        let message = News::Chat(Message {
            key: new.key,
            name: new.name.trim().to_owned(),
            text: new.text.trim().to_owned(),
            at: clock::now(),
        });
        let once = PublishOptions::default().key(new.key.to_string());
        self.sse.publish_with(TOPIC, message, &once).await?;
        Ok(())
    }
}

fn not_blank(text: &str, (): &()) -> garde::Result {
    match text.trim().is_empty() {
        true => Err(garde::Error::new("is blank")),
        false => Ok(()),
    }
}
