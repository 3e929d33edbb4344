//! The server with a controller, as in the guide, and with default settings.

use std::os::fd::OwnedFd;

use helios::http::Listener;
use helios::prelude::*;

use super::command::{Publisher, publish};

#[derive(Injectable)]
struct Events;

#[controller(prefix = "events")]
impl Events {
    #[sse("flat-out")]
    fn flat_out(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            loop {
                yield SseEvent::text(super::FLAT_OUT);
            }
        }
    }

    #[sse("{topic}")]
    async fn subscribe(
        &self,
        #[param] topic: String,
        #[inject_sse] sse: SseService,
    ) -> Result<SseStream, HttpError> {
        Ok(sse.subscribe([topic]).await?)
    }
}

#[server(controllers = [Events], sse(enabled = true))]
struct App;

/// Returns the app, with default settings.
pub fn app() -> Helios {
    Helios::new(App).banner(false)
}

/// Serves, and publishes each of the `commands` until their pipe closes. Beside `t0`, `other_topics` topics exist from
/// the start.
///
/// # Errors
///
/// Returns the errors of `listen_on`, and of publishing to the other topics.
pub async fn serve(
    listener: impl Listener,
    commands: OwnedFd,
    other_topics: u32,
) -> Result<(), crate::Error> {
    serve_app(app(), listener, commands, other_topics).await
}

/// Serves an app with other settings.
///
/// # Errors
///
/// See [`serve`].
pub async fn serve_app(
    app: Helios,
    listener: impl Listener,
    commands: OwnedFd,
    other_topics: u32,
) -> Result<(), crate::Error> {
    let sse = app.sse();
    for topic in 1..=other_topics {
        sse.publish(format!("t{topic}"), "here").await?;
    }
    let published = tokio::spawn(publish(commands, sse));
    tokio::select! {
        served = app.listen_on(listener) => Ok(served?),
        _ = published => Ok(()),
    }
}

impl Publisher for SseService {
    async fn publish(&self, topic: &str, data: String) {
        if let Err(error) = SseService::publish(self, topic, data).await {
            eprintln!("not published: {error}");
        }
    }
}
