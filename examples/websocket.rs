//! A room that WebSockets and event streams share. Each message reaches the clients of both.
//!
//! ```text
//! cargo run --example websocket
//! curl -N 'http://127.0.0.1:3000/room?name=ann'
//! curl 'http://127.0.0.1:3000/room?name=ann' --json '"hello"'
//! npx wscat -c 'ws://127.0.0.1:3000/room/socket?name=bob'
//! ```
//!
//! Each WebSocket follows the room through a stream of its own, so the rules for streams hold for it too. If it
//! reconnects with `lastEventId`, it has missed nothing. If it does not read, it is dropped. All clients count against
//! the same limits.

use std::mem;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum_core::response::Response;
use helios::http::SameOrigin;
use helios::prelude::*;
use helios::sse::{Decoded, DecodedEvent, Decoder};
use http::request::Parts;
use tokio::time::{interval, timeout};
use tokio_stream::StreamExt;

const ROOM: &str = "room";

/// The longest message, in bytes.
const MAX_BYTES: usize = 4_096;

/// The server pings a peer that has been silent for this long, and drops it after the same time without an answer.
const PING: Duration = Duration::from_secs(30);

/// How long a peer may take to answer a close frame.
const ANSWER: Duration = Duration::from_secs(1);

/// Lets in anybody who gives a name. See `auth.rs` for authentication.
#[derive(Injectable)]
struct HasName;

impl Guard for HasName {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        match request.query("name") {
            Some(name) if (1..=30).contains(&name.chars().count()) => Ok(()),
            _ => Err(HttpError::forbidden("say who you are: ?name=ann")),
        }
    }
}

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum RoomEvent {
    Said { name: String, text: String },
}

#[derive(Clone, Injectable)]
pub(crate) struct Room {
    sse: SseService,
}

/// The guards run before streams and before WebSockets, which pages of other sites can open as well.
#[controller(prefix = "room", guards = [SameOrigin, HasName])]
impl Room {
    #[sse(events = RoomEvent)]
    async fn listen(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe([ROOM]).await
    }

    #[post]
    async fn say(&self, #[query] name: &str, #[body] text: String) -> Result<(), SseError> {
        self.publish(name, &text).await
    }

    #[get("socket")]
    #[answers(101)]
    async fn socket(
        &self,
        #[query] name: String,
        head: Parts,
        upgrade: WebSocketUpgrade,
    ) -> Result<Response, SseError> {
        let (room, client) = (self.clone(), self.sse.subscribe([ROOM]).await?);
        let events = events(self.sse.respond(head, client).await);
        // Limits frames too. Otherwise 16 MiB of a frame would be read before its message is refused.
        let upgrade = upgrade
            .max_message_size(MAX_BYTES)
            .max_frame_size(MAX_BYTES);
        Ok(upgrade.on_upgrade(async move |mut socket| {
            let goodbye = room.converse(&mut socket, &name, events).await;
            // This fails if the peer has disconnected.
            let _ = socket.send(Message::Close(goodbye)).await;
            // Waits for the peer's close frame. Without it, some browsers report an unclean close.
            let answer = async { while let Some(Ok(_)) = socket.recv().await {} };
            let _ = timeout(ANSWER, answer).await;
        }))
    }
}

impl Room {
    async fn publish(&self, name: &str, text: &str) -> Result<(), SseError> {
        let (name, text) = (name.to_owned(), text.to_owned());
        let said = RoomEvent::Said { name, text };
        self.sse.publish(ROOM, said).await?;
        Ok(())
    }

    /// Serves the socket until the peer or the stream ends. Returns the reason for the peer, or `None` if the peer has
    /// closed or disconnected.
    async fn converse(
        &self,
        socket: &mut WebSocket,
        name: &str,
        events: impl Stream<Item = DecodedEvent>,
    ) -> Option<CloseFrame> {
        tokio::pin!(events);
        let (mut ping, mut is_alive) = (interval(PING), true);
        loop {
            tokio::select! {
                message = socket.recv() => {
                    is_alive = true;
                    match message? {
                        Ok(Message::Text(text)) => {
                            if let Err(error) = self.publish(name, &text).await {
                                return because(close_code::ERROR, &error);
                            }
                        }
                        Ok(Message::Binary(_)) => return because(close_code::UNSUPPORTED, "text only"),
                        // The library answers a ping and a close itself.
                        Ok(_) => {}
                        // The message is too large or malformed, or the peer has disconnected.
                        Err(error) => return because(close_code::POLICY, &error),
                    }
                }
                event = events.next() => match event {
                    Some(DecodedEvent { event, data, id, .. }) => {
                        let event = json!({ "event": event, "data": data, "id": id }).to_string();
                        socket.send(Message::from(event)).await.ok()?;
                    }
                    None => return because(close_code::AWAY, "come back"),
                },
                _ = ping.tick() => {
                    if !mem::take(&mut is_alive) {
                        return None;
                    }
                    socket.send(Message::Ping(Vec::new().into())).await.ok()?;
                }
            }
        }
    }
}

fn because(code: u16, reason: impl ToString) -> Option<CloseFrame> {
    let reason = reason.to_string().into();
    Some(CloseFrame { code, reason })
}

/// Returns the events that an `EventSource` would read from this response.
fn events(answer: Response) -> impl Stream<Item = DecodedEvent> {
    let (mut body, mut decoder) = (answer.into_body().into_data_stream(), Decoder::new());
    stream! {
        while let Some(Ok(bytes)) = body.next().await {
            if decoder.feed(&bytes).is_err() {
                return;
            }
            while let Some(item) = decoder.next_item() {
                if let Decoded::Event(event) = item {
                    yield event;
                }
            }
        }
    }
}

#[derive(Injectable)]
pub(crate) struct Page;

#[controller]
impl Page {
    #[get]
    fn index(&self) -> Html<&str> {
        Html(include_str!("websocket.html"))
    }

    #[get("look.css")]
    #[header("content-type", "text/css")]
    fn look(&self) -> &str {
        include_str!("look.css")
    }
}

#[server(controllers = [Room, Page], sse(enabled = true), port = 3000)]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
