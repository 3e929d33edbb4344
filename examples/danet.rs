//! Danet's "Server Sent Events": a timer sends events to a handle and then closes it.
//!
//! ```text
//! cargo run --example danet
//! curl -N http://127.0.0.1:3000/sse
//! ```

use helios::prelude::*;

#[derive(Injectable)]
struct SseExample;

#[controller]
impl SseExample {
    #[sse("sse")]
    fn send_update(&self) -> SseStream {
        let stream = SseStream::new();
        let timer = tokio::spawn(update(stream.clone()));
        stream.on_close(move |_reason| timer.abort());
        stream
    }
}

async fn update(stream: SseStream) -> Result<(), SseError> {
    for id in 0..4 {
        sleep(Duration::from_millis(100)).await;
        stream.send(message("hello", "world", id)).await?;
    }
    sleep(Duration::from_millis(100)).await;
    stream.close_with(message("close", "close", 4))
}

fn message(event: &str, data: &str, id: u32) -> SseEvent {
    let retry = Duration::from_secs(1);
    SseEvent::text(data).event(event).id(id).retry(retry)
}

#[server(controllers = [SseExample], sse(enabled = true))]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
