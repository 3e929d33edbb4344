//! A guard for two kinds of clients: browsers with a session cookie, which is all that an `EventSource` can send, and
//! programs with a bearer token.
//!
//! ```text
//! cargo run --example auth
//! curl -c jar --json '{"name":"ann"}' http://127.0.0.1:3000/session
//! curl -N -b jar http://127.0.0.1:3000/inbox/live
//! curl -N -H 'authorization: Bearer robot-token' http://127.0.0.1:3000/inbox/live
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use helios::prelude::*;
use serde::Deserialize;
use uuid::Uuid;

/// The users who are logged in, by session id.
#[derive(Injectable)]
struct Sessions {
    #[inject(default)]
    users: Mutex<HashMap<String, String>>,
}

impl Sessions {
    fn open(&self, user: String) -> String {
        let id = Uuid::new_v4().to_string();
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.insert(id.clone(), user);
        id
    }

    fn user(&self, id: &str) -> Option<String> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(id).cloned()
    }
}

/// The user that the guard found, for the handler.
#[derive(Clone)]
struct User(String);

#[derive(Injectable)]
struct AuthGuard {
    sessions: Arc<Sessions>,
}

impl Guard for AuthGuard {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        let session = request.cookie("session");
        let by_cookie = session.and_then(|id| self.sessions.user(&id));
        let bearer = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let by_token = (bearer == Some("robot-token")).then(|| "robot".to_owned());
        let user = by_cookie.or(by_token);
        let user = user
            .ok_or_else(|| HttpError::unauthorized("log in at /session, or send a bearer token"))?;
        request.extensions_mut().insert(User(user));
        Ok(())
    }
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    name: String,
}

#[derive(Injectable)]
struct Account {
    sessions: Arc<Sessions>,
}

#[controller(prefix = "session")]
impl Account {
    /// A real app checks a password here.
    #[post]
    #[http_code(204)]
    fn log_in(&self, #[body] login: Login, #[res] res: &mut ResponseHead) {
        let id = self.sessions.open(login.name);
        res.set_cookie(Cookie::new("session", id));
    }
}

#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum InboxEvent {
    Welcome { hello: String },
}

#[derive(Injectable)]
struct Inbox;

#[controller(prefix = "inbox", guards = [AuthGuard])]
impl Inbox {
    #[sse("live")]
    fn live(&self, #[req] req: &RequestContext) -> impl Stream<Item = InboxEvent> {
        let user = req.extensions().get::<User>().cloned();
        stream! {
            if let Some(User(name)) = user {
                yield InboxEvent::Welcome { hello: name };
            }
            std::future::pending::<()>().await;
        }
    }
}

#[server(controllers = [Account, Inbox], sse(enabled = true))]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
