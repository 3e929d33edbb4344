//! Slow clients, and how much is kept for each.

mod drop_oldest;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::{Decoded, DecodedEvent, Decoder};
use helios::sse::{EventId, HistoryLimits, SlowClients};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::app::{all_now, app, come_back, in_process, json, path, seq, server, subscribe, until};
use support::journal::Journal;
use support::{SseClient, TestServer, eventually, within};

/// A client that reads only on request, and whose socket buffers little. It uses HTTP/1.0, which has no chunks.
struct Stalled {
    socket: TcpStream,
    head: Option<Vec<u8>>,
    decoder: Decoder,
}

impl Stalled {
    async fn connect(server: &TestServer, topics: &[&str]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut socket = socket.connect(server.addr).await.unwrap();
        let request = format!("GET {} HTTP/1.0\r\nhost: x\r\n\r\n", path(topics));
        socket.write_all(request.as_bytes()).await.unwrap();
        Self {
            socket,
            head: Some(Vec::new()),
            decoder: Decoder::new(),
        }
    }

    async fn next(&mut self) -> Option<DecodedEvent> {
        loop {
            match self.decoder.next_item() {
                Some(Decoded::Event(event)) => return Some(event),
                Some(_) => {}
                None => self.read().await?,
            }
        }
    }

    async fn read(&mut self) -> Option<()> {
        let mut chunk = vec![0; 64 * 1024];
        let read = within(self.socket.read(&mut chunk)).await.ok()?;
        chunk.truncate(read);
        if let Some(mut head) = self.head.take() {
            head.append(&mut chunk);
            match head.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => chunk = head.split_off(end + 4),
                None => self.head = Some(head),
            }
        }
        self.decoder.feed(&chunk).unwrap();
        (read > 0).then_some(())
    }
}

/// Checks the clients every 10 ms, and never regards one as stuck.
fn watchful(sse: &mut SseOptions) {
    sse.keep_alive = Some(Duration::from_millis(80));
    sse.backlog.events = usize::MAX;
    sse.backlog.bytes = usize::MAX;
}

async fn watchful_server(change: impl FnOnce(&mut SseOptions)) -> (TestServer, Journal) {
    let (app, journal) = app();
    let app = app.sse_options(watchful).sse_options(change);
    (TestServer::start(app).await, journal)
}

/// More than the sockets' buffers hold.
const MANY: u64 = 1_000;

/// Publishes numbered events of 8 KiB each.
async fn flood(sse: &SseService, topic: &str, numbers: RangeInclusive<u64>) {
    for n in numbers {
        let event = SseEvent::text("x".repeat(8 * 1024)).event(n.to_string());
        sse.publish(topic, event).await.unwrap();
    }
}

fn number(event: &DecodedEvent) -> u64 {
    event.event.parse().unwrap()
}

/// Reads consecutive events from `first` on. Returns the next number, and the first other event.
async fn read_run(client: &mut Stalled, first: u64) -> (u64, DecodedEvent) {
    let mut expected = first;
    loop {
        let event = client.next().await.unwrap();
        if event.event.starts_with("helios:") {
            return (expected, event);
        }
        assert_eq!(number(&event), expected);
        expected += 1;
    }
}

async fn is_closed_as_slow_and_resumes(change: impl FnOnce(&mut SseOptions)) {
    let (server, journal) = watchful_server(change).await;
    let mut client = Stalled::connect(&server, &["a"]).await;
    server.wait_for_connections(1).await;
    flood(&server.sse, "a", 1..=MANY).await;
    eventually(|| server.sse.stats().slow_closes == 1).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    let (missing, farewell) = read_run(&mut client, 1).await;
    assert_eq!(farewell.event, "helios:reconnect");
    assert_eq!(json(&farewell)["reason"], "slow_client");
    assert!(client.next().await.is_none());
    journal.wait_for("closed: slow_client").await;
    assert!(missing <= MANY, "it was ahead of what it read");
    assert_eq!(
        resume_up_to_date(&server, farewell.id).await,
        missing..=MANY
    );
}

/// Resumes as often as necessary, and returns the numbers of the events that it received.
async fn resume_up_to_date(server: &TestServer, mut last: String) -> RangeInclusive<u64> {
    let first = seq(&last) + 1;
    loop {
        let mut client = come_back(server, &["a"], &last).await;
        assert_eq!(json(&client.next().await.unwrap())["resumed"], true);
        while let Some(event) = client.next().await
            && event.event != "helios:reconnect"
        {
            assert_eq!(number(&event), seq(&last) + 1);
            last = event.id;
            if seq(&last) == MANY {
                return first..=MANY;
            }
        }
    }
}

#[tokio::test]
async fn a_client_too_many_events_behind_resumes_without_loss() {
    is_closed_as_slow_and_resumes(|sse| sse.backlog.events = 100).await;
}

#[tokio::test]
async fn a_client_too_many_bytes_behind_resumes_without_loss() {
    is_closed_as_slow_and_resumes(|sse| sse.backlog.bytes = 1 << 20).await;
}

#[tokio::test]
async fn a_client_overtaken_by_its_topic_is_reset_on_return() {
    let (server, _) = watchful_server(|sse| sse.history_bytes = 1 << 19).await;
    let mut client = Stalled::connect(&server, &["a"]).await;
    server.wait_for_connections(1).await;
    flood(&server.sse, "a", 1..=MANY).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    let (missing, farewell) = read_run(&mut client, 1).await;
    assert_eq!(farewell.event, "helios:reconnect");
    assert_eq!(
        seq(&farewell.id),
        missing - 1,
        "no position that it has not seen"
    );
    let mut client = come_back(&server, &["a"], &farewell.id).await;
    client.next().await.unwrap();
    let reset = client.next().await.unwrap();
    assert_eq!(
        json(&reset),
        json!({ "reason": "expired", "topics": ["a"] })
    );
}

#[tokio::test(start_paused = true)]
async fn published_and_private_events_count_together() {
    let (app, journal) = in_process(|sse| sse.backlog.events = 100);
    let sse = app.sse_service();
    let _client = app.sse(&path(&["a", "b"])).await;
    let id = sse.clients()[0].id();
    for _ in 0..33 {
        sse.publish("a", "x").await.unwrap();
        sse.publish("b", "x").await.unwrap();
        sse.send_to_client(id, "x").await.unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(sse.stats().slow_closes, 0, "99 are not more than 100");
    for _ in 0..2 {
        sse.publish("b", "x").await.unwrap();
    }
    sleep(Duration::from_secs(3)).await;
    assert_eq!(sse.stats().slow_closes, 1);
    assert!(journal.notes().is_empty(), "it may still read its farewell");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_catches_up_between_bursts_is_not_slow() {
    let (app, _) = in_process(|sse| sse.backlog.events = 100);
    let sse = app.sse_service();
    let mut client = app.sse(&path(&["a"])).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    for _ in 0..5 {
        for n in 0..200 {
            sse.publish("a", n.to_string()).await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        for n in 0..200 {
            assert_eq!(client.next().await.unwrap().data, n.to_string());
        }
        let more = tokio::time::timeout(Duration::from_millis(1), client.next()).await;
        assert!(more.is_err(), "it has read everything");
    }
    assert_eq!(sse.stats().slow_closes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_resuming_client_with_much_to_read_is_not_slow() {
    for slow_clients in [SlowClients::Disconnect, SlowClients::DropOldest] {
        let (app, _) = in_process(|sse| {
            sse.backlog.events = 10;
            sse.slow_clients = slow_clients;
        });
        let sse = app.sse_service();
        let seen = sse.publish("a", "seen").await.unwrap().to_string();
        flood(sse, "a", 1..=40).await;
        let mut client = app.sse(&path(&["a"])).last_event_id(&seen).await;
        assert_eq!(client.next().await.unwrap().event, "helios:ready");
        for n in 1..=40 {
            assert_eq!(number(&client.next().await.unwrap()), n);
            sleep(Duration::from_secs(1)).await;
        }
        let stats = sse.stats();
        assert_eq!((stats.slow_closes, stats.dropped), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_closed_after_a_while() {
    let (app, journal) = in_process(|sse| {
        sse.keep_alive = None;
        sse.stuck_after = Duration::from_secs(20);
    });
    let sse = app.sse_service();
    let mut idle = app.sse(&path(&["idle"])).await;
    idle.next().await.unwrap();
    let mut stuck = app.sse(&path(&["a"])).await;
    stuck.next().await.unwrap();
    sleep(Duration::from_secs(100)).await;
    sse.publish("a", "x").await.unwrap();
    sleep(Duration::from_secs(19)).await;
    assert_eq!(sse.stats().connections, 2);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(journal.notes(), ["closed: slow_client"]);
    assert_eq!(sse.stats().connections, 1);
    sse.publish("idle", "x").await.unwrap();
    assert_eq!(idle.next().await.unwrap().data, "x");
}

#[tokio::test]
async fn events_for_a_full_socket_are_written_when_it_drains() {
    let (server, _) = watchful_server(|_| {}).await;
    let mut client = Stalled::connect(&server, &["a"]).await;
    server.wait_for_connections(1).await;
    let id = server.sse.clients()[0].id();
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    // More than both buffers hold together.
    for n in 0..60 {
        let large = format!("{n} {}", "x".repeat(200 * 1024));
        server.sse.publish("a", large).await.unwrap();
    }
    server.sse.send_to_client(id, "60 ").await.unwrap();
    server.sse.publish("a", "61 ").await.unwrap();
    for n in 0..62 {
        let event = client.next().await.unwrap();
        assert!(event.data.starts_with(&format!("{n} ")), "{n} is missing");
    }
}

#[tokio::test]
async fn sending_by_id_never_waits_and_closes_a_stuck_client() {
    let (server, journal) = watchful_server(|sse| sse.backlog.events = 10).await;
    let mut client = Stalled::connect(&server, &["a"]).await;
    server.wait_for_connections(1).await;
    let id = server.sse.clients()[0].id();
    let large = "x".repeat(200 * 1024);
    let mut sent = 0;
    let refused = loop {
        match server.sse.send_to_client(id, large.clone()).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SseError::Closed(CloseReason::SlowClient)));
    assert!(sent >= 10);
    let mut last = client.next().await.unwrap();
    while let Some(event) = client.next().await {
        last = event;
    }
    assert_eq!(last.event, "helios:reconnect");
    journal.wait_for("closed: slow_client").await;
}

#[tokio::test]
async fn a_burst_arrives_whole_at_a_client_that_reads() {
    let server = server().await;
    let mut client = subscribe(&server, &["a"]).await;
    for n in 0..50 {
        let data = format!("{n} {}", "x".repeat(64 * 1024));
        server.sse.publish("a", data).await.unwrap();
    }
    for n in 0..50 {
        let data = client.next().await.unwrap().data;
        assert!(data.len() > 64 * 1024 && data.starts_with(&format!("{n} ")));
    }
    assert_eq!(server.sse.stats().slow_closes, 0);
}

/// Reads `events` consecutive events in a task of its own, and returns the client. `seen` is the number of the last
/// event.
fn reader(
    mut client: SseClient,
    events: u64,
    seen: Arc<AtomicU64>,
) -> tokio::task::JoinHandle<SseClient> {
    tokio::spawn(async move {
        for n in 1..=events {
            let event = client.next().await.unwrap();
            assert_eq!(number(&event), n);
            seen.store(n, Ordering::Relaxed);
        }
        client
    })
}

#[tokio::test]
async fn a_tight_loop_of_publishes_disconnects_no_healthy_reader() {
    const EVENTS: u64 = 20_000;
    let server = server().await;
    let mut readers = Vec::new();
    for _ in 0..5 {
        let client = subscribe(&server, &["a"]).await;
        readers.push(reader(client, EVENTS, Arc::default()));
    }
    for n in 1..=EVENTS {
        let event = SseEvent::text("x").event(n.to_string());
        server.sse.publish("a", event).await.unwrap();
    }
    for reader in readers {
        within(reader).await.unwrap();
    }
    let stats = server.sse.stats();
    assert_eq!(
        (stats.connections, stats.slow_closes, stats.dropped),
        (5, 0, 0)
    );
}

#[tokio::test]
async fn one_stuck_client_among_many_changes_nothing_for_the_others() {
    let (server, _) = watchful_server(|sse| sse.backlog.bytes = 1 << 20).await;
    let stuck = Stalled::connect(&server, &["a"]).await;
    server.wait_for_connections(1).await;
    let seen: [Arc<AtomicU64>; 8] = Default::default();
    let mut readers = Vec::new();
    for seen in &seen {
        let client = subscribe(&server, &["a"]).await;
        readers.push(reader(client, MANY, Arc::clone(seen)));
    }
    for first in (1..=MANY).step_by(100) {
        let last = first + 99;
        flood(&server.sse, "a", first..=last).await;
        eventually(|| seen.iter().all(|seen| seen.load(Ordering::Relaxed) == last)).await;
    }
    let mut clients = Vec::new();
    for reader in readers {
        clients.push(within(reader).await.unwrap());
    }
    eventually(|| server.sse.stats().slow_closes == 1).await;
    drop(stuck);
    server.wait_for_connections(8).await;
    server.sse.publish("a", "and on").await.unwrap();
    for client in &mut clients {
        assert_eq!(client.next().await.unwrap().data, "and on");
    }
}

async fn resumes(server: &TestServer, topic: &str, after: EventId) -> bool {
    let mut client = come_back(server, &[topic], &after.to_string()).await;
    json(&client.next().await.unwrap())["resumed"] == true
}

#[tokio::test]
async fn all_topics_share_one_bound_and_lose_oldest_events() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.history_bytes = 512 * 1024);
    let server = TestServer::start(app).await;
    server.get("/").await;
    let begin = server.sse.publish("quiet", "first").await.unwrap();
    server.sse.publish("quiet", "second").await.unwrap();
    let at = |seq| EventId::new(begin.epoch(), seq);
    for n in 0..50 {
        let topic = ["a", "b"][n % 2];
        server
            .sse
            .publish(topic, "x".repeat(8 * 1024))
            .await
            .unwrap();
    }
    assert!(resumes(&server, "quiet", begin).await, "all fits");
    for n in 0..100 {
        let topic = ["a", "b"][n % 2];
        server
            .sse
            .publish(topic, "x".repeat(8 * 1024))
            .await
            .unwrap();
    }
    let head = begin.seq() + 151;
    for topic in ["quiet", "a", "b"] {
        assert!(!resumes(&server, topic, begin).await, "{topic}");
    }
    for topic in ["a", "b"] {
        assert!(!resumes(&server, topic, at(head - 70)).await, "{topic}");
        assert!(resumes(&server, topic, at(head - 50)).await, "{topic}");
    }
    assert!(
        resumes(&server, "quiet", at(2)).await,
        "its events were seen"
    );
}

#[tokio::test]
async fn the_oldest_events_make_room_for_a_large_one() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.history_bytes = 512 * 1024);
    let server = TestServer::start(app).await;
    server.get("/").await;
    let mut ids = Vec::new();
    for n in 0..50 {
        let topic = ["a", "b"][n % 2];
        let id = server
            .sse
            .publish(topic, "x".repeat(8 * 1024))
            .await
            .unwrap();
        ids.push(id);
    }
    server
        .sse
        .publish("c", "x".repeat(200 * 1024))
        .await
        .unwrap();
    // About 20 of the 50 had to go.
    for topic in ["a", "b"] {
        assert!(!resumes(&server, topic, ids[10]).await, "{topic}");
        assert!(resumes(&server, topic, ids[30]).await, "{topic}");
    }
}

#[tokio::test]
async fn an_event_over_the_limit_fails_only_its_publisher() {
    let (app, _) = app();
    let app = app.sse_options(|sse| sse.max_event_bytes = 1_000);
    let server = TestServer::start(app).await;
    let mut client = subscribe(&server, &["a"]).await;
    let framing = "data: \n\n".len();
    let largest = "x".repeat(1_000 - framing);
    server.sse.publish("a", largest.clone()).await.unwrap();
    let larger = server.sse.publish("a", format!("{largest}x")).await;
    assert!(matches!(
        larger,
        Err(SseError::TooLarge {
            size: 1_001,
            limit: 1_000
        })
    ));
    server.sse.publish("a", "next").await.unwrap();
    assert_eq!(until(&mut client, "next").await, [largest]);
    assert_eq!(server.sse.stats().published, 2);
}

#[tokio::test]
async fn the_first_matching_pattern_decides_how_a_topic_is_kept() {
    let (app, _) = app();
    let keep = |events| HistoryLimits {
        events,
        ..HistoryLimits::default()
    };
    let server = TestServer::start(app.sse_options(|sse| {
        sse.keep_topic("prices:all", keep(50));
        sse.keep_topic("prices:*", keep(2));
    }))
    .await;
    subscribe(&server, &["prices:all"]).await;
    for (topic, kept) in [("prices:all", 50), ("prices:oil", 2), ("orders", 4_096)] {
        let first = server.sse.publish(topic, "x").await.unwrap();
        let id = |n| EventId::new(first.epoch(), first.seq() + n);
        for _ in 0..60 {
            server.sse.publish(topic, "x").await.unwrap();
        }
        assert_eq!(resumes(&server, topic, id(5)).await, kept > 60, "{topic}");
        assert_eq!(resumes(&server, topic, id(15)).await, kept >= 50, "{topic}");
        assert!(resumes(&server, topic, id(58)).await, "{topic}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_beyond_a_short_history_disconnects_no_reader() {
    let (app, _) = in_process(|sse| {
        sse.keep_topic(
            "prices:*",
            HistoryLimits {
                events: 16,
                age: Duration::from_secs(10),
            },
        );
    });
    let sse = app.sse_service().clone();
    let mut first = app.sse(&path(&["prices:x"])).await;
    all_now(&mut first).await;
    for n in 1..=20 {
        sse.publish("prices:x", format!("{n}")).await.unwrap();
    }
    assert_eq!(all_now(&mut first).await.len(), 20);
    assert_eq!(sse.stats().slow_closes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_burst_by_id_reaches_a_client_that_reads() {
    let (app, _) = in_process(|_| {});
    let sse = app.sse_service().clone();
    let mut first = app.sse(&path(&["x"])).await;
    all_now(&mut first).await;
    let id = sse.clients()[0].id();
    let large = "x".repeat(64 * 1024);
    for _ in 0..50 {
        sse.send_to_client(id, large.as_str()).await.unwrap();
    }
    assert_eq!(all_now(&mut first).await.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_closing_stream_that_is_not_polled_ends() {
    let (app, _) = in_process(|sse| sse.keep_alive = None);
    let sse = app.sse_service();
    let mut first = app.sse(&path(&["a"])).await;
    all_now(&mut first).await;
    sse.clients()[0].reconnect_after(Duration::from_secs(1));
    assert_eq!(first.next().await.unwrap().event, "helios:reconnect");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(sse.stats().connections, 0);
}
