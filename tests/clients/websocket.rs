//! A WebSocket of npm's `ws`.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum_core::response::Response;
use helios::prelude::*;

use super::kit::{self, NODE};
use super::seen::{Event, Seen};
use support::TestServer;

#[derive(Injectable)]
struct Echo;

#[controller(prefix = "echo")]
impl Echo {
    #[get]
    fn echo(&self, upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(echo)
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        // The next read answers a close.
        let is_close = matches!(message, Message::Close(_));
        if !is_close && socket.send(message).await.is_err() {
            break;
        }
    }
}

#[server(controllers = [Echo])]
struct App;

pub(crate) async fn is_echoed_and_told_of_a_shutdown() {
    let server = TestServer::start(Helios::new(App)).await;
    let mut program = kit::program(&["node", "websocket.mjs"], &NODE.ready().await);
    program.arg(format!("ws://{}/echo", server.addr));
    let seen = Seen::by(program);
    seen.wait_for("text", 3).await;
    server.stop().await.unwrap();
    seen.wait_until_closed().await;
    let events = seen.events().into_iter();
    let events: Vec<_> = events
        .map(|Event { name, data, .. }| format!("{name} {data}"))
        .collect();
    let expected = [
        "text hello",
        "binary 5000000",
        "text good bye",
        "close 4000 done",
        "text still here",
        "close 1001 ",
    ];
    assert_eq!(events, expected);
}
