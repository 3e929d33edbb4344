//! actix-web. It has no type for events, so this streams a body.

use std::convert::Infallible;
use std::net::TcpListener;

use actix_web::web::{Bytes, Data, Query, get, post};
use actix_web::{App, HttpResponse, HttpServer};
use futures_core::Stream;
use tokio_stream::StreamExt;

use super::server::{Serve, Stop};
use super::site::{Site, Wanted};

type Sent = Result<Bytes, Infallible>;

pub(super) fn serve(listener: TcpListener, site: Site, stop: Stop) -> Serve {
    let app = move || {
        App::new()
            .app_data(Data::new(site.clone()))
            .route("/event", get().to(one))
            .route("/silence", get().to(silence))
            .route("/news", get().to(news))
            .route("/news", post().to(publish))
    };
    Box::pin(async {
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.listen(listener).unwrap().run();
        let handle = server.handle();
        tokio::spawn(async move {
            stop.await;
            handle.stop(true).await;
        });
        server.await.unwrap();
    })
}

fn streamed(events: impl Stream<Item = Sent> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(events)
}

async fn one(site: Data<Site>, Query(wanted): Query<Wanted>) -> HttpResponse {
    streamed(site.one(wanted, event))
}

async fn silence(site: Data<Site>) -> HttpResponse {
    streamed(site.silence())
}

async fn news(site: Data<Site>) -> HttpResponse {
    streamed(site.news().map(event))
}

async fn publish(site: Data<Site>, Query(wanted): Query<Wanted>) -> HttpResponse {
    site.publish(wanted);
    HttpResponse::Ok().finish()
}

/// Writes an event by hand. No behaviour tests its names.
fn event(wanted: Wanted) -> Sent {
    let id = wanted.id.unwrap_or_default();
    Ok(format!("id: {id}\ndata: {}\n\n", wanted.data).into())
}
