//! The server with actix-web. It has no type for events, so this streams a body.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::{Data, Path, get};
use actix_web::{App, HttpResponse, HttpServer, rt};
use bytes::Bytes;
use tokio_stream::StreamExt;

use super::channels::Channels;
use super::command::publish;

/// Serves with one worker, and publishes each of the `commands`. The process ends when their pipe closes.
///
/// # Errors
///
/// Returns an error if the worker cannot be started.
pub async fn serve(listener: std::net::TcpListener, commands: OwnedFd) -> io::Result<()> {
    let channels = Channels::default();
    let commands = Arc::new(Mutex::new(Some(commands)));
    let app = move || {
        // In the worker's thread, as a handler would publish.
        let mut commands = commands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(commands) = commands.take() {
            let published = publish(commands, channels.clone());
            rt::spawn(async {
                let _ = published.await;
                std::process::exit(0);
            });
        }
        App::new()
            .app_data(Data::new(channels.clone()))
            .route("/events/{topic}", get().to(subscribe))
    };
    HttpServer::new(app)
        .workers(1)
        .tcp_nodelay(true)
        .listen(listener)?
        .run()
        .await
}

async fn subscribe(topic: Path<String>, channels: Data<Channels>) -> HttpResponse {
    let data = channels.subscribe(&topic);
    let events = data.map(|data| Ok::<_, Infallible>(Bytes::from(format!("data: {data}\n\n"))));
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(events)
}
