//! A chat in which a message is there once, however often it was sent.

use garde::Validate;
use helios::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clock;
use super::recent::Recent;
use super::store::{Store, Stored};

/// Messages that are kept. The fullest chat is still one event.
const KEPT: usize = 60;

pub(crate) type Messages = Recent<Message, KEPT>;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    id: u64,
    /// Made by the page. One that does not know whether its message has arrived sends it again under the same key.
    key: Uuid,
    name: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

impl Stored for Messages {
    const TOPIC: &'static str = "chat";
    type Item = Message;
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
    messages: Arc<Store<Messages>>,
}

#[controller(prefix = "chat")]
impl Chat {
    /// `Json` takes nothing but JSON, which a form on another site cannot send.
    #[post]
    #[http_code(204)]
    async fn say(&self, Json(message): Json<NewMessage>) -> Result<(), HttpError> {
        let said = |messages: &mut Messages| Ok(say(messages, message));
        self.messages.change(said).await?;
        Ok(())
    }
}

/// `None` if it was said before.
fn say(messages: &mut Messages, new: NewMessage) -> Option<Message> {
    if messages.iter().any(|message| message.key == new.key) {
        return None;
    }
    let message = Message {
        id: messages.newest().map_or(1, |newest| newest.id + 1),
        key: new.key,
        name: new.name.trim().to_owned(),
        text: new.text.trim().to_owned(),
        at: clock::now(),
    };
    messages.push(message.clone());
    Some(message)
}

fn not_blank(text: &str, (): &()) -> garde::Result {
    match text.trim().is_empty() {
        true => Err(garde::Error::new("is blank")),
        false => Ok(()),
    }
}
