//! The routes that hostile peers request.

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use helios::prelude::*;

#[derive(Injectable)]
pub(crate) struct Targets;

#[controller(prefix = "targets")]
impl Targets {
    #[sse("torrent")]
    fn torrent(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            loop {
                yield SseEvent::text("x".repeat(1_000));
            }
        }
    }

    #[get("large")]
    fn large(&self) -> Vec<u8> {
        vec![b'x'; 4 << 20]
    }

    #[get("small")]
    fn small(&self) -> &'static str {
        "small"
    }

    #[post("upload")]
    fn upload(&self, #[body] text: String) -> String {
        text
    }

    #[get("echo")]
    fn echo(&self, socket: WebSocketUpgrade) -> Response {
        socket.on_upgrade(echo)
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
