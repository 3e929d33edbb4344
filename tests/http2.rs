//! Streams that share one connection.
#![allow(clippy::unwrap_used)]

#[path = "http2/frames.rs"]
mod frames;

use bytes::Bytes;
use helios::prelude::*;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::journal::Journal;
use support::{TestServer, within};
use tokio::net::TcpStream;

#[derive(Injectable)]
struct Shared {
    journal: Arc<Journal>,
}

#[controller(prefix = "shared")]
impl Shared {
    #[sse("flood")]
    fn flood(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            loop {
                yield SseEvent::text("x".repeat(1_000));
            }
        }
    }

    #[get]
    fn plain(&self) -> &'static str {
        "still here"
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.journal.note(reason.as_str());
    }
}

#[server(controllers = [Shared], sse(enabled = true))]
struct App;

async fn get(client: &mut SendRequest<Empty<Bytes>>, url: &str) -> Response<Incoming> {
    let request = Request::get(url).body(Empty::new()).unwrap();
    within(client.send_request(request)).await.unwrap()
}

#[tokio::test]
async fn a_stream_that_is_not_read_ends_alone() {
    let journal = Journal::default();
    let app = Helios::new(App).provide(journal.clone());
    let app = app.sse_options(|sse| sse.stuck_after = Duration::from_millis(200));
    let server = TestServer::start(app).await;
    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);

    let url = format!("http://{}/shared", server.addr);
    let unread = get(&mut client, &format!("{url}/flood")).await;
    assert_eq!(unread.status(), 200);
    journal.wait_for("slow_client").await;

    let other = get(&mut client, &url).await;
    let body = within(other.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "still here");
    drop(unread);
    assert_eq!(journal.notes(), ["slow_client"]);
}
