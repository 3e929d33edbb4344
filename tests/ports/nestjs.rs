use http::Method;
use support::TestServer;

use super::{first, whole};

#[path = "../../examples/nestjs.rs"]
#[allow(dead_code)]
mod example;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test]
async fn the_mapped_interval_says_hello_for_ever() {
    let server = TestServer::start(example::App.into()).await;
    let hello = "data: {\"hello\":\"world\"}\n\n";
    assert_eq!(
        first(30, &mut server.sse("/sse").await).await,
        format!(":\nretry: 3000\n{}", hello.repeat(30))
    );
}

#[tokio::test]
async fn what_is_posted_is_answered_by_a_stream() {
    let server = TestServer::start(example::App.into()).await;
    let words = r#"["so", "it", "is"]"#;
    let client = server.sse_with(Method::POST, "/chat/parrot", JSON, words);
    let said = |word| format!("data: {{\"word\":\"{word}\"}}\n\n");
    assert_eq!(
        whole(&mut client.await).await,
        format!(":\n{}{}{}", said("so"), said("it"), said("is"))
    );
}

#[tokio::test]
async fn a_failure_before_the_stream_is_a_status() {
    let server = TestServer::start(example::App.into()).await;
    let answer = server.send(Method::POST, "/chat/oracle", JSON, "[]").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.text(),
        r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no model is called oracle"}"#
    );
}
