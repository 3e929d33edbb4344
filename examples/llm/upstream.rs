//! The upstream: a model behind a trait. The one here is a fake.
//!
//! A real one is another type that implements [`Upstream`], and [`app`](super::app) provides it. It posts the prompt, with
//! `stream: true`, and reads the answer with [`helios::sse::Decoder`]. With `reqwest`:
//!
//! ```ignore
//! fn generate(&self, prompt: Prompt) -> Tokens {
//!     let request = self.http.post(&self.url).bearer_auth(&self.key).json(&body(prompt));
//!     Box::pin(try_stream! {
//!         let mut response = request.send().await.map_err(gone)?;
//!         if !response.status().is_success() {
//!             Err(refused(&response))?; // pass on a 429 with its `Retry-After`; turn a 401 for our key into a 502
//!         }
//!         let mut decoder = Decoder::new();
//!         while let Some(bytes) = response.chunk().await.map_err(gone)? {
//!             decoder.feed(&bytes).map_err(gone)?;
//!             while let Some(item) = decoder.next_item() {
//!                 let Decoded::Event(event) = item else { continue };
//!                 if event.data == "[DONE]" {
//!                     return;
//!                 }
//!                 yield text(&event)?; // an error in the middle is an event too
//!             }
//!         }
//!         Err(gone("no [DONE]"))?; // the stream broke off
//!     })
//! }
//! ```
//!
//! A stop needs no further code. The response is dropped with the stream, and that closes the connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use garde::Validate;
use helios::prelude::*;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use serde::Deserialize;

#[derive(Deserialize, Validate, JsonSchema)]
pub(crate) struct Message {
    #[garde(length(max = 20))]
    pub(crate) role: String,
    #[garde(length(chars, max = 20_000))]
    pub(crate) content: String,
}

pub(crate) struct Prompt {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
}

/// The tokens of one answer. If the upstream refuses, the first item is its error. Dropping the stream stops the
/// upstream.
pub(crate) type Tokens = Pin<Box<dyn Stream<Item = Result<String, HttpError>> + Send>>;

pub(crate) trait Upstream: Send + Sync {
    fn models(&self) -> &[&str];

    fn generate(&self, prompt: Prompt) -> Tokens;
}

const ANSWER: &str = "The sun is a star: a ball of hydrogen and helium, so heavy that in its middle four nuclei of \
    hydrogen become one of helium. A little mass is left over, and leaves as light. It takes that light many thousands of \
    years to find its way out, and then eight minutes to us. Helios drove it across the sky every day, event by event, and \
    never lost one.";

/// A model that always gives the same answer.
#[derive(Default)]
pub(crate) struct Fake {
    /// The number of questions to `sun-busy`.
    asked: AtomicUsize,
}

impl Upstream for Fake {
    fn models(&self) -> &[&str] {
        &["sun", "sun-busy", "sun-broken", "sun-slow"]
    }

    fn generate(&self, Prompt { model, messages }: Prompt) -> Tokens {
        let question = messages.last().map_or("", |last| &last.content);
        let answer = format!("You asked “{question}” {ANSWER}");
        let is_busy =
            model == "sun-busy" && self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        Box::pin(try_stream! {
            if is_busy {
                let busy = HttpError::too_many_requests("the model is busy");
                Err(busy.with_header(RETRY_AFTER, HeaderValue::from_static("1")))?;
            }
            if model == "sun-slow" {
                sleep(Duration::from_secs(40)).await;
            }
            for (number, word) in answer.split_inclusive(' ').enumerate() {
                if model == "sun-broken" && number == 5 {
                    Err(HttpError::new(StatusCode::BAD_GATEWAY, "the fake upstream has failed"))?;
                }
                sleep(Duration::from_millis(80)).await;
                yield word.to_owned();
            }
        })
    }
}
