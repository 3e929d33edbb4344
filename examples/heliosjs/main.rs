//! HeliosJS' `user` controller and the streams of its page on SSE: a prefix, controllers in a controller, an
//! interceptor, the three SSE hooks, and the injected service. The service opens a connection and sends to one client,
//! or to all (see `notifications`).
//!
//! ```text
//! cargo run --example heliosjs
//! curl -N http://127.0.0.1:3000/user/subscribe
//! curl http://127.0.0.1:3000/user/send/CLIENT_ID --json '{"message":"hello"}'
//! curl http://127.0.0.1:3000/user/broadcast --json '{"message":"hello all"}'
//! curl http://127.0.0.1:3000/user/metadata
//! curl -N http://127.0.0.1:3000/user/stocks
//! ```

mod metadata;
mod notifications;
mod stocks;

use helios::prelude::*;
use metadata::UserMetadata;
use notifications::Notifications;
use stocks::Stocks;

/// The log that the hooks write to.
struct Log(Box<dyn Fn(String) + Send + Sync>);

#[derive(Injectable)]
struct User {
    log: Arc<Log>,
}

#[controller(
    prefix = "user",
    controllers = [Notifications, Stocks, UserMetadata],
    interceptor = |data, _req, _res| json!({ "data": data, "intercepted": true }),
)]
impl User {
    #[sse("subscribe")]
    async fn subscribe(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
        let client = sse.create_connection();
        let data = json!({ "clientId": client.id(), "message": "Connected to SSE" });
        let welcome = SseEvent::json(data).event("welcome");
        sse.send_to_client(client.id(), welcome).await?;
        Ok(client)
    }

    #[on_sse_connection]
    async fn on_connect(&self, client: SseStream, #[req] req: &RequestContext) {
        (self.log.0)(format!("client {} connected to {}", client.id(), req.uri()));
    }

    #[on_sse_error]
    async fn on_error(&self, client: SseStream, error: &SseError) {
        (self.log.0)(format!("client {} failed: {error}", client.id()));
    }

    #[on_sse_close]
    async fn on_close(&self, client: SseStream, reason: CloseReason) {
        (self.log.0)(format!("client {} disconnected: {reason}", client.id()));
    }
}

#[server(controllers = [User], sse(enabled = true))]
pub(crate) struct App;

pub(crate) fn app(log: impl Fn(String) + Send + Sync + 'static) -> Helios {
    Helios::new(App).provide(Log(Box::new(log)))
}

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    app(|line| println!("{line}")).listen().await
}
