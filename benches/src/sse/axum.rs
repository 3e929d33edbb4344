//! The server with axum's `Sse` and `KeepAlive`.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_core::Stream;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;

use super::channels::Channels;
use super::command::publish;

/// Serves, and publishes each of the `commands` until their pipe closes.
///
/// # Errors
///
/// Returns no errors once it serves.
pub async fn serve(listener: TcpListener, commands: OwnedFd) -> io::Result<()> {
    let channels = Channels::default();
    let app = axum::Router::new()
        .route("/events/flat-out", get(flat_out))
        .route("/events/{topic}", get(subscribe))
        .with_state(channels.clone());
    let published = tokio::spawn(publish(commands, channels));
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    tokio::select! {
        served = axum::serve(listener, app) => served,
        _ = published => Ok(()),
    }
}

async fn subscribe(
    Path(topic): Path<String>,
    State(channels): State<Channels>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let data = channels.subscribe(&topic);
    let events = data.map(|data| Ok(Event::default().data(data)));
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
