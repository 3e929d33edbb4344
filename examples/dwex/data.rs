//! Errors that a stream sends to its client, and cleanup when a stream closes.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use helios::prelude::*;

#[derive(Injectable)]
struct DataService {
    #[inject(default)]
    open: Arc<AtomicUsize>,
}

impl DataService {
    /// Returns a subscription that yields two items and then fails.
    fn subscribe(&self) -> Subscription {
        self.open.fetch_add(1, Ordering::Relaxed);
        Subscription(Arc::clone(&self.open))
    }
}

/// Dropped with its stream, whatever the reason for the end.
struct Subscription(Arc<AtomicUsize>);

impl Subscription {
    async fn next(&mut self, n: u32) -> io::Result<u32> {
        sleep(Duration::from_secs(1)).await;
        match n {
            0..2 => Ok(n),
            _ => Err(io::Error::other("the source has dried up")),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Injectable)]
pub(crate) struct Data {
    service: Arc<DataService>,
}

#[controller(prefix = "data")]
impl Data {
    #[sse("stream")]
    fn stream(&self) -> impl Stream<Item = SseEvent> {
        let mut subscription = self.service.subscribe();
        stream! {
            yield SseEvent::json(json!({ "status": "started" })).event("start");
            for n in 0.. {
                match subscription.next(n).await {
                    Ok(item) => yield SseEvent::json(item).event("data"),
                    Err(error) => {
                        let data = json!({ "error": error.to_string() });
                        yield SseEvent::json(data).event("error");
                        break;
                    }
                }
            }
            yield SseEvent::json(json!({ "status": "ended" })).event("end");
        }
    }

    #[get("subscriptions")]
    fn subscriptions(&self) -> String {
        self.service.open.load(Ordering::Relaxed).to_string()
    }
}
