//! NestJS' "Server-Sent Events": a mapped interval, a stream opened by a POST, and a handler that awaits before it
//! streams.
//!
//! ```text
//! cargo run --example nestjs
//! curl -N http://127.0.0.1:3000/sse
//! curl -N http://127.0.0.1:3000/chat/parrot --json '["so", "it", "is"]'
//! curl -i http://127.0.0.1:3000/chat/oracle --json '["why"]'
//! ```

use helios::prelude::*;
use serde_json::Value;
use tokio::time::{Instant, interval_at};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::IntervalStream;

#[derive(Injectable)]
struct AppController;

#[controller]
impl AppController {
    #[sse("sse")]
    fn sse(&self) -> impl Stream<Item = Value> {
        interval(Duration::from_secs(1)).map(|_| json!({ "hello": "world" }))
    }

    /// An error before the stream opens is an ordinary response with its status.
    #[sse("chat/{model}", method = "POST")]
    async fn chat(
        &self,
        #[param] model: String,
        #[body] words: Vec<String>,
    ) -> Result<impl Stream<Item = Value>, HttpError> {
        let session = Session::open(&model).await?;
        Ok(stream! {
            for word in words {
                yield session.say(&word).await;
            }
        })
    }

    /// Runs however a stream has ended, as `finalize` does.
    #[on_sse_close]
    async fn finalize(&self, reason: CloseReason) {
        println!("a stream has ended: {reason}");
    }
}

/// Emits nothing before the first period is over.
fn interval(period: Duration) -> impl Stream<Item = Instant> {
    IntervalStream::new(interval_at(Instant::now() + period, period))
}

/// A session with a model. It needs no cancellation signal, because all that a handler owns is dropped when its client
/// leaves, even while the handler awaits.
struct Session;

impl Session {
    async fn open(model: &str) -> Result<Self, HttpError> {
        sleep(Duration::from_millis(50)).await;
        match model {
            "parrot" => Ok(Self),
            _ => Err(HttpError::not_found(format!("no model is called {model}"))),
        }
    }

    async fn say(&self, word: &str) -> Value {
        sleep(Duration::from_millis(200)).await;
        json!({ "word": word })
    }
}

#[server(controllers = [AppController], sse(enabled = true))]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
