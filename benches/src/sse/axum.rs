//! With a `tokio::sync::broadcast` channel for each topic, as most do it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_core::Stream;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

use super::command::{Publisher, publish};

/// Events that a receiver may be behind.
const CAPACITY: usize = 256;

#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, broadcast::Sender<String>>>>);

impl Topics {
    fn topic(&self, name: &str) -> broadcast::Sender<String> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return topic.clone();
        }
        let (sender, _) = broadcast::channel(CAPACITY);
        topics.insert(name.to_owned(), sender.clone());
        sender
    }
}

impl Publisher for Topics {
    async fn publish(&self, topic: &str, data: String) {
        // Nobody may be there to receive it.
        let _ = self.topic(topic).send(data);
        tokio::task::consume_budget().await;
    }
}

/// Serves, and publishes what `commands` ask for.
///
/// # Errors
///
/// None, once it serves.
pub async fn serve(listener: TcpListener, commands: OwnedFd) -> io::Result<()> {
    let topics = Topics::default();
    let app = axum::Router::new()
        .route("/events/flat-out", get(flat_out))
        .route("/events/{topic}", get(subscribe))
        .with_state(topics.clone());
    tokio::spawn(publish(commands, topics));
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

async fn subscribe(
    Path(topic): Path<String>,
    State(topics): State<Topics>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(topics.topic(&topic).subscribe());
    let events = events.filter_map(|data| Some(Ok(Event::default().data(data.ok()?))));
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn flat_out() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = async_stream::stream! {
        loop {
            yield Ok(Event::default().data(super::FLAT_OUT));
        }
    };
    Sse::new(events).keep_alive(KeepAlive::default())
}
