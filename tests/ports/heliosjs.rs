use support::TestServer;
use support::journal::Journal;

use super::{first, whole};

#[path = "../../examples/heliosjs/main.rs"]
#[allow(dead_code)]
mod example;

const JSON: &str = "application/json";
const SENT: &str = r#"{"data":{"sent":true},"intercepted":true}"#;

async fn serve() -> (TestServer, Journal) {
    let journal = Journal::default();
    let log = journal.clone();
    let server = TestServer::start(example::app(move |line| log.note(line))).await;
    (server, journal)
}

#[tokio::test]
async fn a_subscriber_gets_a_welcome_private_events_and_broadcasts() {
    let (server, _) = serve().await;
    let mut client = server.sse("/user/subscribe").await;
    first(1, &mut client).await;
    let id = server.sse.clients()[0].id();

    let send = format!("/user/send/{id}");
    let sent = server.post(&send, JSON, r#"{"message":"hello"}"#).await;
    assert_eq!(sent.text(), SENT);
    let all = r#"{"message":"hello all"}"#;
    let sent = server.post("/user/broadcast", JSON, all).await;
    assert_eq!(sent.text(), SENT);
    assert_eq!(
        first(3, &mut client).await,
        format!(
            ":\nretry: 3000\n\
             event: welcome\ndata: {{\"clientId\":\"{id}\",\"message\":\"Connected to SSE\"}}\n\n\
             event: notification\ndata: hello\n\n\
             event: announcement\ndata: hello all\n\n"
        )
    );
}

#[tokio::test]
async fn who_is_not_there_is_not_sent_to() {
    let (server, _) = serve().await;
    let id = "00000000-0000-4000-8000-000000000000";
    let send = format!("/user/send/{id}");
    let answer = server.post(&send, JSON, r#"{"message":"hello"}"#).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.problem()["detail"], "no client has this id");
}

#[tokio::test]
async fn the_nested_controller_has_the_outer_prefix_and_interceptor() {
    let (server, _) = serve().await;
    let _client = server.sse("/user/subscribe").await;
    let answer = server.get("/user/metadata").await;
    assert_eq!(
        answer.text(),
        r#"{"data":{"connections":1,"published":0},"intercepted":true}"#
    );
}

#[tokio::test]
async fn the_hooks_see_who_comes_and_goes() {
    let (server, journal) = serve().await;
    let mut client = server.sse("/user/subscribe").await;
    first(1, &mut client).await;
    let id = server.sse.clients()[0].id();
    drop(client);
    let left = format!("client {id} disconnected: client_disconnected");
    journal.wait_for(&left).await;
    let came = format!("client {id} connected to /user/subscribe");
    assert_eq!(journal.notes(), [came, left]);
}

#[tokio::test]
async fn the_outer_controllers_hooks_see_a_stream_fail() {
    let (server, journal) = serve().await;
    let mut client = server.sse("/user/stocks").await;
    let id = server.sse.clients()[0].id();
    let price = |price| {
        let data = format!("{{\"price\":\"{price}\",\"symbol\":\"HELIOS\"}}");
        format!("event: price-update\ndata: {{\"data\":{data},\"intercepted\":true}}\n\n")
    };
    let prices: String = ["101.50", "99.75", "104.20"].map(price).concat();
    let problem = r#"{"type":"about:blank","title":"Conflict","status":409,"detail":"the market has closed"}"#;
    assert_eq!(
        whole(&mut client).await,
        format!(":\nretry: 3000\n{prices}event: error\ndata: {problem}\n\n")
    );
    let closed = format!("client {id} disconnected: error");
    journal.wait_for(&closed).await;
    let came = format!("client {id} connected to /user/stocks");
    let failed = format!("client {id} failed: 409 Conflict: the market has closed");
    assert_eq!(journal.notes(), [came, failed, closed]);
}
