//! Clients that resume. No event is missing, none comes twice, and all are in order.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use helios::prelude::*;
use helios::sse::EventId;
use helios::testing::TestApp;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::app::{
    all_now, app, come_back, in_process, json, next, path, seq, server, subscribe, until,
};
use support::{SseClient, TestServer, within};

/// Publishes events to the topic, and returns the last id.
async fn publish(server: &TestServer, topic: &str, events: &[&str]) -> String {
    let mut last = String::new();
    for event in events {
        last = server.sse.publish(topic, *event).await.unwrap().to_string();
    }
    last
}

/// Reads `helios:ready`, and returns whether it reports a resume.
async fn resumed(client: &mut SseClient) -> bool {
    let ready = client.next().await.unwrap();
    assert_eq!(ready.event, "helios:ready");
    json(&ready)["resumed"] == true
}

#[tokio::test]
async fn a_client_that_resumes_gets_missed_and_then_live_events() {
    let server = server().await;
    let mut client = subscribe(&server, &["a"]).await;
    publish(&server, "a", &["1"]).await;
    let (_, last) = next(&mut client).await;
    drop(client);
    publish(&server, "a", &["2", "3"]).await;
    publish(&server, "other", &["x"]).await;
    let mut client = come_back(&server, &["a"], &last).await;
    let ready = client.next().await.unwrap();
    assert_eq!((&*ready.event, &ready.id), ("helios:ready", &last));
    assert_eq!(json(&ready)["resumed"], true);
    publish(&server, "a", &["4"]).await;
    assert_eq!(until(&mut client, "4").await, ["2", "3"]);
}

#[tokio::test]
async fn the_query_gives_the_last_id_without_a_header() {
    let server = server().await;
    let first = publish(&server, "a", &["1"]).await;
    let second = publish(&server, "a", &["2", "3"]).await;
    let with_query = format!("{}&lastEventId={first}", path(&["a"]));
    let mut client = server.sse(&with_query).await;
    assert!(resumed(&mut client).await);
    assert_eq!(until(&mut client, "3").await, ["2"]);
    // A browser that reconnects sends both, and the header is newer.
    publish(&server, "a", &["4"]).await;
    let headers = [("last-event-id", second.as_str())];
    let mut client = server
        .sse_with(http::Method::GET, &with_query, &headers, "")
        .await;
    assert!(resumed(&mut client).await);
    assert_eq!(client.next().await.unwrap().data, "4");
}

#[tokio::test]
async fn one_id_resumes_several_topics_and_broadcasts_in_order() {
    let server = server().await;
    let last = publish(&server, "a", &["seen"]).await;
    let mut expected = Vec::new();
    for n in 0..20 {
        expected.push(n.to_string());
        let event = n.to_string();
        match n % 4 {
            3 => server.sse.broadcast(event).await,
            n => server.sse.publish(["a", "b", "c"][n], event).await,
        }
        .unwrap();
    }
    let mut client = come_back(&server, &["c", "a", "b"], &last).await;
    assert!(resumed(&mut client).await);
    publish(&server, "a", &["live"]).await;
    assert_eq!(until(&mut client, "live").await, expected);
}

#[tokio::test]
async fn a_topic_new_to_the_client_begins_at_its_position() {
    let server = server().await;
    publish(&server, "b", &["before"]).await;
    let last = publish(&server, "a", &["seen"]).await;
    publish(&server, "b", &["after"]).await;
    let mut client = come_back(&server, &["a", "b"], &last).await;
    assert!(resumed(&mut client).await);
    publish(&server, "a", &["live"]).await;
    assert_eq!(until(&mut client, "live").await, ["after"]);
}

#[tokio::test]
async fn the_id_of_ready_is_enough_to_resume() {
    let server = server().await;
    publish(&server, "a", &["old"]).await;
    let mut client = server.sse(&path(&["a"])).await;
    let ready = client.next().await.unwrap();
    drop(client);
    publish(&server, "a", &["1", "2"]).await;
    let mut client = come_back(&server, &["a"], &ready.id).await;
    assert!(resumed(&mut client).await);
    publish(&server, "a", &["live"]).await;
    assert_eq!(until(&mut client, "live").await, ["1", "2"]);
}

#[tokio::test]
async fn reconnects_and_shutdowns_lose_no_event_for_a_client() {
    let server = server().await;
    let mut client = subscribe(&server, &["a"]).await;
    publish(&server, "a", &["1"]).await;
    let handle = server.sse.clients().remove(0);
    handle.reconnect_after(Duration::from_millis(1));
    publish(&server, "a", &["2"]).await;
    let (_, last) = next(&mut client).await;
    let farewell = client.next().await.unwrap();
    assert_eq!(
        (farewell.event.as_str(), &farewell.id),
        ("helios:reconnect", &last)
    );
    assert!(client.next().await.is_none());
    let mut client = come_back(&server, &["a"], &last).await;
    assert!(resumed(&mut client).await);
    assert_eq!(client.next().await.unwrap().data, "2");
}

#[tokio::test]
async fn private_events_are_in_order_and_take_no_id() {
    let server = server().await;
    let mut client = subscribe(&server, &["a", "b"]).await;
    let handle = server.sse.clients().remove(0);
    let mut id = String::new();
    let mut expected = Vec::new();
    for n in 0..10 {
        id = publish(&server, "b", &["published"]).await;
        expected.push(("published".to_owned(), id.clone()));
        let private = format!("private {n}");
        server
            .sse
            .send_to_client(handle.id(), private.clone())
            .await
            .unwrap();
        expected.push((private, id.clone()));
        handle.send("own").await.unwrap();
        expected.push(("own".to_owned(), id.clone()));
        id = publish(&server, "a", &["other"]).await;
        expected.push(("other".to_owned(), id.clone()));
    }
    for event in expected {
        assert_eq!(next(&mut client).await, event);
    }
    assert_eq!(
        client.text().matches("\nid: ").count(),
        21,
        "ready and 20 published"
    );
    let mut client = come_back(&server, &["a", "b"], &id).await;
    assert!(resumed(&mut client).await);
    publish(&server, "a", &["live"]).await;
    assert!(
        until(&mut client, "live").await.is_empty(),
        "private ones are not repeated"
    );
}

#[tokio::test]
async fn a_join_from_an_id_replays_without_ids_then_live() {
    let server = server().await;
    let from: EventId = publish(&server, "late", &["0"]).await.parse().unwrap();
    publish(&server, "late", &["1", "2"]).await;
    let mut client = subscribe(&server, &["a"]).await;
    let seen = publish(&server, "a", &["seen"]).await;
    assert_eq!(next(&mut client).await, ("seen".into(), seen.clone()));
    let handle = server.sse.clients().remove(0);
    handle.join_from("late", from).await.unwrap();
    let live = publish(&server, "late", &["3"]).await;
    handle.join_from("late", from).await.unwrap();
    let after = publish(&server, "a", &["after"]).await;
    for (data, id) in [("1", &seen), ("2", &seen), ("3", &live), ("after", &after)] {
        assert_eq!(next(&mut client).await, (data.to_owned(), id.clone()));
    }
    let written = client.text();
    assert!(
        written.contains("\n\ndata: 1\n\ndata: 2\n\nid: "),
        "{written}"
    );
}

#[tokio::test]
async fn a_first_join_from_an_id_sends_ready_first() {
    let server = server().await;
    let from: EventId = publish(&server, "late", &["0"]).await.parse().unwrap();
    let last = publish(&server, "late", &["1", "2"]).await;
    let mut client = server.sse("/r/plain").await;
    server.wait_for_connections(1).await;
    let handle = server.sse.clients().remove(0);
    handle.join_from("late", from).await.unwrap();
    let live = publish(&server, "late", &["3"]).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = client.next().await.unwrap();
        seen.push((event.event, event.data, event.id));
    }
    let ready = seen.iter().position(|(name, ..)| name == "helios:ready");
    let data: Vec<_> = seen.iter().filter(|(name, ..)| name == "message").collect();
    let data: Vec<_> = data.iter().map(|(_, data, _)| data.as_str()).collect();
    assert_eq!(data, ["1", "2", "3"], "{seen:?}");
    let (_, _, id) = &seen[ready.unwrap()];
    assert_eq!(*id, last);
    assert_eq!(seen[3], ("message".into(), "3".into(), live));
}

#[tokio::test]
async fn a_future_or_foreign_id_cannot_be_joined_from() {
    let server = server().await;
    let head: EventId = publish(&server, "late", &["0"]).await.parse().unwrap();
    let mut client = subscribe(&server, &["a"]).await;
    let handle = server.sse.clients().remove(0);
    let wrong = [
        (EventId::new(head.epoch(), 99), "unknown", "t1"),
        (EventId::new(head.epoch() + 1, 1), "epoch", "t2"),
    ];
    for (id, reason, topic) in wrong {
        handle.join_from(topic, id).await.unwrap();
        let reset = client.next().await.unwrap();
        assert_eq!(reset.event, "helios:reset");
        assert_eq!(json(&reset), json!({ "reason": reason, "topics": [topic] }));
        assert_eq!(client.next().await.unwrap().event, "helios:ready");
        publish(&server, topic, &["live"]).await;
        assert_eq!(client.next().await.unwrap().data, "live");
    }
}

const TOPICS: [&str; 8] = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"];
const EACH: u64 = 1_000;
const ALL: u64 = EACH * TOPICS.len() as u64;

/// Publishes to all topics from many tasks, as fast as possible, but not further ahead of `readers` than history
/// reaches. Each task alternates between topics. A reader that read one topic after the other might receive a later
/// event before an earlier one.
fn publishers(sse: &SseService, readers: &[Arc<AtomicU64>]) -> Vec<JoinHandle<()>> {
    let published = Arc::new(AtomicU64::new(0));
    let spawn = |task: usize| {
        let (sse, readers, published) = (sse.clone(), readers.to_vec(), Arc::clone(&published));
        tokio::spawn(async move {
            for n in 0..EACH {
                let topic = TOPICS[(task + n as usize) % TOPICS.len()];
                sse.publish(topic, format!("{task} {n}")).await.unwrap();
                let published = published.fetch_add(1, Ordering::Relaxed) + 1;
                let ahead = |reader: &Arc<AtomicU64>| {
                    published.saturating_sub(reader.load(Ordering::Relaxed)) > 500
                };
                while readers.iter().any(ahead) {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        })
    };
    (0..TOPICS.len()).map(spawn).collect()
}

/// Reads until everything was seen, with a cut after at most `every` events, and returns the number of cuts.
async fn read_with_cuts(server: &TestServer, every: u64, seen: Arc<AtomicU64>) -> u64 {
    let mut client = server.sse(&path(&TOPICS)).await;
    let mut last = client.next().await.unwrap().id;
    let mut cuts = 0;
    loop {
        for _ in 0..(cuts * 37) % every {
            let (_, id) = next(&mut client).await;
            assert_eq!(
                seq(&id),
                seq(&last) + 1,
                "in order, without gap or duplicate"
            );
            seen.store(seq(&id), Ordering::Relaxed);
            last = id;
            if seq(&last) == ALL {
                return cuts;
            }
        }
        drop(client);
        cuts += 1;
        client = come_back(server, &TOPICS, &last).await;
        assert!(resumed(&mut client).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_cuts_at_full_speed_lose_and_repeat_nothing() {
    let (app, _) = app();
    let server = TestServer::start(app).await;
    let seen: [Arc<AtomicU64>; 2] = Default::default();
    let clients = async {
        tokio::join!(
            read_with_cuts(&server, 400, Arc::clone(&seen[0])),
            read_with_cuts(&server, 60, Arc::clone(&seen[1])),
        )
    };
    let publish = async {
        server.wait_for_connections(2).await;
        for publisher in publishers(&server.sse, &seen) {
            publisher.await.unwrap();
        }
    };
    let ((few, many), ()) = tokio::join!(clients, publish);
    assert!(few > 20 && many > 100, "{few} and {many} cuts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_many_topics_sees_everything_in_order() {
    let app = TestApp::start(app().0).unwrap();
    let mut client = app.sse(&path(&TOPICS)).await;
    let seen = [Arc::new(AtomicU64::new(0))];
    for round in 0..8 {
        let publishers = publishers(app.sse_service(), &seen);
        let mut last = round * ALL;
        while last < (round + 1) * ALL {
            let event = client.next().await.unwrap();
            if event.event == "message" {
                assert_eq!(seq(&event.id), last + 1);
                last += 1;
                seen[0].store(last - round * ALL, Ordering::Relaxed);
            }
        }
        for publisher in publishers {
            publisher.await.unwrap();
        }
        // Not earlier, because a publisher that still looks would think the reader far behind, and wait for ever.
        seen[0].store(0, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_and_leaves_during_publishing_repeat_nothing() {
    let server = server().await;
    let mut client = subscribe(&server, &["stays"]).await;
    let handle = server.sse.clients().remove(0);
    let publishers = publishers(&server.sse, &[]);
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        handle.join("t0").await.unwrap();
        for _ in 0..3 {
            server.sse.publish("stays", "tick").await.unwrap();
        }
        handle.leave("t0").await.unwrap();
    }
    server.sse.publish("stays", "last").await.unwrap();
    for data in within(until(&mut client, "last")).await {
        if data != "tick" {
            assert!(seen.insert(data.clone()), "{data} came twice");
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn resuming_needs_only_history_after_the_last_id() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.history.age = Duration::from_secs(60));
    let app = TestApp::start(app).unwrap();
    let sse = app.sse_service();
    let first = sse.publish("a", "1").await.unwrap();
    sleep(Duration::from_secs(40)).await;
    sse.publish("a", "2").await.unwrap();
    sleep(Duration::from_secs(40)).await;
    let mut client = app
        .sse(&path(&["a"]))
        .last_event_id(&first.to_string())
        .await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    assert_eq!(client.next().await.unwrap().data, "2");
}

#[tokio::test(start_paused = true)]
async fn who_has_missed_nothing_within_retention_is_not_reset() {
    let (app, _) = in_process(|_| {});
    let sse = app.sse_service();
    let mut first = app
        .sse(&path(&["user:7"]))
        .await
        .with_deadline(Duration::from_secs(3600));
    let ready = first.next().await.unwrap();
    sse.publish("other", "x").await.unwrap();
    // The other topic disappears, the client's connection breaks after six minutes, and two seconds later it resumes.
    let silence = timeout(Duration::from_secs(400), first.next()).await;
    assert!(silence.is_err());
    drop(first);
    sleep(Duration::from_secs(2)).await;
    let mut second = app.sse(&path(&["user:7"])).last_event_id(&ready.id).await;
    let got = all_now(&mut second).await;
    assert!(!got.iter().any(|event| event.event == "helios:reset"));
}
