//! Both approaches, a generator and a handle. Then a countdown, and a stream that resumes after the last event of its
//! client.

use chrono::Utc;
use helios::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Injectable)]
pub(crate) struct Events;

#[controller(prefix = "events")]
impl Events {
    /// 1. An async generator.
    #[sse("updates")]
    fn updates(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::json(json!({ "message": "Connected" })).event("connected");
            for i in 0..10 {
                let data = json!({ "count": i, "timestamp": Utc::now() });
                yield SseEvent::json(data).event("update").id(i);
                sleep(SECOND).await;
            }
            yield SseEvent::json(json!({ "message": "Stream complete" })).event("complete");
        }
    }

    /// 2. A handle, and a task that sends to it until the stream closes.
    #[sse("time")]
    fn time(&self) -> SseStream {
        let stream = SseStream::new();
        let clock = tokio::spawn(tick(stream.clone()));
        stream.on_close(move |_reason| clock.abort());
        stream
    }

    #[sse("countdown")]
    fn countdown(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            for i in (1..=10).rev() {
                yield SseEvent::json(json!({ "count": i })).event("countdown").id(11 - i);
                sleep(SECOND).await;
            }
            yield SseEvent::json(json!({ "message": "Countdown complete!" })).event("complete");
        }
    }

    /// Starts after the last event that the client has seen.
    #[sse("feed")]
    fn feed(&self, #[header("last-event-id")] last: Option<u32>) -> impl Stream<Item = SseEvent> {
        stream! {
            for i in last.map_or(0, |n| n.saturating_add(1))..100 {
                yield SseEvent::json(json!({ "count": i })).id(i).retry(3 * SECOND);
                sleep(SECOND).await;
            }
        }
    }
}

async fn tick(stream: SseStream) -> Result<(), SseError> {
    for count in 0..10 {
        sleep(SECOND).await;
        let data = json!({ "time": Utc::now(), "count": count });
        stream.send(SseEvent::json(data).event("time")).await?;
    }
    stream.close();
    Ok(())
}
