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

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum DataEvent {
    Start { status: &'static str },
    Data(u32),
    Error { error: String },
    End { status: &'static str },
}

#[derive(Injectable)]
pub(crate) struct Data {
    service: Arc<DataService>,
}

#[controller(prefix = "data")]
impl Data {
    #[sse("stream")]
    fn stream(&self) -> impl Stream<Item = DataEvent> {
        let mut subscription = self.service.subscribe();
        stream! {
            yield DataEvent::Start { status: "started" };
            for n in 0.. {
                match subscription.next(n).await {
                    Ok(item) => yield DataEvent::Data(item),
                    Err(error) => {
                        let error = error.to_string();
                        yield DataEvent::Error { error };
                        break;
                    }
                }
            }
            yield DataEvent::End { status: "ended" };
        }
    }

    #[get("subscriptions")]
    fn subscriptions(&self) -> String {
        self.service.open.load(Ordering::Relaxed).to_string()
    }
}
