//! A Helios app inside an axum app: routes side by side, streams and hooks included.
//!
//! ```text
//! cargo run --example mount
//! curl -N http://127.0.0.1:3000/live/ticks
//! ```

use axum::Router;
use axum::routing::get;
use helios::prelude::*;

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum LiveEvent {
    Tick(u64),
}

#[derive(Injectable)]
struct Live;

#[controller]
impl Live {
    #[sse("ticks")]
    fn ticks(&self) -> impl Stream<Item = LiveEvent> {
        stream! {
            for n in 0.. {
                yield LiveEvent::Tick(n);
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

#[server(controllers = [Live], sse(enabled = true))]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let live = Helios::new(App).prepare().await.into_service()?;
    live.start().await?;
    let router = Router::new()
        .route("/", get(async || "an axum handler"))
        .nest_service("/live", live.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // axum waits for open connections, so end the streams first.
    let shutdown = async move {
        let _ = tokio::signal::ctrl_c().await;
        live.shutdown(Duration::from_secs(10)).await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}
