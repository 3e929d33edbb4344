//! A backplane that fails, panics or returns nonsense harms only the call that needed it.

use bytes::Bytes;
use helios::backplane::{
    Ask, Backplane, BackplaneError, BackplaneErrorKind, BoxFuture, History, NodeId, Publish,
    Started, Startup, Status, Watched,
};
use helios::prelude::*;
use helios::sse::{EventId, HistoryLimits};
use support::TestServer;

use super::node::{App, data, event, pair};

#[tokio::test]
async fn a_backplane_that_fails_is_an_error_to_the_caller() {
    let (_log, one, two) = pair().await;
    let mut client = one.client("x").await;
    one.link.refuse(true);
    let answer = one.server.post("/publish/x", "application/json", "1").await;
    assert_eq!(answer.status, 503);
    let mut refused = one.server.sse("/rooms/new").await;
    assert_eq!(refused.names().await, ["helios:overloaded"]);
    one.link.refuse(false);
    // An earlier failure does not get in the way.
    let mut other = one.client("new").await;
    two.publish("new", "1").await;
    assert_eq!(data(&mut other, 1).await, ["1"]);
    two.publish("x", "2").await;
    assert_eq!(data(&mut client, 1).await, ["2"]);
}

#[tokio::test]
async fn a_topic_name_is_checked_before_the_backplane_sees_it() {
    let (_log, one, _two) = pair().await;
    for name in [String::new(), "x".repeat(300)] {
        let error = one.server.sse.publish(&name, "1").await.unwrap_err();
        assert!(matches!(error, SseError::InvalidTopic(_)), "{error:?}");
    }
}

#[tokio::test]
async fn what_no_hub_has_published_harms_nobody() {
    let (log, one, _two) = pair().await;
    let mut client = one.client("x").await;
    let bad: [&'static [u8]; 4] = [
        b"",
        &[9; 40],
        &[1, 2, 3],
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, b'x'],
    ];
    for bytes in bad {
        let bytes = Bytes::from_static(bytes);
        log.append(&Publish::new("x", bytes, HistoryLimits::default()))
            .unwrap();
    }
    one.publish("x", "good").await;
    loop {
        let event = event(&mut client).await;
        if event.data == "good" {
            break;
        }
        assert_eq!(event.event, "helios:reset", "{event:?}");
    }
}

/// A backplane that does not start, or panics at every call.
struct Broken {
    starts: bool,
}

impl Backplane for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn start(&self, _: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        Box::pin(async move {
            if self.starts {
                Ok(Started::at(EventId::new(1, u64::MAX)))
            } else {
                let kind = BackplaneErrorKind::Down;
                Err(BackplaneError::new(kind, "no route to host"))
            }
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        panic!("stop")
    }

    fn publish<'a>(&'a self, _: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        panic!("publish")
    }

    fn history<'a>(&'a self, _: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        panic!("history")
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        let is_own = |topic: &&str| *topic == "*" || topic.starts_with("helios:");
        assert!(topics.iter().all(is_own), "watch");
        let newest = EventId::new(1, u64::MAX);
        Box::pin(async move { Ok(Watched::new(newest, Vec::new())) })
    }

    fn unwatch<'a>(&'a self, _: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        panic!("unwatch")
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        panic!("renew")
    }

    fn is_alive(&self, _: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        panic!("is_alive")
    }

    fn status(&self) -> Status {
        Status::Up
    }
}

#[tokio::test]
async fn a_backplane_that_does_not_start_fails_the_server_start() {
    let app = Helios::new(App).backplane(Broken { starts: false });
    let server = TestServer::start(app).await;
    let error = server.stop().await.unwrap_err();
    assert!(matches!(error, helios::Error::Backplane(_)), "{error}");
    assert!(error.to_string().contains("no route to host"), "{error}");
}

#[tokio::test]
async fn nothing_is_asked_of_a_backplane_that_is_not_started() {
    let app = Helios::new(App).backplane(Broken { starts: true });
    let sse = app.sse();
    for error in [
        sse.publish("x", "1").await.unwrap_err(),
        sse.subscribe(["x"]).await.unwrap_err(),
    ] {
        assert!(matches!(error, SseError::Backplane(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_backplane_that_panics_fails_the_request_and_nothing_else() {
    let app = Helios::new(App).backplane(Broken { starts: true });
    let server = TestServer::start(app).await;
    assert_eq!(server.get("/ready").await.status, 200);
    for _ in 0..2 {
        let answer = server.post("/publish/x", "application/json", "1").await;
        assert_eq!(answer.status, 500);
        // The next attempt may succeed.
        let mut refused = server.sse("/rooms/x").await;
        assert_eq!(refused.names().await, ["helios:overloaded"]);
    }
    assert_eq!(server.get("/ready").await.status, 200);
}
