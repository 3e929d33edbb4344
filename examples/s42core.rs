//! S42Core's `SSE` in a controller. A stream with a UUID sends a welcome event, another event after a second, and is
//! closed by the server after five. `s42core_standalone` does the same without controllers.
//!
//! ```text
//! cargo run --example s42core
//! curl -N http://127.0.0.1:3000/events
//! ```

use helios::prelude::*;

#[derive(Injectable)]
struct Events;

#[controller]
impl Events {
    #[sse("events")]
    async fn events(&self, sse: SseStream) -> Result<(), SseError> {
        println!("connection UUID: {}", sse.id());
        sleep(Duration::from_secs(1)).await;
        let payload = json!({ "data": "Hello, SSE!" });
        sse.send(SseEvent::json(payload).event("exampleEvent"))
            .await?;
        sleep(Duration::from_secs(4)).await;
        Ok(())
    }
}

#[server(controllers = [Events], sse(enabled = true, welcome = true))]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
