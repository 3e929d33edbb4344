//! HeliosJS' `user` controller: a prefix, a controller in a controller, an interceptor, the three SSE hooks, and the
//! injected service that opens a connection and sends to it.
//!
//! ```text
//! cargo run --example heliosjs
//! curl -N http://127.0.0.1:3000/user/subscribe
//! curl http://127.0.0.1:3000/user/send/CLIENT_ID --json '"hello"'
//! curl http://127.0.0.1:3000/user/metadata
//! ```

use helios::prelude::*;
use serde_json::Value;

#[derive(Injectable)]
struct User;

#[controller(
    prefix = "user",
    controllers = [UserMetadata],
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

    #[post("send/{client_id}")]
    async fn send(
        &self,
        #[param] client_id: ClientId,
        #[body] message: String,
        #[inject_sse] sse: SseService,
    ) -> Result<Value, SseError> {
        let notification = SseEvent::text(message).event("notification");
        sse.send_to_client(client_id, notification).await?;
        Ok(json!({ "sent": true }))
    }

    #[on_sse_connection]
    async fn on_connect(&self, client: SseStream, #[req] req: &RequestContext) {
        println!("SSE client {} connected to {}", client.id(), req.uri());
    }

    #[on_sse_error]
    async fn on_error(&self, client: SseStream, error: &SseError) {
        eprintln!("SSE client {}: {error}", client.id());
    }

    #[on_sse_close]
    async fn on_close(&self, client: SseStream, reason: CloseReason) {
        println!("SSE client {} disconnected: {reason}", client.id());
    }
}

#[derive(Injectable)]
struct UserMetadata;

#[controller(prefix = "metadata")]
impl UserMetadata {
    #[get]
    fn stats(&self, #[inject_sse] sse: SseService) -> Value {
        json!({ "connections": sse.stats().connections })
    }
}

#[server(controllers = [User], sse(enabled = true))]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
