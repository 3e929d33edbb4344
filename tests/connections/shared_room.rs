//! The example's room, which WebSockets and event streams share.

use futures_util::{SinkExt, StreamExt};
use helios::prelude::*;
use helios::sse::SseOptions;
use serde_json::Value;
use support::{TestServer, within};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

#[path = "../../examples/websocket.rs"]
#[allow(dead_code)]
mod example;

#[server(controllers = [example::Room], sse(enabled = true))]
struct App;

type Socket = WebSocketStream<TcpStream>;

async fn start(options: fn(&mut SseOptions)) -> TestServer {
    TestServer::start(Helios::new(App).sse_options(options)).await
}

async fn connect(server: &TestServer, query: &str, origin: Option<&str>) -> Result<Socket, Error> {
    let socket = TcpStream::connect(server.addr).await.unwrap();
    let url = format!("ws://{}/room/socket{query}", server.addr);
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.extend(origin.map(|origin| (http::header::ORIGIN, origin.parse().unwrap())));
    let connected = within(client_async(request, socket)).await;
    connected.map(|(socket, _)| socket)
}

/// Returns a WebSocket that has joined.
async fn join(server: &TestServer, query: &str) -> Socket {
    let mut socket = connect(server, query, None).await.unwrap();
    assert_eq!(heard(&mut socket).await["event"], "helios:ready");
    socket
}

async fn heard(socket: &mut Socket) -> Value {
    match told(socket).await {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Returns the next message that is not a ping.
async fn told(socket: &mut Socket) -> Message {
    within(async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Ping(_) => {}
                told => break told,
            }
        }
    })
    .await
}

async fn post(server: &TestServer, text: &str) {
    let body = json!(text).to_string();
    let answer = server
        .post("/room?name=ann", "application/json", body)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn messages_reach_streams_and_websockets_alike() {
    let server = start(|_| {}).await;
    let mut stream = server.sse("/room?name=ann").await;
    assert_eq!(stream.next().await.unwrap().event, "helios:ready");
    let mut socket = join(&server, "?name=bob").await;
    socket.send(Message::text("from bob")).await.unwrap();
    for text in ["from bob", "from ann"] {
        let on_stream = stream.next().await.unwrap();
        let on_socket = heard(&mut socket).await;
        assert!(on_stream.data.contains(text), "{on_stream:?}");
        assert_eq!(on_socket["data"], on_stream.data);
        assert_eq!(on_socket["id"], on_stream.id);
        if text == "from bob" {
            post(&server, "from ann").await;
        }
    }
}

#[tokio::test]
async fn a_guard_refuses_other_sites_and_clients_without_a_name() {
    let server = start(|_| {}).await;
    let own = format!("http://{}", server.addr);
    for (query, origin) in [
        ("", None),
        ("", Some(&*own)),
        ("?name=eve", Some("https://evil.example")),
    ] {
        let refused = connect(&server, query, origin).await;
        assert!(
            matches!(&refused, Err(Error::Http(answer)) if answer.status() == 403),
            "{query} {origin:?}"
        );
    }
    connect(&server, "?name=ann", Some(&own)).await.unwrap();
}

#[tokio::test]
async fn a_websocket_that_comes_back_gets_what_it_has_missed() {
    let server = start(|_| {}).await;
    let mut socket = join(&server, "?name=bob").await;
    post(&server, "seen").await;
    let seen = heard(&mut socket).await;
    // The client vanishes, and the room has to notice.
    drop(socket);
    server.wait_for_connections(0).await;
    post(&server, "missed").await;
    let last = seen["id"].as_str().unwrap();
    let mut socket = join(&server, &format!("?name=bob&lastEventId={last}")).await;
    let missed = heard(&mut socket).await;
    assert!(
        missed["data"].as_str().unwrap().contains("missed"),
        "{missed}"
    );
}

#[tokio::test]
async fn a_message_over_the_limit_closes_its_websocket_unpublished() {
    let server = start(|_| {}).await;
    let mut socket = join(&server, "?name=bob").await;
    socket
        .send(Message::text("x".repeat(1_000_000)))
        .await
        .unwrap();
    let told = told(&mut socket).await;
    let policy = CloseCode::Policy;
    assert!(
        matches!(&told, Message::Close(Some(frame)) if frame.code == policy),
        "{told:?}"
    );
    server.wait_for_connections(0).await;
    assert_eq!(server.sse.stats().published, 0);
}

#[tokio::test]
async fn a_websocket_that_does_not_read_is_let_go() {
    let server = start(|sse| sse.stuck_after = Duration::from_millis(300)).await;
    let _unread = join(&server, "?name=bob").await;
    within(async {
        while server.sse.stats().connections > 0 {
            let said = SseEvent::text("x".repeat(100_000)).event("said");
            server.sse.publish("room", said).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
