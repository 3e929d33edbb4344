//! The routes of every server:
//!
//! * `GET /event?name&id&data` sends one event, with these values, and ends the stream.
//! * `GET /silence` opens a stream without events and without an end.
//! * `GET /news` sends the events that are published from then on.
//! * `POST /news?data` publishes.

use futures_core::Stream;
use serde::Deserialize;
use tokio::sync::{broadcast, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

/// An event as a client has specified it, who may specify anything.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

/// Counts of the streams of `/event` and `/silence`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streams {
    /// Handlers that have begun.
    pub(crate) begun: usize,
    /// Streams that have ended.
    pub(crate) ended: usize,
    /// Ended streams that ended with a panic.
    pub(crate) panicked: usize,
}

/// State shared by the handlers of one server.
#[derive(Clone)]
pub(crate) struct Site {
    streams: watch::Sender<Streams>,
    news: broadcast::Sender<Wanted>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            streams: watch::Sender::default(),
            news: broadcast::Sender::new(16),
        }
    }
}

impl Site {
    pub(crate) fn streams(&self) -> Streams {
        *self.streams.borrow()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Streams)) {
        self.streams.send_modify(change);
    }

    pub(crate) async fn until(&self, is_so: impl FnMut(&Streams) -> bool) {
        self.streams.subscribe().wait_for(is_so).await.unwrap();
    }

    /// Returns a stream of one event, which the framework creates in its turn.
    pub(crate) fn one<T: Send + 'static>(
        &self,
        wanted: Wanted,
        make: fn(Wanted) -> T,
    ) -> impl Stream<Item = T> + Send + use<T> {
        let stay = self.stay();
        async_stream::stream! {
            let _stay = stay;
            yield make(wanted);
        }
    }

    pub(crate) fn silence<T: Send + 'static>(&self) -> impl Stream<Item = T> + Send + use<T> {
        let stay = self.stay();
        async_stream::stream! {
            let _stay = stay;
            if let Some(item) = std::future::pending::<Option<T>>().await {
                yield item;
            }
        }
    }

    /// Returns the published events from a channel, as most apps have it.
    pub(crate) fn news(&self) -> impl Stream<Item = Wanted> + Send + use<> {
        BroadcastStream::new(self.news.subscribe()).filter_map(Result::ok)
    }

    pub(crate) fn publish(&self, wanted: Wanted) {
        // This fails if there is no receiver.
        let _ = self.news.send(wanted);
    }

    fn stay(&self) -> Stay {
        self.count(|streams| streams.begun += 1);
        Stay(self.clone())
    }
}

/// Dropped with the stream that it belongs to.
struct Stay(Site);

impl Drop for Stay {
    fn drop(&mut self) {
        let panicked = usize::from(std::thread::panicking());
        self.0.count(|streams| {
            streams.ended += 1;
            streams.panicked += panicked;
        });
    }
}
