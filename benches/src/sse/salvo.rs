//! The server with salvo's `SseKeepAlive`.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use salvo::conn::tcp::TcpAcceptor;
use salvo::prelude::*;
use salvo::sse::{SseEvent, SseKeepAlive};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;

use super::channels::Channels;
use super::command::publish;

/// Serves, and publishes each of the `commands` until their pipe closes. salvo leaves `TCP_NODELAY` to the listener,
/// whose sockets inherit it.
///
/// # Errors
///
/// Returns the errors of the listener.
pub async fn serve(listener: TcpListener, commands: OwnedFd) -> Result<(), crate::Error> {
    let channels = Channels::default();
    let router = Router::with_path("events/{topic}").get(channels.clone());
    let published = tokio::spawn(publish(commands, channels));
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    let server = Server::new(TcpAcceptor::try_from(listener)?);
    tokio::select! {
        () = server.serve(router) => Ok(()),
        _ = published => Ok(()),
    }
}

#[salvo::async_trait]
impl Handler for Channels {
    async fn handle(
        &self,
        request: &mut Request,
        _: &mut Depot,
        response: &mut Response,
        _: &mut FlowCtrl,
    ) {
        let topic: String = request.param("topic").unwrap_or_default();
        let data = self.subscribe(&topic);
        let events = data.map(|data| Ok::<_, Infallible>(SseEvent::default().text(data)));
        SseKeepAlive::new(events).stream(response);
    }
}
