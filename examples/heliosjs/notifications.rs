//! Messages to one client by its id, and to all clients.

use helios::prelude::*;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize, JsonSchema)]
struct Note {
    message: String,
}

#[derive(Injectable)]
pub(crate) struct Notifications {
    sse: SseService,
}

#[controller]
impl Notifications {
    #[post("send/{client_id}")]
    async fn send(
        &self,
        #[param] client_id: ClientId,
        #[body] note: Note,
    ) -> Result<Value, SseError> {
        let event = SseEvent::text(note.message).event("notification");
        self.sse.send_to_client(client_id, event).await?;
        Ok(json!({ "sent": true }))
    }

    #[post("broadcast")]
    async fn broadcast(&self, #[body] note: Note) -> Result<Value, SseError> {
        let event = SseEvent::text(note.message).event("announcement");
        self.sse.broadcast(event).await?;
        Ok(json!({ "sent": true }))
    }
}
