//! What every server shows, the same in all of them:
//!
//! * `GET /event?name&id&data`: one event, as asked for, and the end of the stream;
//! * `GET /silence`: a stream without events and without an end;
//! * `GET /news`: what is published from then on;
//! * `POST /news?data`: publishes.

use futures_core::Stream;
use serde::Deserialize;
use tokio::sync::{broadcast, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

/// An event as somebody outside wants it, who may want anything.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

/// What has become of the streams of `/event` and `/silence`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streams {
    /// Handlers that have begun.
    pub(crate) begun: usize,
    /// Streams that are gone.
    pub(crate) ended: usize,
    /// Those of them that a panic has ended.
    pub(crate) panicked: usize,
}

/// What the handlers of one server share.
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

    /// One event, which the framework makes when its turn comes.
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

    /// What most write: a channel.
    pub(crate) fn news(&self) -> impl Stream<Item = Wanted> + Send + use<> {
        BroadcastStream::new(self.news.subscribe()).filter_map(Result::ok)
    }

    pub(crate) fn publish(&self, wanted: Wanted) {
        // Nobody may be there to receive it.
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
