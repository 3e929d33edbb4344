//! Rooms with members.

use helios::backplane::Backplane;
use helios::prelude::*;
use helios::sse::{Member, Present, SseOptions};
use helios::testing::{TestApp, TestStream};
use serde_json::Value;

#[derive(Injectable)]
struct Rooms {
    sse: SseService,
}

#[controller(prefix = "rooms")]
impl Rooms {
    /// Opens the stream of an observer.
    #[sse("{room}")]
    async fn look(&self, #[param] room: &str) -> Result<SseStream, SseError> {
        self.sse.subscribe([format!("room:{room}")]).await
    }

    /// Opens the stream of a member.
    #[sse("{room}/{key}/{mood}")]
    async fn enter(
        &self,
        #[param] room: &str,
        #[param] key: &str,
        #[param] mood: &str,
    ) -> Result<SseStream, SseError> {
        let topic = format!("room:{room}");
        let stream = self.sse.subscribe([&topic]).await?;
        stream.appear(&topic, member(key, mood)).await?;
        Ok(stream)
    }
}

#[server(controllers = [Rooms], sse(enabled = true))]
struct App;

pub(super) fn member(key: &str, mood: &str) -> Member {
    Member::new(key).with(json!({ "mood": mood }))
}

pub(super) fn options(sse: &mut SseOptions) {
    sse.presence = vec!["room:*".into()];
    // Members read nothing in these tests.
    sse.stuck_after = Duration::from_secs(3600);
}

/// Returns one server without a backplane.
pub(super) fn alone(more: impl FnOnce(&mut SseOptions)) -> TestApp {
    let app = Helios::new(App).sse_options(|sse| {
        options(sse);
        more(sse);
    });
    TestApp::start(app).unwrap()
}

/// Returns one of several servers.
pub(super) async fn node(backplane: impl Backplane) -> TestApp {
    let app = Helios::new(App).sse_options(options).backplane(backplane);
    let app = TestApp::start(app).unwrap();
    app.service().start().await.unwrap();
    app
}

/// Opens a stream and reads its `helios:ready`.
pub(super) async fn open(app: &TestApp, path: &str) -> TestStream {
    let mut stream = app.sse(path).await.with_deadline(Duration::from_secs(120));
    assert_eq!(stream.next().await.unwrap().event, "helios:ready");
    stream
}

/// Returns the next presence event as text, such as `joined ann happy` or `left ann lost`.
pub(super) async fn told(stream: &mut TestStream) -> String {
    let event = stream.next().await.unwrap();
    let data: Value = event.json().unwrap_or_default();
    let name = event.event.trim_start_matches("helios:");
    let key = data["key"].as_str().unwrap_or_default();
    let rest = data["data"]["mood"].as_str().or(data["reason"].as_str());
    [name, key, rest.unwrap_or_default()]
        .join(" ")
        .trim()
        .to_owned()
}

/// Checks that no event arrives for this time.
pub(super) async fn hears_nothing(stream: &mut TestStream, seconds: u64) {
    let next = tokio::time::timeout(Duration::from_secs(seconds), told(stream));
    assert_eq!(next.await.ok(), None);
}

/// Lists the members, such as `ann happy here`.
pub(super) fn listed(here: &Present) -> Vec<String> {
    let members = here.members().iter();
    let line = |member: &helios::sse::PresentMember| {
        let mood = member.data["mood"].as_str().unwrap_or_default();
        format!("{} {mood} {}", member.key, member.status.as_str())
    };
    members.map(line).collect()
}

pub(super) async fn present(app: &TestApp) -> Vec<String> {
    listed(&app.sse_service().present("room:tea").await.unwrap())
}
