//! NestJS' "Server-Sent Events": a mapped interval, a stream that is POSTed to, a handler that awaits before it streams.
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

    /// What fails before the stream is there is an ordinary answer with its status.
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

    /// `finalize`: it runs however a stream has ended.
    #[on_sse_close]
    async fn finalize(&self, reason: CloseReason) {
        println!("a stream is over: {reason}");
    }
}

/// Waits before its first item, too.
fn interval(period: Duration) -> impl Stream<Item = Instant> {
    IntervalStream::new(interval_at(Instant::now() + period, period))
}

/// There is no signal to ask: what a handler owns is dropped when its client leaves, also while it still awaits.
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
