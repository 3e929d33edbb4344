//! Answers for pages. An answer is a topic, and a page that reads it gets all of it, no matter when it joins. A task of
//! its own writes the answer, so it continues while its page reloads, and ends early only if somebody stops it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use garde::Validate;
use helios::prelude::*;
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::generations::Generations;
use super::upstream::{Message, Prompt, Tokens};

/// The most events in the history of an answer, including its question and its end.
pub(crate) const LONGEST: usize = 4_000;

/// How long an answer can be read after its end.
pub(crate) const KEPT: Duration = Duration::from_secs(3_600);

#[derive(Clone, Deserialize, Validate, JsonSchema)]
struct Question {
    #[garde(length(max = 100))]
    model: String,
    #[garde(length(chars, min = 1, max = 2_000))]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Created {
    id: Uuid,
}

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum AnswerEvent {
    Asked { text: String },
    Token { text: String },
    Over { how: &'static str },
}

/// The tokens that stop the answers that can still be read.
type Stops = Arc<Mutex<HashMap<Uuid, CancellationToken>>>;

#[derive(Injectable)]
pub(crate) struct Answers {
    generations: Arc<Generations>,
    sse: SseService,
    #[inject(default)]
    stops: Stops,
}

#[controller(prefix = "answers")]
impl Answers {
    #[post]
    #[http_code(201)]
    fn ask(&self, #[body] question: Question) -> Result<Json<Created>, HttpError> {
        let tokens = self.generations.start(prompt(&question))?;
        let (id, stop) = (Uuid::new_v4(), CancellationToken::new());
        lock(&self.stops).insert(id, stop.clone());
        let (sse, stops) = (self.sse.clone(), Arc::clone(&self.stops));
        tokio::spawn(async move {
            let written = write(&sse, &topic(id), question.text, tokens, stop).await;
            if let Err(error) = written {
                eprintln!("answer {id}: {error}");
            }
            sleep(KEPT).await;
            lock(&stops).remove(&id);
        });
        Ok(Json(Created { id }))
    }

    /// Sends the whole answer, from the question on, and then live what is still to come.
    #[sse("{id}", drain = "finish", events = AnswerEvent)]
    async fn read(&self, #[param] id: Uuid) -> Result<SseStream, HttpError> {
        self.find(id)?;
        let answer = self.sse.subscribe_from([topic(id)], Replay::Earliest);
        Ok(answer.await?)
    }

    #[delete("{id}")]
    #[http_code(204)]
    fn stop(&self, #[param] id: Uuid) -> Result<(), HttpError> {
        self.find(id)?.cancel();
        Ok(())
    }
}

impl Answers {
    fn find(&self, id: Uuid) -> Result<CancellationToken, HttpError> {
        let found = lock(&self.stops).get(&id).cloned();
        found.ok_or_else(|| HttpError::not_found("there is no such answer, or it has expired"))
    }
}

/// Publishes an answer up to its end.
async fn write(
    sse: &SseService,
    topic: &str,
    question: String,
    mut tokens: Tokens,
    stop: CancellationToken,
) -> Result<(), SseError> {
    let asked = AnswerEvent::Asked { text: question };
    sse.publish(topic, asked).await?;
    let mut left = LONGEST - 2;
    let how = loop {
        let token = tokio::select! {
            biased;
            () = stop.cancelled() => break "stopped",
            token = tokens.next() => token,
        };
        match token {
            Some(_) if left == 0 => break "too long",
            Some(Ok(text)) => sse.publish(topic, AnswerEvent::Token { text }).await?,
            Some(Err(_)) => break "failed",
            None => break "finished",
        };
        left -= 1;
    };
    // Stops the upstream before the page learns of the end.
    drop(tokens);
    sse.finish_with(topic, AnswerEvent::Over { how }).await?;
    Ok(())
}

fn prompt(question: &Question) -> Prompt {
    let message = Message {
        role: "user".to_owned(),
        content: question.text.clone(),
    };
    Prompt {
        model: question.model.clone(),
        messages: vec![message],
    }
}

fn topic(id: Uuid) -> String {
    format!("answer:{id}")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
