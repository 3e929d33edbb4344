//! A tour of Helios. One controller opens a stream in each of the four ways (a generator, a producer, a handle, the
//! injected service), and a page shows them live.
//!
//! ```text
//! cargo run --example user
//! curl -N http://127.0.0.1:3000/user/updates
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use helios::prelude::*;
use serde::{Deserialize, Serialize};

/// The service layer of the app, which only counts messages here.
#[derive(Injectable)]
struct Messages {
    #[inject(default)]
    count: AtomicU64,
}

impl Messages {
    fn post(&self, message: NewMessage) -> Message {
        Message {
            id: self.count.fetch_add(1, Ordering::Relaxed) + 1,
            from: message.from,
            text: message.text,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct NewMessage {
    from: String,
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Message {
    id: u64,
    from: String,
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct UserDto {
    id: u64,
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct Connections {
    connections: usize,
    published: u64,
}

/// The form that the interceptor gives to every response.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Answer<T> {
    data: T,
    intercepted: bool,
}

#[derive(Injectable)]
pub(crate) struct User {
    messages: Arc<Messages>,
    sse: SseService,
}

#[controller(
    prefix = "user",
    controllers = [UserMetadata],
    interceptor = |data, _req, _res| json!({ "data": data, "intercepted": true }),
)]
impl User {
    #[get("{id}")]
    #[answers(200, Answer<UserDto>)]
    async fn find(&self, #[param] id: u64) -> Result<UserDto, HttpError> {
        match id {
            1..=1_000 => Ok(UserDto {
                id,
                name: format!("user {id}"),
            }),
            _ => Err(HttpError::not_found(format!("no user has the id {id}"))),
        }
    }

    /// Sends a posted message to every connected client.
    #[post("messages")]
    #[http_code(201)]
    #[answers(201, Answer<Message>)]
    async fn post(&self, #[body] message: NewMessage) -> Result<Json<Message>, HttpError> {
        let message = self.messages.post(message);
        self.sse
            .broadcast(SseEvent::json(&message).event("message-posted"))
            .await?;
        Ok(Json(message))
    }

    /// 1. A generator. Clients that reconnect go on after the last event they have seen.
    #[sse("updates")]
    fn updates(
        &self,
        #[header("last-event-id")] last: Option<u64>,
    ) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::json(json!({ "message": "Connected" })).event("connected");
            for i in last.map_or(0, |n| n.saturating_add(1))..10 {
                yield SseEvent::json(json!({ "count": i })).event("update").id(i);
                sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// 2. A producer. The body of the method writes the stream.
    #[sse("progress/{job}")]
    async fn progress(&self, #[param] job: String, stream: SseStream) -> Result<(), HttpError> {
        for percent in (0..=100).step_by(25) {
            let step = json!({ "job": job, "percent": percent });
            stream.send(SseEvent::json(step).event("progress")).await?;
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// 3. A handle that another task drives.
    #[sse("time")]
    fn time(&self) -> SseStream {
        let stream = SseStream::new();
        let clock = tokio::spawn(tick(stream.clone()));
        stream.on_close(move |_reason| clock.abort());
        stream
    }

    /// 4. The injected service. Any code can reach the client by its id.
    #[sse("subscribe")]
    async fn subscribe(&self, #[inject_sse] sse: SseService) -> Result<SseStream, HttpError> {
        let client = sse.create_connection();
        let welcome = SseEvent::json(json!({ "message": "Connected to SSE" })).event("welcome");
        sse.send_to_client(client.id(), welcome).await?;
        Ok(client)
    }

    #[on_sse_connection]
    async fn opened(&self, client: SseStream, #[req] req: &RequestContext) {
        println!("{} opened {}", client.id(), req.uri().path());
    }

    #[on_sse_error]
    async fn failed(&self, client: SseStream, error: &SseError) {
        println!("{} failed: {error}", client.id());
    }

    #[on_sse_close]
    async fn closed(&self, client: SseStream, reason: CloseReason) {
        println!("{} closed: {reason}", client.id());
    }
}

async fn tick(stream: SseStream) {
    let mut seconds = 0_u64;
    while stream
        .send_data(json!({ "seconds": seconds }))
        .await
        .is_ok()
    {
        seconds += 1;
        sleep(Duration::from_secs(1)).await;
    }
}

/// The routes below `/user/metadata`. The interceptor and the hooks of `User` apply here too.
#[derive(Injectable)]
struct UserMetadata {
    sse: SseService,
}

#[controller(prefix = "metadata")]
impl UserMetadata {
    #[get]
    #[answers(200, Answer<Connections>)]
    fn connections(&self) -> Json<Connections> {
        let stats = self.sse.stats();
        Json(Connections {
            connections: stats.connections,
            published: stats.published,
        })
    }
}

#[derive(Injectable)]
pub(crate) struct Page;

#[controller]
impl Page {
    #[get]
    fn index(&self) -> Html<&str> {
        Html(include_str!("user.html"))
    }

    #[get("look.css")]
    #[header("content-type", "text/css")]
    fn look(&self) -> &str {
        include_str!("look.css")
    }
}

#[server(controllers = [User, Page], sse(enabled = true), port = 3000)]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
