//! A stream behind a guard, which finds the user by a token. Refused requests get a 401 and no stream.

use axum::Extension;
use helios::prelude::*;

use super::notifications::{NotificationEvent, NotificationService};

#[derive(Clone)]
struct User {
    id: String,
}

#[derive(Injectable)]
struct AuthGuard;

impl Guard for AuthGuard {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        match request.header("authorization") {
            Some("Bearer token") => {
                request.extensions_mut().insert(User { id: "ann".into() });
                Ok(())
            }
            _ => Err(HttpError::unauthorized("send the bearer token")),
        }
    }
}

#[derive(Injectable)]
pub(crate) struct PrivateEvents {
    notifications: Arc<NotificationService>,
}

#[controller(prefix = "private")]
impl PrivateEvents {
    #[sse("notifications", events = NotificationEvent)]
    #[use_guards(AuthGuard)]
    fn notifications(&self, Extension(user): Extension<User>) -> impl Stream<Item = SseEvent> {
        stream! {
            for await notification in self.notifications.subscribe(user.id) {
                yield notification.event();
            }
        }
    }
}
