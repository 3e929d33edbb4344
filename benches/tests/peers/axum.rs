//! axum, with its `Sse`.

use std::convert::Infallible;
use std::net::TcpListener;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_core::Stream;
use tokio_stream::StreamExt;

use super::server::{Serve, Stop};
use super::site::{Site, Wanted};

type Sent = Result<Event, Infallible>;

pub(super) fn serve(listener: TcpListener, site: Site, stop: Stop) -> Serve {
    let app = Router::new()
        .route("/event", get(one))
        .route("/silence", get(silence))
        .route("/news", get(news).post(publish))
        .with_state(site);
    Box::pin(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let server = axum::serve(listener, app);
        server.with_graceful_shutdown(stop).await.unwrap();
    })
}

async fn one(
    State(site): State<Site>,
    Query(wanted): Query<Wanted>,
) -> Sse<impl Stream<Item = Sent>> {
    Sse::new(site.one(wanted, event))
}

async fn silence(State(site): State<Site>) -> Sse<impl Stream<Item = Sent>> {
    Sse::new(site.silence())
}

async fn news(State(site): State<Site>) -> Sse<impl Stream<Item = Sent>> {
    Sse::new(site.news().map(event))
}

async fn publish(State(site): State<Site>, Query(wanted): Query<Wanted>) {
    site.publish(wanted);
}

fn event(wanted: Wanted) -> Sent {
    let mut event = Event::default().data(wanted.data);
    if let Some(name) = wanted.name {
        event = event.event(name);
    }
    if let Some(id) = wanted.id {
        event = event.id(id);
    }
    Ok(event)
}
