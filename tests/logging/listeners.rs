//! Listeners that fail.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use helios::http::Listener;
use helios::prelude::*;
use support::{eventually, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::log::Log;

#[server(controllers = [])]
struct App;

/// Fails at once, each time. Counts how often.
#[derive(Default)]
struct Failing(Arc<AtomicUsize>);

impl Listener for Failing {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn address(&self) -> io::Result<String> {
        Ok("nowhere".to_owned())
    }
}

/// Serves until something has happened.
async fn serve_until(listener: impl Listener, happened: impl Fn() -> bool) {
    let (stop, stopped) = oneshot::channel::<()>();
    let app = Helios::new(App).banner(false);
    let app = app.shutdown_on(async { drop(stopped.await) });
    let serving = tokio::spawn(app.listen_on(listener));
    eventually(happened).await;
    drop(stop);
    within(serving).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_fails_for_each_connection_does_not_keep_the_server() {
    let listener = Failing::default();
    let failed = Arc::clone(&listener.0);
    serve_until(listener, || failed.load(Ordering::SeqCst) > 10).await;
}

/// Such as systemd's, with `Accept=yes`.
#[tokio::test]
async fn a_socket_that_cannot_accept_is_logged() {
    let log = Log::start();
    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connected = TcpStream::connect(peer.local_addr().unwrap())
        .await
        .unwrap();
    // Its end can be read, so there is something to accept.
    drop(peer.accept().await.unwrap());
    let connected = OwnedFd::from(connected.into_std().unwrap());
    let listener = TcpListener::from_std(connected.into()).unwrap();
    let is_logged = || !log.lines("cannot accept a connection").is_empty();
    serve_until(listener, is_logged).await;
}
