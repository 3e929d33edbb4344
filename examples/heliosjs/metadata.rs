//! A controller in a controller. Its routes are below the outer prefix, and the outer interceptor maps its responses.

use helios::prelude::*;
use serde_json::Value;

#[derive(Injectable)]
pub(crate) struct UserMetadata;

#[controller(prefix = "metadata")]
impl UserMetadata {
    #[get]
    fn stats(&self, #[inject_sse] sse: SseService) -> Value {
        let stats = sse.stats();
        json!({ "connections": stats.connections, "published": stats.published })
    }
}
