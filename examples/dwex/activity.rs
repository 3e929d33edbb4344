//! Event-driven updates. Every client receives what a service publishes, even one that was away for a moment.

use chrono::Utc;
use helios::prelude::*;
use serde::Serialize;

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum ActivityEvent {
    Activity(Tracked),
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Tracked {
    activity: String,
    timestamp: i64,
    user_id: String,
}

/// The emitter is a topic of the hub, so there are no listeners to remove.
#[derive(Injectable)]
struct ActivityService {
    sse: SseService,
}

impl ActivityService {
    async fn track(&self, user_id: String, activity: String) -> Result<(), SseError> {
        let tracked = Tracked {
            activity,
            timestamp: Utc::now().timestamp_millis(),
            user_id,
        };
        let event = ActivityEvent::Activity(tracked);
        self.sse.publish("activity", event).await?;
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
    #[sse("stream", events = ActivityEvent)]
    async fn stream(&self) -> Result<SseStream, SseError> {
        self.activities.listen().await
    }

    #[post("{user_id}")]
    async fn track(
        &self,
        #[param] user_id: String,
        #[body] activity: String,
    ) -> Result<(), SseError> {
        self.activities.track(user_id, activity).await
    }
}
