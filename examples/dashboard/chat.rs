//! A chat in which a message is there once, however often it was sent. Its history is that of its topic.

use garde::Validate;
use helios::prelude::*;
use helios::sse::{HistoryLimits, PublishOptions};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clock;

pub(crate) const TOPIC: &str = "chat";

/// Messages that a new page is given.
pub(crate) const SHOWN: usize = 60;

/// What a page may miss and be given all the same.
pub(crate) const KEPT: HistoryLimits = HistoryLimits {
    events: 1_000,
    age: Duration::from_secs(30 * 24 * 60 * 60),
};

/// For how long a page may try to send a message.
pub(crate) const SENT_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Serialize)]
struct Message<'a> {
    /// Made by the page. One that does not know whether its message has arrived sends it again under the same key.
    key: Uuid,
    name: &'a str,
    text: &'a str,
    /// Milliseconds since 1970.
    at: u64,
}

/// A name is what somebody says it is; for who somebody is see `auth.rs`.
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
    /// `Json` takes nothing but JSON, which a form on another site cannot send.
    #[post]
    #[http_code(204)]
    async fn say(&self, Json(new): Json<NewMessage>) -> Result<(), SseError> {
        let message = SseEvent::json(Message {
            key: new.key,
            name: new.name.trim(),
            text: new.text.trim(),
            at: clock::now(),
        });
        let once = PublishOptions::default().key(new.key.to_string());
        let message = message.event(TOPIC);
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
