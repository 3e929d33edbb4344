//! S42Core's `SSE` as on its page: on a plain server, without controllers. This one is axum's; `respond` works the same
//! with hyper.
//!
//! ```text
//! cargo run --example s42core_standalone
//! curl -N http://127.0.0.1:3000/events
//! ```

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use helios::SseHub;
use helios::prelude::*;
use http::request::Parts;

async fn events(State(hub): State<SseHub>, head: Parts) -> Response {
    let sse = SseStream::new();
    println!("connection UUID: {}", sse.id());
    let greeter = tokio::spawn(hello(sse.clone()));
    sse.on_close(move |_reason| greeter.abort());
    hub.respond(head, sse).await
}

async fn hello(sse: SseStream) -> Result<(), SseError> {
    sleep(Duration::from_secs(1)).await;
    let payload = json!({ "data": "Hello, SSE!" });
    sse.send(SseEvent::json(payload).event("exampleEvent"))
        .await?;
    sleep(Duration::from_secs(4)).await;
    sse.close();
    Ok(())
}

pub(crate) fn router(hub: SseHub) -> Router {
    Router::new().route("/events", get(events)).with_state(hub)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = SseHub::with_options(|sse| sse.welcome = true)?;
    let router = router(hub.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // axum waits for open connections, so end the streams first.
    let shutdown = async move {
        let _ = tokio::signal::ctrl_c().await;
        hub.shutdown(Duration::from_secs(10)).await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}
