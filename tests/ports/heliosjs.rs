use crate::support::TestServer;

use super::first;

#[path = "../../examples/heliosjs.rs"]
#[allow(dead_code)]
mod example;

#[tokio::test]
async fn who_subscribes_is_welcomed_and_reached_by_its_id() {
    let server = TestServer::start(example::App.into()).await;
    let mut client = server.sse("/user/subscribe").await;
    first(1, &mut client).await;
    let id = server.sse.clients()[0].id();

    let send = format!("/user/send/{id}");
    let sent = server.post(&send, "application/json", r#""hello""#).await;
    assert_eq!(sent.text(), r#"{"data":{"sent":true},"intercepted":true}"#);
    assert_eq!(
        first(2, &mut client).await,
        format!(
            ":\nretry: 3000\n\
             event: welcome\ndata: {{\"clientId\":\"{id}\",\"message\":\"Connected to SSE\"}}\n\n\
             event: notification\ndata: hello\n\n"
        )
    );
}

#[tokio::test]
async fn who_is_not_there_is_not_sent_to() {
    let server = TestServer::start(example::App.into()).await;
    let id = "00000000-0000-4000-8000-000000000000";
    let send = format!("/user/send/{id}");
    let answer = server.post(&send, "application/json", r#""hello""#).await;
    assert_eq!(answer.status, 404);
    let detail = format!("no client has the id {id}");
    assert_eq!(answer.problem()["detail"], detail);
}

#[tokio::test]
async fn the_controller_in_the_controller_is_below_its_prefix_and_its_interceptor() {
    let server = TestServer::start(example::App.into()).await;
    let _client = server.sse("/user/subscribe").await;
    let answer = server.get("/user/metadata").await;
    assert_eq!(
        answer.text(),
        r#"{"data":{"connections":1},"intercepted":true}"#
    );
}
