//! poem, with its `SSE`.

use std::net::TcpListener;

use poem::listener::TcpAcceptor;
use poem::web::sse::{Event, SSE};
use poem::web::{Data, Query};
use poem::{EndpointExt, Route, get, handler};
use tokio_stream::StreamExt;

use super::server::{Serve, Stop};
use super::site::{Site, Wanted};

pub(super) fn serve(listener: TcpListener, site: Site, stop: Stop) -> Serve {
    let app = Route::new()
        .at("/event", get(one))
        .at("/silence", get(silence))
        .at("/news", get(news).post(publish))
        .data(site);
    Box::pin(async {
        let acceptor = TcpAcceptor::from_std(listener).unwrap();
        let server = poem::Server::new_with_acceptor(acceptor);
        let served = server.run_with_graceful_shutdown(app, stop, None);
        served.await.unwrap();
    })
}

#[handler]
fn one(Data(site): Data<&Site>, Query(wanted): Query<Wanted>) -> SSE {
    SSE::new(site.one(wanted, event))
}

#[handler]
fn silence(Data(site): Data<&Site>) -> SSE {
    SSE::new(site.silence())
}

#[handler]
fn news(Data(site): Data<&Site>) -> SSE {
    SSE::new(site.news().map(event))
}

#[handler]
fn publish(Data(site): Data<&Site>, Query(wanted): Query<Wanted>) {
    site.publish(wanted);
}

fn event(wanted: Wanted) -> Event {
    let mut event = Event::message(wanted.data);
    if let Some(name) = wanted.name {
        event = event.event_type(name);
    }
    if let Some(id) = wanted.id {
        event = event.id(id);
    }
    event
}
