//! Event-driven updates. Every client receives what a service publishes, even one that was away for a moment.

use chrono::Utc;
use helios::prelude::*;

/// The emitter is a topic of the hub, so there are no listeners to remove.
#[derive(Injectable)]
struct ActivityService {
    sse: SseService,
}

impl ActivityService {
    async fn track(&self, user_id: &str, activity: &str) -> Result<(), SseError> {
        let timestamp = Utc::now().timestamp_millis();
        let data = json!({ "userId": user_id, "activity": activity, "timestamp": timestamp });
        let activity = SseEvent::json(data).event("activity");
        self.sse.publish("activity", activity).await?;
        Ok(())
    }

    async fn listen(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["activity"]).await
    }
}

#[derive(Injectable)]
pub(crate) struct Activity {
    activities: Arc<ActivityService>,
}

#[controller(prefix = "activity")]
impl Activity {
    #[sse("stream")]
    async fn stream(&self) -> Result<SseStream, SseError> {
        self.activities.listen().await
    }

    #[post("{user_id}")]
    async fn track(
        &self,
        #[param] user_id: &str,
        #[body] activity: String,
    ) -> Result<(), SseError> {
        self.activities.track(user_id, &activity).await
    }
}
