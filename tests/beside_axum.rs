//! What the README and the guide say of axum, beside what Helios does.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use axum::Router;
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use helios::prelude::*;
use helios::testing::TestServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

fn silence<T>() -> impl Stream<Item = T> {
    stream! {
        if let Some(item) = std::future::pending().await {
            yield item;
        }
    }
}

/// A client whose stream has begun.
async fn reader(addr: std::net::SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(addr).await.unwrap();
    let request = b"GET /silence HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(request).await.unwrap();
    client.read_u8().await.unwrap();
    client
}

#[tokio::test]
async fn an_open_stream_holds_up_the_shutdown_of_axum() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let silent = async || Sse::new(silence::<Result<Event, Infallible>>());
    let (stop, stopped) = oneshot::channel::<()>();
    let signal = async { stopped.await.unwrap_or_default() };
    let server = axum::serve(listener, Router::new().route("/silence", get(silent)));
    let server = tokio::spawn(async { server.with_graceful_shutdown(signal).await });

    let client = reader(addr).await;
    stop.send(()).unwrap();
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.is_finished(), "it waits for the stream");
    drop(client);
    server.await.unwrap().unwrap();
}

#[derive(Injectable)]
struct Silence;

#[controller]
impl Silence {
    #[sse("silence")]
    fn silence(&self) -> impl Stream<Item = SseEvent> {
        silence()
    }
}

#[server(controllers = [Silence], sse(enabled = true))]
struct App;

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_shutdown_of_helios() {
    let server = TestServer::start(App).await.unwrap();
    let mut client = reader(server.addr()).await;
    server.stop().await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("event: helios:reconnect"), "{rest}");
}

#[test]
fn a_newline_in_an_id_is_a_panic_in_axum_and_an_error_in_helios() {
    let id = "7\ndata: injected";
    assert!(std::panic::catch_unwind(|| Event::default().id(id)).is_err());
    assert!(SseEvent::text("x").id(id).validate().is_err());
}
