//! Which clients are in which topics, and which events reach them.

use std::sync::Mutex;

use helios::prelude::*;
use helios::sse::EventId;
use helios::testing::TestApp;

use super::app::{all_now, app, in_process, json, next, path, seq, server, subscribe, until};
use support::journal::Journal;
use support::{SseClient, TestServer, eventually, within};

#[derive(Clone, Debug, PartialEq)]
struct UserId(u64);

/// Connections that join by other means than the service.
#[derive(Injectable)]
struct Means {
    journal: Arc<Journal>,
    sse: SseService,
    seen: Arc<Mutex<Vec<Option<UserId>>>>,
}

#[controller(prefix = "m")]
impl Means {
    #[sse("handle")]
    async fn handle(&self) -> Result<SseStream, SseError> {
        let client = SseStream::new();
        client.join("made").await?;
        client.insert(UserId(7));
        assert_eq!(client.topics(), ["made"]);
        Ok(client)
    }

    #[sse("handle-with-id")]
    async fn handle_with_id(&self, #[query] made_here: bool) -> Result<SseStream, SseError> {
        let client = match made_here {
            true => SseStream::new(),
            false => self.sse.create_connection(),
        };
        client.join("a").await?;
        let refused = client.try_send(SseEvent::text("x").id(1));
        self.journal.note(format!("{refused:?}"));
        client.try_send("after it")?;
        Ok(client)
    }

    #[sse("generator-with-id")]
    fn generator_with_id(&self, client: SseStream) -> impl Stream<Item = SseEvent> {
        stream! {
            client.join("a").await.unwrap();
            yield SseEvent::text("before it");
            yield SseEvent::text("x").id(1);
        }
    }

    #[sse("producer-with-id")]
    async fn producer_with_id(&self, client: SseStream) -> Result<(), SseError> {
        client.join("a").await?;
        client.send("before it").await?;
        client.send(SseEvent::text("x").id(1)).await
    }

    #[sse("publishes")]
    async fn publishes(&self, client: SseStream) -> Result<(), SseError> {
        client.join("own").await?;
        for n in 0..100 {
            self.sse.publish("own", n.to_string()).await?;
            self.sse.broadcast("to all").await?;
        }
        Ok(())
    }

    #[on_sse_close]
    fn closed(&self, client: SseStream) {
        self.seen.lock().unwrap().push(client.get::<UserId>());
    }
}

/// Joins before the handler's stream is polled.
#[derive(Injectable)]
struct Hooked {
    sse: SseService,
}

#[controller(prefix = "hooked")]
impl Hooked {
    #[sse]
    fn live(&self) -> impl Stream<Item = String> {
        let sse = self.sse.clone();
        stream! {
            sse.publish("hooked", "at the first poll").await.unwrap();
            yield "own".to_owned();
            std::future::pending::<()>().await;
        }
    }

    #[on_sse_connection]
    async fn opened(&self, client: SseStream) -> Result<(), SseError> {
        self.sse.publish("hooked", "too early").await?;
        client.join("hooked").await?;
        let sse = self.sse.clone();
        let publisher = tokio::spawn(async move {
            for n in 0..3 {
                sse.publish("hooked", n.to_string()).await.unwrap();
            }
        });
        publisher.await.unwrap();
        Ok(())
    }
}

#[server(controllers = [Means, Hooked], sse(enabled = true))]
struct MeansApp;

fn means() -> (Helios, Journal, Arc<Mutex<Vec<Option<UserId>>>>) {
    let (journal, seen) = (Journal::default(), Arc::default());
    let app = Helios::new(MeansApp)
        .provide(journal.clone())
        .provide_as(Arc::clone(&seen));
    (app, journal, seen)
}

async fn events(client: &mut SseClient) -> Vec<(String, String)> {
    let mut events = Vec::new();
    while let Some(event) = client.next().await {
        events.push((event.event, event.data));
    }
    events
}

#[tokio::test]
async fn a_published_event_reaches_only_members_of_its_topic() {
    let server = server().await;
    let mut news = subscribe(&server, &["news"]).await;
    let mut both = subscribe(&server, &["sport", "news"]).await;
    let mut other = subscribe(&server, &["sport"]).await;
    let mut plain = server.sse("/r/plain").await;
    server.wait_for_connections(4).await;
    server.sse.publish("news", "for two").await.unwrap();
    server
        .sse
        .publish("newsletter", "for nobody")
        .await
        .unwrap();
    server.sse.broadcast("for all").await.unwrap();
    for client in [&mut news, &mut both] {
        assert_eq!(until(client, "for all").await, ["for two"]);
    }
    for client in [&mut other, &mut plain] {
        assert!(until(client, "for all").await.is_empty());
    }
}

#[tokio::test]
async fn ready_comes_first_with_the_position_and_client_id() {
    let server = server().await;
    let before = server.sse.publish("other", "x").await.unwrap();
    let mut client = server.sse("/r/topics?topic=a").await;
    let ready = client.next().await.unwrap();
    assert_eq!(ready.event, "helios:ready");
    assert_eq!(ready.id, before.to_string());
    let id = server.sse.clients()[0].id();
    assert_eq!(json(&ready), json!({ "client": id, "resumed": false }));
}

#[tokio::test]
async fn a_published_event_has_the_id_that_publish_returned() {
    let server = server().await;
    let mut client = subscribe(&server, &["a"]).await;
    let mut last: Option<EventId> = None;
    for data in ["1", "2"] {
        let id = server.sse.publish("a", data).await.unwrap();
        assert!(last.is_none_or(|last| id.is_after(last) == Some(true)));
        assert_eq!(next(&mut client).await, (data.to_owned(), id.to_string()));
        last = Some(id);
    }
    let text = format!("{:x}-{}", last.unwrap().epoch(), last.unwrap().seq());
    assert_eq!(last.unwrap().to_string(), text, "<epoch>-<seq>");
}

#[tokio::test]
async fn broadcasts_and_published_events_come_in_order_with_ids() {
    let server = server().await;
    let mut client = subscribe(&server, &["a", "b"]).await;
    let mut expected = Vec::new();
    for n in 0..30 {
        let data = n.to_string();
        let id = match n % 3 {
            0 => server.sse.broadcast(data.clone()).await,
            1 => server.sse.publish("b", data.clone()).await,
            _ => server.sse.publish("a", data.clone()).await,
        };
        expected.push((data, id.unwrap().to_string()));
    }
    for event in expected {
        assert_eq!(next(&mut client).await, event);
    }
}

#[tokio::test]
async fn a_stream_without_topics_gets_broadcasts_without_ids() {
    let server = server().await;
    let mut client = server.sse("/r/plain").await;
    server.wait_for_connections(1).await;
    server.sse.broadcast("x").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "x");
    assert_eq!(client.text(), ":\nretry: 3000\ndata: x\n\n");
}

#[tokio::test]
async fn an_own_id_is_refused_at_publish() {
    let server = server().await;
    let id = "mine".to_owned();
    let event = SseEvent::text("x").id(&id);
    let refused = [
        server.sse.publish("a", event.clone()).await,
        server.sse.broadcast(event.clone()).await,
    ];
    for refused in refused {
        assert!(matches!(refused, Err(SseError::OwnId(own)) if own == id));
    }
    let mut client = subscribe(&server, &["a"]).await;
    let handle = server.sse.clients().remove(0);
    assert!(matches!(
        handle.try_send(event.clone()),
        Err(SseError::OwnId(_))
    ));
    let by_id = server.sse.send_to_client(handle.id(), event).await;
    assert!(matches!(by_id, Err(SseError::OwnId(_))));
    handle.send("fine").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "fine");
}

#[tokio::test]
async fn an_own_id_is_refused_on_an_unattached_joined_handle() {
    let (app, journal, _) = means();
    let server = TestServer::start(app).await;
    for made_here in [false, true] {
        let path = format!("/m/handle-with-id?made_here={made_here}");
        let mut client = server.sse(&path).await;
        assert_eq!(client.next().await.unwrap().event, "helios:ready");
        assert_eq!(client.next().await.unwrap().data, "after it");
    }
    assert_eq!(journal.count("Err(OwnId(\"1\"))"), 2);
}

#[tokio::test]
async fn an_own_id_ends_a_generator_or_producer_with_topics() {
    let server = TestServer::start(means().0).await;
    for path in ["/m/generator-with-id", "/m/producer-with-id"] {
        let mut client = server.sse(path).await;
        let events = events(&mut client).await;
        let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["helios:ready", "message", "error"], "{path}");
    }
}

#[tokio::test]
async fn the_first_topic_joined_late_is_announced_by_ready() {
    let server = server().await;
    let mut client = server.sse("/r/plain").await;
    server.wait_for_connections(1).await;
    let handle = server.sse.clients().remove(0);
    server.sse.broadcast("without id").await.unwrap();
    server.sse.publish("late", "missed").await.unwrap();
    handle.join("late").await.unwrap();
    let id = server.sse.publish("late", "seen").await.unwrap();
    handle.join("later").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "without id");
    let ready = client.next().await.unwrap();
    assert_eq!((ready.event.as_str(), seq(&ready.id)), ("helios:ready", 2));
    assert_eq!(json(&ready)["resumed"], false);
    assert_eq!(next(&mut client).await, ("seen".into(), id.to_string()));
    server
        .sse
        .publish("later", "no second ready")
        .await
        .unwrap();
    assert_eq!(client.next().await.unwrap().data, "no second ready");
}

#[tokio::test]
async fn to_join_twice_is_to_join_once() {
    let server = server().await;
    let mut client = subscribe(&server, &["a", "a"]).await;
    let handle = server.sse.clients().remove(0);
    handle.join("a").await.unwrap();
    assert_eq!(handle.topics(), ["a"]);
    server.sse.publish("a", "1").await.unwrap();
    server.sse.publish("a", "2").await.unwrap();
    assert_eq!(until(&mut client, "2").await, ["1"]);
    handle.leave("a").await.unwrap();
    assert!(handle.topics().is_empty());
}

#[tokio::test]
async fn who_leaves_gets_nothing_that_is_published_from_then_on() {
    let server = server().await;
    let mut client = subscribe(&server, &["a", "b"]).await;
    let handle = server.sse.clients().remove(0);
    server.sse.publish("a", "1").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "1");
    handle.leave("a").await.unwrap();
    handle.leave("never joined").await.unwrap();
    server.sse.publish("a", "2").await.unwrap();
    server.sse.publish("b", "3").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "3");
    handle.join("a").await.unwrap();
    server.sse.publish("a", "4").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "4", "and not 2");
}

#[tokio::test]
async fn what_cannot_be_a_topic_s_name_is_refused() {
    let server = server().await;
    let too_long = "x".repeat(257);
    for name in ["", "*", "orders:*", "a*b", &too_long] {
        let invalid = |error: &SseError| matches!(error, SseError::InvalidTopic(_));
        let published = server.sse.publish(name, "x").await;
        assert!(published.is_err_and(|error| invalid(&error)), "{name}");
        for handle in [SseStream::new(), server.sse.create_connection()] {
            let joined = handle.join(name).await;
            assert!(joined.is_err_and(|error| invalid(&error)), "{name}");
        }
        let answer = server.get(&format!("/r/topics?topic={name}")).await;
        assert_eq!(answer.status, 400, "{name}");
    }
    let refused = server.sse.publish(&*too_long, "x").await;
    let told = refused.unwrap_err().to_string();
    assert!(told.len() < 200 && told.contains("`broadcast`"), "{told}");
    let longest = &too_long[1..];
    server.sse.publish(longest, "x").await.unwrap();
    subscribe(&server, &[longest]).await;
    assert_eq!(server.sse.stats().topics, 1);
}

#[tokio::test]
async fn one_connection_may_be_in_a_limited_number_of_topics() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.max_topics_per_connection = 2);
    let server = TestServer::start(app).await;
    let _client = subscribe(&server, &["a", "b"]).await;
    let handle = server.sse.create_connection();
    for topic in ["a", "b", "a"] {
        handle.join(topic).await.unwrap();
    }
    let refused = handle.join("c").await;
    let too_many = |error: &SseError| matches!(error, SseError::TooManyJoined { limit: 2 });
    assert!(refused.as_ref().is_err_and(too_many), "{refused:?}");
    handle.leave("a").await.unwrap();
    handle.join("c").await.unwrap();
    let answer = server.get("/r/topics?topic=a&topic=b&topic=c").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn there_are_so_many_topics_and_no_more() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.max_topics = 2);
    let server = TestServer::start(app).await;
    let _client = subscribe(&server, &["a"]).await;
    server.sse.publish("b", "x").await.unwrap();
    let too_many = |error: &SseError| matches!(error, SseError::TooManyTopics { limit: 2 });
    let refused = server.sse.publish("c", "x").await;
    assert!(refused.is_err_and(|error| too_many(&error)));
    let refused = server.sse.clients()[0].join("c").await;
    assert!(refused.is_err_and(|error| too_many(&error)));
    // Any other status would stop an `EventSource` for good.
    let refused = server.get("/r/topics?topic=c").await;
    assert_eq!(refused.status, 200);
    assert!(refused.text().contains("event: helios:overloaded\nretry: "));
    assert_eq!(server.sse.stats().topics, 2);
    subscribe(&server, &["a", "b"]).await;
}

#[tokio::test]
async fn a_handle_without_the_service_joins_when_it_is_attached() {
    let (app, _, seen) = means();
    let server = TestServer::start(app).await;
    let mut client = subscribe_at(&server, "/m/handle").await;
    let handle = server.sse.clients().remove(0);
    assert_eq!(handle.topics(), ["made"]);
    assert_eq!(handle.get::<UserId>(), Some(UserId(7)));
    server.sse.publish("made", "x").await.unwrap();
    assert_eq!(client.next().await.unwrap().data, "x");
    drop(client);
    eventually(|| *seen.lock().unwrap() == [Some(UserId(7))]).await;
}

async fn subscribe_at(server: &TestServer, path: &str) -> SseClient {
    let mut client = server.sse(path).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    client
}

#[tokio::test]
async fn a_join_in_the_connection_hook_misses_nothing_later() {
    let server = TestServer::start(means().0).await;
    let mut client = subscribe_at(&server, "/hooked").await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(client.next().await.unwrap().data);
    }
    assert_eq!(seen, ["0", "1", "2", "at the first poll", "own"]);
}

#[tokio::test]
async fn a_publisher_inside_an_sse_method_does_not_block_itself() {
    let server = TestServer::start(means().0).await;
    let mut client = subscribe_at(&server, "/m/publishes").await;
    let events = within(events(&mut client)).await;
    assert_eq!(events.len(), 201);
    assert_eq!(events[198], ("message".into(), "99".into()));
    assert_eq!(events[200].0, "helios:end");
}

#[tokio::test]
async fn the_data_bag_holds_one_value_of_each_type() {
    let server = server().await;
    let _client = subscribe(&server, &["a"]).await;
    let handle = server.sse.clients().remove(0);
    assert_eq!(handle.insert(UserId(7)), None);
    assert_eq!(handle.insert("a text"), None);
    assert_eq!(handle.insert(UserId(8)), Some(UserId(7)));
    let same = server.sse.client(handle.id()).unwrap();
    assert_eq!(same.get::<UserId>(), Some(UserId(8)));
    assert_eq!(same.remove::<UserId>(), Some(UserId(8)));
    assert_eq!(handle.get::<UserId>(), None);
    assert_eq!(handle.get::<&str>(), Some("a text"));
}

#[tokio::test]
async fn the_service_knows_who_is_in_a_topic() {
    let server = server().await;
    let first = subscribe(&server, &["a"]).await;
    let _second = subscribe(&server, &["a", "b"]).await;
    let count = |topic: &str| server.sse.clients_in(topic).len();
    assert_eq!([count("a"), count("b"), count("c")], [2, 1, 0]);
    let detached = server.sse.subscribe(["b"]).await.unwrap();
    assert_eq!(
        count("b"),
        1,
        "a handle is not a client before it is attached"
    );
    assert_eq!(detached.topics(), ["b"]);
    drop(first);
    eventually(|| count("a") == 1).await;
}

#[tokio::test]
async fn the_counts_tell_topics_and_what_was_published_and_delivered() {
    let server = server().await;
    let mut clients = [
        subscribe(&server, &["a"]).await,
        subscribe(&server, &["a", "b"]).await,
    ];
    let ready = server.sse.stats();
    assert_eq!((ready.topics, ready.published), (2, 0));
    server.sse.publish("a", "x").await.unwrap();
    server.sse.publish("nobody", "x").await.unwrap();
    for client in &mut clients {
        client.next().await.unwrap();
    }
    let stats = server.sse.stats();
    assert_eq!((stats.topics, stats.published), (3, 2));
    assert_eq!(stats.delivered - ready.delivered, 2);
    let length = |client: &SseClient| client.raw.len() as u64;
    assert_eq!(stats.bytes, clients.iter().map(length).sum::<u64>());
    assert_eq!((stats.dropped, stats.slow_closes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_topic_disappears_when_it_is_empty_and_expired() {
    let (app, _) = app();
    let age = Duration::from_secs(60);
    let app = app.sse_options(|sse| {
        sse.history.age = age;
        sse.stuck_after = age * 10;
    });
    let app = TestApp::start(app).unwrap();
    let sse = app.sse_service();
    let mut client = app.sse("/r/topics?topic=a&topic=b").await;
    sse.publish("a", "x").await.unwrap();
    sse.publish("c", "x").await.unwrap();
    while client.next().await.unwrap().data != "x" {}
    sleep(age / 2).await;
    assert_eq!(sse.stats().topics, 3);
    sleep(age).await;
    assert_eq!(sse.stats().topics, 2, "a and b have a member");
    sse.publish("a", "x").await.unwrap();
    drop(client);
    sleep(age / 2).await;
    assert_eq!(
        sse.stats().topics,
        2,
        "who comes back to b has missed nothing"
    );
    sleep(age).await;
    assert_eq!(sse.stats().topics, 0);
}

#[tokio::test]
async fn all_tabs_of_a_user_get_the_users_topic() {
    let server = server().await;
    let mut tabs = [
        subscribe(&server, &["user:7", "orders"]).await,
        subscribe(&server, &["user:7"]).await,
    ];
    let mut other = subscribe(&server, &["user:70", "orders"]).await;
    server.sse.publish("user:7", "for 7").await.unwrap();
    server.sse.broadcast("for all").await.unwrap();
    for tab in &mut tabs {
        assert_eq!(until(tab, "for all").await, ["for 7"]);
    }
    assert!(until(&mut other, "for all").await.is_empty());
}

#[tokio::test]
async fn a_broadcast_except_one_reaches_all_the_others() {
    let server = server().await;
    let mut author = subscribe(&server, &["a"]).await;
    let id = server.sse.clients()[0].id();
    let mut other = subscribe(&server, &["a"]).await;
    server.sse.broadcast_except(id, "edited").await.unwrap();
    server.sse.publish("a", "next").await.unwrap();
    assert!(until(&mut author, "next").await.is_empty());
    assert_eq!(until(&mut other, "next").await, ["edited"]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_history_still_delivers() {
    let (app, _) = in_process(|sse| sse.history.age = Duration::ZERO);
    let sse = app.sse_service().clone();
    let mut first = app.sse(&path(&["x"])).await;
    all_now(&mut first).await;
    sse.publish("x", "1").await.unwrap();
    tokio::time::advance(Duration::from_micros(2)).await;
    sse.publish("x", "2").await.unwrap();
    let got = all_now(&mut first).await;
    assert_eq!([&*got[0].data, &*got[1].data], ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn unused_topics_disappear_also_before_the_first_connection() {
    let (app, _) = in_process(|sse| sse.max_topics = 100);
    let sse = app.sse_service();
    for n in 0..100 {
        drop(sse.subscribe([format!("x{n}")]).await.unwrap());
    }
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(sse.stats().topics, 0);
}
