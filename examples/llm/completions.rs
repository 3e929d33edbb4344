//! OpenAI's API. See <https://platform.openai.com/docs/api-reference/chat>.

use std::time::{SystemTime, UNIX_EPOCH};

use garde::Validate;
use helios::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tokio_stream::StreamExt;
use uuid::Uuid;

use super::generations::Generations;
use super::openai::{Errors, HasKey};
use super::upstream::{Message, Prompt};

/// The fields of a request that this gateway understands. It ignores all others.
#[derive(Deserialize, Validate, JsonSchema)]
#[garde(allow_unvalidated)]
struct Ask {
    #[garde(length(max = 100))]
    model: String,
    #[garde(length(min = 1, max = 100), dive)]
    messages: Vec<Message>,
    #[garde(range(min = 1))]
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<usize>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize, JsonSchema)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Injectable)]
pub(crate) struct Completions {
    generations: Arc<Generations>,
}

#[controller(prefix = "v1", guards = [HasKey], filters = [Errors])]
impl Completions {
    /// The response head waits for the first token. An error before it still has its own status, which clients need to
    /// retry.
    #[sse("chat/completions", method = "POST", head_after = "20s", events = String)]
    #[answers(200, Value)]
    async fn complete(
        &self,
        #[body] ask: Ask,
    ) -> Result<SseReply<impl Stream<Item = Result<SseEvent, HttpError>> + use<>>, HttpError> {
        let completion = Completion::of(&ask);
        let limit = ask.max_tokens.unwrap_or(usize::MAX);
        let with_usage = ask.stream_options.is_some_and(|with| with.include_usage);
        let (model, messages) = (ask.model, ask.messages);
        let tokens = self.generations.start(Prompt { model, messages })?;
        let mut tokens = tokens.take(limit);
        if !ask.stream {
            let tokens: Vec<_> = tokens.collect::<Result<_, _>>().await?;
            let whole = completion.whole(&tokens.concat(), tokens.len(), limit);
            return Ok(SseReply::response(Json(whole)));
        }
        Ok(SseReply::Stream(try_stream! {
            let mut count = 0;
            while let Some(token) = tokens.next().await {
                let token = token?;
                let delta = match count {
                    0 => json!({ "role": "assistant", "content": token }),
                    _ => json!({ "content": token }),
                };
                count += 1;
                yield completion.chunk(&delta, None);
            }
            yield completion.chunk(&json!({}), Some(finish_reason(count, limit)));
            if with_usage {
                yield completion.usage_chunk(count);
            }
            yield SseEvent::text("[DONE]");
        }))
    }

    #[get("models")]
    fn models(&self) -> Value {
        let models = self.generations.upstream.models().iter();
        let models: Vec<_> = models
            .map(|id| json!({ "id": id, "object": "model", "created": 0, "owned_by": "helios" }))
            .collect();
        json!({ "object": "list", "data": models })
    }
}

/// The fields that all chunks of an answer share.
struct Completion {
    id: String,
    created: u64,
    model: String,
    prompt_tokens: usize,
}

impl Completion {
    fn of(ask: &Ask) -> Self {
        let words = ask.messages.iter().map(|m| m.content.split(' ').count());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
            created: now.unwrap_or_default().as_secs(),
            model: ask.model.clone(),
            prompt_tokens: words.sum(),
        }
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> SseEvent {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
        SseEvent::json(self.object("chat.completion.chunk", &json!([choice]), &Value::Null))
    }

    fn usage_chunk(&self, tokens: usize) -> SseEvent {
        SseEvent::json(self.object("chat.completion.chunk", &json!([]), &self.usage(tokens)))
    }

    fn whole(&self, text: &str, tokens: usize, limit: usize) -> Value {
        let message = json!({ "role": "assistant", "content": text });
        let reason = finish_reason(tokens, limit);
        let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
        self.object("chat.completion", &json!([choice]), &self.usage(tokens))
    }

    fn object(&self, object: &str, choices: &Value, usage: &Value) -> Value {
        let Self {
            id, created, model, ..
        } = self;
        json!({ "id": id, "object": object, "created": created, "model": model, "choices": choices, "usage": usage })
    }

    fn usage(&self, tokens: usize) -> Value {
        let (prompt, total) = (self.prompt_tokens, self.prompt_tokens + tokens);
        json!({ "prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": total })
    }
}

fn finish_reason(tokens: usize, limit: usize) -> &'static str {
    if tokens < limit { "stop" } else { "length" }
}
