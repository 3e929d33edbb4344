//! The room of the example. One page listens to an event stream and sends over a WebSocket.

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use tokio::net::TcpListener;

use crate::seen;
use support::TestServer;
use support::browser::Browser;
use support::journal::Journal;

#[path = "../../examples/websocket.rs"]
#[allow(dead_code)]
mod example;

#[derive(Injectable)]
struct Watch {
    journal: Arc<Journal>,
}

#[controller(prefix = "watch")]
impl Watch {
    #[get]
    fn page(&self) -> Response {
        let html = [("content-type", "text/html")];
        (html, include_str!("websocket.html")).into_response()
    }

    #[post]
    fn report(&self, #[body] seen: String) {
        self.journal.note(seen);
    }
}

#[server(controllers = [example::Room, example::Page, Watch], sse(enabled = true, retry = "500ms"))]
struct App;

pub(crate) async fn is_told_of_a_shutdown(browser: impl FnOnce(&str) -> Browser) {
    let journal = Journal::default();
    let start =
        |listener| TestServer::start_on(Helios::new(App).provide(journal.clone()), listener);
    let server = start(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addr = server.addr;
    let _browser = browser(&format!("http://{addr}/watch"));

    // The guard sees which site a page belongs to. Another name of the same server is another site.
    seen(&journal, "of another site: closed 1006", 1).await;
    seen(&journal, "ws Live: ann hello", 1).await;
    seen(&journal, "sse Live: ann hello", 1).await;
    seen(&journal, "own: ann hello", 1).await;
    seen(&journal, "too long: closed 1008", 1).await;

    server.stop().await.unwrap();
    let server = start(TcpListener::bind(addr).await.unwrap());
    seen(&journal, "own: closed 1001", 1).await;
    seen(&journal, "own: clean", 1).await;
    for pane in ["ws", "sse"] {
        seen(&journal, &format!("{pane} Live: ann hello"), 2).await;
    }
    let back = json!({ "name": "server", "text": "back" });
    let back = SseEvent::json(back).event("said");
    server.sse.publish("room", back).await.unwrap();
    for pane in ["ws", "sse"] {
        seen(
            &journal,
            &format!("{pane} Live: server back | ann hello"),
            1,
        )
        .await;
    }
}
