//! A stream from an injected service, for the user that the query names.

use helios::prelude::*;
use serde::Serialize;

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    id: u64,
    user_id: String,
    title: &'static str,
}

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
pub(crate) enum NotificationEvent {
    Connected { message: &'static str },
    Notification(Notification),
}

impl Notification {
    pub(crate) fn event(self) -> SseEvent {
        let id = self.id;
        NotificationEvent::Notification(self)
            .into_sse_event()
            .id(id)
    }
}

#[derive(Injectable)]
pub(crate) struct NotificationService;

impl NotificationService {
    pub(crate) fn subscribe(&self, user_id: String) -> impl Stream<Item = Notification> {
        stream! {
            for id in 1.. {
                sleep(Duration::from_secs(1)).await;
                let (user_id, title) = (user_id.clone(), "New Message");
                yield Notification { id, user_id, title };
            }
        }
    }
}

#[derive(Injectable)]
pub(crate) struct Notifications {
    notifications: Arc<NotificationService>,
}

#[controller(prefix = "notifications")]
impl Notifications {
    #[sse("stream", events = NotificationEvent)]
    fn stream(&self, #[query("userId")] user_id: String) -> impl Stream<Item = SseEvent> {
        stream! {
            yield NotificationEvent::Connected { message: "Connected" }.into_sse_event();
            for await notification in self.notifications.subscribe(user_id) {
                yield notification.event();
            }
        }
    }
}
