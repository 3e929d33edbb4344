use std::net::SocketAddr;

use helios::SseHub;
use http::Method;
use support::{SseClient, TestServer, call};

use super::{END, whole};

#[path = "../../examples/s42core.rs"]
#[allow(dead_code)]
mod example;
#[path = "../../examples/s42core_standalone.rs"]
#[allow(dead_code)]
mod standalone;

async fn says_welcome_and_hello_and_closes(server: SocketAddr) {
    let response = call(server, Method::GET, "/events", &[], "").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = whole(&mut SseClient::of(response)).await;
    let (_, uuid) = text.split_once(r#"{"uuid":""#).unwrap();
    let (uuid, _) = uuid.split_once('"').unwrap();
    assert_eq!(uuid::Uuid::parse_str(uuid).unwrap().get_version_num(), 8);
    assert_eq!(
        text,
        format!(
            ":\nretry: 3000\n\
             event: welcome\ndata: {{\"uuid\":\"{uuid}\"}}\n\n\
             event: exampleEvent\ndata: {{\"data\":\"Hello, SSE!\"}}\n\n{END}"
        )
    );
    let seen = [("last-event-id", "helios:end")];
    let again = call(server, Method::GET, "/events", &seen, "").await;
    assert_eq!(again.status(), 204);
}

#[tokio::test]
async fn in_a_controller() {
    let server = TestServer::start(example::App.into()).await;
    says_welcome_and_hello_and_closes(server.addr).await;
}

#[tokio::test]
async fn on_plain_axum() {
    let hub = SseHub::with_options(|sse| sse.welcome = true).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = axum::serve(listener, standalone::router(hub));
    let server = tokio::spawn(async move { server.await });
    says_welcome_and_hello_and_closes(addr).await;
    server.abort();
}
