//! Chats for the AI SDK. Its `DefaultChatTransport` resumes an answer after its page has been reloaded. See
//! <https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol>.
//!
//! ```js
//! new DefaultChatTransport({ api: '/chats', body: { model: 'sun' } })
//! ```

use std::collections::HashMap;
use std::sync::Mutex;

use garde::Validate;
use helios::prelude::*;
use serde::Deserialize;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answers::{LONGEST, lock};
use super::generations::Generations;
use super::upstream::{Message, Prompt, Tokens};

#[derive(Deserialize, Validate, JsonSchema)]
struct Ask {
    /// The id that the page has given to the chat.
    #[garde(length(min = 1, max = 100))]
    id: String,
    #[garde(length(max = 100))]
    model: String,
    #[garde(length(min = 1, max = 100), dive)]
    messages: Vec<UiMessage>,
}

#[derive(Deserialize, Validate, JsonSchema)]
struct UiMessage {
    #[garde(length(max = 20))]
    role: String,
    #[garde(dive)]
    parts: Vec<Part>,
}

/// A part of a message. Only text parts have text.
#[derive(Deserialize, Validate, JsonSchema)]
struct Part {
    #[garde(length(chars, max = 20_000))]
    #[serde(default)]
    text: String,
}

/// An answer that is being written.
#[derive(Clone)]
struct Answer {
    id: Uuid,
    stop: CancellationToken,
}

/// The answers in progress, by chat. An app that knows its users also checks that the chat belongs to the user.
type Writing = Arc<Mutex<HashMap<String, Answer>>>;

#[derive(Injectable)]
pub(crate) struct Chats {
    generations: Arc<Generations>,
    sse: SseService,
    #[inject(default)]
    writing: Writing,
}

#[controller(prefix = "chats")]
impl Chats {
    #[sse(method = "POST", events = String)]
    #[header("x-vercel-ai-ui-message-stream", "v1")]
    async fn send(&self, #[body] ask: Ask) -> Result<SseStream, HttpError> {
        let tokens = self.generations.start(prompt(&ask))?;
        let (id, stop) = (Uuid::new_v4(), CancellationToken::new());
        let answer = Answer { id, stop };
        let before = lock(&self.writing).insert(ask.id.clone(), answer.clone());
        if let Some(before) = before {
            before.stop.cancel();
        }
        let (sse, writing) = (self.sse.clone(), Arc::clone(&self.writing));
        tokio::spawn(async move {
            let written = write(&sse, &answer, tokens).await;
            // An app that stores its chats saves the message here. After that there is nothing to resume.
            lock(&writing).retain(|_, writes| writes.id != id);
            let done = SseEvent::text("[DONE]");
            let finished = sse.finish_with(topic(id), done).await;
            if let Err(error) = written.and(finished) {
                eprintln!("chat {}: {error}", ask.id);
            }
        });
        self.read(id).await
    }

    /// Sends the answer in progress, from its start.
    #[sse("{chat}/stream", plain, events = String)]
    #[answers(204)]
    #[header("x-vercel-ai-ui-message-stream", "v1")]
    async fn resume(&self, #[param] chat: &str) -> Result<SseReply<SseStream>, HttpError> {
        let id = lock(&self.writing).get(chat).map(|answer| answer.id);
        match id {
            Some(id) => Ok(SseReply::Stream(self.read(id).await?)),
            None => Ok(SseReply::response(StatusCode::NO_CONTENT)),
        }
    }

    /// Stops the answer. Leaving the page does not, since the page may come back.
    #[delete("{chat}")]
    #[http_code(204)]
    fn stop(&self, #[param] chat: &str) {
        if let Some(answer) = lock(&self.writing).get(chat) {
            answer.stop.cancel();
        }
    }
}

impl Chats {
    async fn read(&self, id: Uuid) -> Result<SseStream, HttpError> {
        let answer = self.sse.subscribe_from([topic(id)], Replay::Earliest);
        Ok(answer.await?)
    }
}

/// Publishes an answer, except for the final `[DONE]`.
async fn write(sse: &SseService, answer: &Answer, mut tokens: Tokens) -> Result<(), SseError> {
    let topic = topic(answer.id);
    let say = async |chunk| sse.publish(&topic, SseEvent::json(chunk)).await;
    say(json!({ "type": "start", "messageId": answer.id })).await?;
    say(json!({ "type": "text-start", "id": "text" })).await?;
    let mut left = LONGEST - 5;
    let last = loop {
        let token = tokio::select! {
            biased;
            () = answer.stop.cancelled() => break json!({ "type": "abort" }),
            token = tokens.next() => token,
        };
        match token {
            Some(_) if left == 0 => break json!({ "type": "finish", "finishReason": "length" }),
            Some(Ok(text)) => {
                say(json!({ "type": "text-delta", "id": "text", "delta": text })).await?
            }
            Some(Err(error)) => {
                break json!({ "type": "error", "errorText": error.for_client().to_string() });
            }
            None => break json!({ "type": "finish", "finishReason": "stop" }),
        };
        left -= 1;
    };
    // Stops the upstream before the page learns of the end.
    drop(tokens);
    say(json!({ "type": "text-end", "id": "text" })).await?;
    say(last).await?;
    Ok(())
}

fn prompt(ask: &Ask) -> Prompt {
    let text = |message: &UiMessage| message.parts.iter().map(|part| &*part.text).collect();
    let messages = ask.messages.iter().map(|message| Message {
        role: message.role.clone(),
        content: text(message),
    });
    Prompt {
        model: ask.model.clone(),
        messages: messages.collect(),
    }
}

fn topic(id: Uuid) -> String {
    format!("chat:{id}")
}
