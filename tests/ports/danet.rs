use support::TestServer;

use super::{END, whole};

#[path = "../../examples/danet.rs"]
#[allow(dead_code)]
mod example;

#[tokio::test]
async fn it_says_hello_four_times_and_closes() {
    let server = TestServer::start(example::App.into()).await;
    let hello = |id| format!("event: hello\nid: {id}\nretry: 1000\ndata: world\n\n");
    let events: String = (0..4).map(hello).collect();
    let close = "event: close\nid: 4\nretry: 1000\ndata: close\n\n";
    assert_eq!(
        whole(&mut server.sse("/sse").await).await,
        format!(":\nretry: 3000\n{events}{close}{END}")
    );
}
