//! A `tokio::sync::broadcast` channel for each topic, as most apps have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_core::Stream;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

use super::command::Publisher;

/// How many events a receiver may be behind.
const CAPACITY: usize = 256;

#[derive(Clone, Default)]
pub(super) struct Channels(Arc<Mutex<HashMap<String, broadcast::Sender<String>>>>);

impl Channels {
    fn channel(&self, topic: &str) -> broadcast::Sender<String> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(topic) {
            return topic.clone();
        }
        let (sender, _) = broadcast::channel(CAPACITY);
        topics.insert(topic.to_owned(), sender.clone());
        sender
    }

    /// Returns the data of each event that is published from now on.
    pub(super) fn subscribe(&self, topic: &str) -> impl Stream<Item = String> + Send + use<> {
        BroadcastStream::new(self.channel(topic).subscribe()).filter_map(Result::ok)
    }
}

impl Publisher for Channels {
    async fn publish(&self, topic: &str, data: String) {
        // This fails if there is no receiver.
        let _ = self.channel(topic).send(data);
        tokio::task::consume_budget().await;
    }
}
