//! Tests for streams that move to another epoch without reconnecting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use helios_core::error::HttpError;
use helios_core::event::SseEvent;
use helios_core::hub::{EventId, Frame, Replay};
use helios_core::route::Verb;
use helios_core::sse::{CloseReason, SseSnapshot};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::sse::hooks::{ControllerHooks, Hooks};
use crate::sse::stream::deferred::Origin;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::lifecycle::{EndEvent, Ending};
use crate::sse::stream::route::{StreamRequest, StreamRoute};
use crate::sse::stream::state::{Beginning, BrokenOff, StreamState, request_to};
use crate::sse::streams::Streams;

/// Its snapshot hook sends a part for each permit, and answers after the second part.
struct Shown {
    parts: Semaphore,
    sent: AtomicUsize,
}

static SHOWN: Hooks<Shown> = Hooks {
    snapshot: Some(|shown, client, snapshot| Box::pin(shown.send(client, snapshot))),
    ..Hooks::NONE
};

impl Shown {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            parts: Semaphore::new(0),
            sent: AtomicUsize::new(0),
        })
    }

    async fn send(&self, client: SseStream, _: &SseSnapshot) -> Result<(), HttpError> {
        for _ in 0..2 {
            self.parts.acquire().await.unwrap().forget();
            let part = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
            client.send(format!("part {part}")).await?;
        }
        Ok(())
    }

    /// Lets the hook send so many more parts.
    async fn go_on(&self, parts: usize) {
        self.parts.add_permits(parts);
        settle().await;
    }
}

async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// Creates a stream in the topic `a`, and begins it.
async fn begun(
    streams: &Arc<Streams>,
    verb: Verb,
    shown: Option<&Arc<Shown>>,
    last: Option<String>,
) -> Arc<StreamState> {
    let stream = attached(streams, verb, shown, last);
    stream.join("a", Replay::Live).await.unwrap();
    assert!(matches!(stream.begin(), Beginning::Open(_)));
    stream
}

fn attached(
    streams: &Arc<Streams>,
    verb: Verb,
    shown: Option<&Arc<Shown>>,
    last_event_id: Option<String>,
) -> Arc<StreamState> {
    let bare = StreamRoute::bare(Arc::clone(streams), verb);
    let route = match shown {
        None => bare,
        Some(shown) => Arc::new(StreamRoute {
            streams: Arc::clone(streams),
            hooks: vec![ControllerHooks::of(shown, &SHOWN)],
            mappers: Arc::new([]),
            filters: Vec::new(),
            may_reply: false,
            options: bare.options.clone(),
        }),
    };
    let stream = Arc::new(StreamState::new());
    let request = StreamRequest {
        route,
        last_event_id,
        ..request_to(streams)
    };
    assert!(stream.attach(request).is_ok());
    stream.go_live(stream.request().unwrap());
    stream
}

fn restart(streams: &Streams, head: u64) -> EventId {
    let id = EventId::new(streams.hub.epoch() + 1, head);
    streams.hub.restart_at(id);
    id
}

async fn publish(streams: &Arc<Streams>, text: &str) -> String {
    let id = streams.publish("a", &SseEvent::text(text), None).await;
    id.unwrap().to_string()
}

fn send(stream: &Arc<StreamState>, text: &str) {
    let event = stream.prepare(SseEvent::text(text), Origin::Own).unwrap();
    stream.push(&event, None).unwrap();
}

/// Returns what is written now: the name or data of each event, and its id. The second value is set if the stream then
/// ends or breaks off.
fn read(streams: &Streams, stream: &Arc<StreamState>) -> (String, Option<Result<(), BrokenOff>>) {
    let context = Context::from_waker(Waker::noop());
    let mut written = Vec::new();
    loop {
        match stream.poll_chunk(&streams.hub, Frame::default(), &context) {
            Poll::Pending => return (written.join(", "), None),
            Poll::Ready(None) => return (written.join(", "), Some(Ok(()))),
            Poll::Ready(Some(Err(broken))) => return (written.join(", "), Some(Err(broken))),
            Poll::Ready(Some(Ok(chunk))) => {
                let text = str::from_utf8(&chunk.bytes).unwrap();
                written.extend(text.split_terminator("\n\n").map(shown));
            }
        }
    }
}

fn shown(event: &str) -> String {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    let data = field("data: ").unwrap_or_default();
    let name = field("event: helios:").unwrap_or(data);
    let name = match serde_json::from_str::<serde_json::Value>(data) {
        Ok(told) if name == "reset" => format!("reset {}", told["reason"].as_str().unwrap()),
        _ => name.to_owned(),
    };
    match field("id: ") {
        Some(id) => format!("{name} [{id}]"),
        None => name,
    }
}

#[tokio::test]
async fn waiting_private_events_survive_another_epoch_in_order() {
    let streams = Streams::new();
    let stream = begun(&streams, Verb::Get, None, None).await;
    let begin = streams.hub.newest_id();
    assert_eq!(read(&streams, &stream), (format!("ready [{begin}]"), None));
    for n in ["lost", "lost, too"] {
        publish(&streams, n).await;
        send(&stream, &format!("behind {n}"));
    }
    let new = restart(&streams, 0);
    // With a lower number than those from before.
    send(&stream, "sent since");
    let first = publish(&streams, "new").await;
    let expected = format!(
        "reset epoch [{begin}], behind lost, behind lost, too, sent since, ready [{new}], new [{first}]"
    );
    assert_eq!(read(&streams, &stream), (expected, None));
}

#[tokio::test]
async fn a_stream_without_topics_notices_nothing_of_another_epoch() {
    let streams = Streams::new();
    for verb in [Verb::Get, Verb::Post] {
        for _ in 0..9 {
            publish(&streams, "not for it").await;
        }
        let stream = attached(&streams, verb, None, None);
        stream.begin();
        send(&stream, "before");
        restart(&streams, 3);
        send(&stream, "behind");
        assert_eq!(read(&streams, &stream), ("before, behind".to_owned(), None));
        stream.join("a", Replay::Live).await.unwrap();
        send(&stream, "in a topic");
        let position = format!(", ready [{}]", streams.hub.newest_id());
        let position = Some(position).filter(|_| verb == Verb::Get);
        let expected = format!("in a topic{}", position.unwrap_or_default());
        assert_eq!(read(&streams, &stream), (expected, None));
    }
}

#[tokio::test]
async fn a_running_answer_goes_on_before_any_new_position() {
    let streams = Streams::new();
    let page = Shown::new();
    let stream = begun(&streams, Verb::Get, Some(&page), None).await;
    settle().await;
    assert_eq!(read(&streams, &stream), ("ready".to_owned(), None));
    page.go_on(1).await;
    for _ in 0..9 {
        publish(&streams, "lost").await;
    }
    let new = restart(&streams, 0);
    let first = publish(&streams, "new").await;
    // The client has no id yet, so the reset has none.
    assert_eq!(
        read(&streams, &stream),
        ("part 1, reset epoch".to_owned(), None)
    );
    page.go_on(1).await;
    assert_eq!(read(&streams, &stream), ("part 2".to_owned(), None));
    page.go_on(1).await;
    assert_eq!(read(&streams, &stream), ("part 3".to_owned(), None));
    page.go_on(1).await;
    let told = EventId::new(new.epoch(), 1);
    assert_eq!(first, told.to_string());
    let expected = format!("part 4, new [{first}], ready [{told}]");
    assert_eq!(read(&streams, &stream), (expected, None));
}

#[tokio::test]
async fn each_epoch_is_one_reset_with_the_old_id() {
    let streams = Streams::new();
    let page = Shown::new();
    let begin = streams.hub.newest_id().to_string();
    let stream = begun(&streams, Verb::Get, Some(&page), Some(begin.clone())).await;
    assert_eq!(read(&streams, &stream), (format!("ready [{begin}]"), None));
    let last = publish(&streams, "old").await;
    assert_eq!(read(&streams, &stream), (format!("old [{last}]"), None));
    let told = format!("reset epoch [{last}]");
    for _ in 0..3 {
        restart(&streams, 7);
        assert_eq!(read(&streams, &stream), (told.clone(), None));
        assert_eq!(read(&streams, &stream), (String::new(), None));
    }
    // The first reset runs the hooks, and the other two are answered together.
    page.go_on(2).await;
    let new = streams.hub.newest_id();
    assert_eq!(read(&streams, &stream), ("part 1, part 2".to_owned(), None));
    page.go_on(2).await;
    let expected = format!("part 3, part 4, ready [{new}]");
    assert_eq!(read(&streams, &stream), (expected, None));
    page.go_on(2).await;
    assert_eq!(page.sent.load(Ordering::Relaxed), 4);
    // Two epochs that begin between two reads are one for this client.
    restart(&streams, 7);
    restart(&streams, 7);
    let told = format!("reset epoch [{new}]");
    assert_eq!(read(&streams, &stream), (told, None));
}

/// The reader is held at the same number for both answers.
#[tokio::test]
async fn the_handle_of_an_earlier_answer_does_not_count() {
    let streams = Streams::new();
    let page = Shown::new();
    let begin = streams.hub.newest_id().to_string();
    let stream = begun(&streams, Verb::Get, Some(&page), Some(begin)).await;
    restart(&streams, 5);
    read(&streams, &stream);
    let kept = SseStream::answering(Arc::clone(&stream), 1);
    page.go_on(2).await;
    read(&streams, &stream);
    restart(&streams, 5);
    read(&streams, &stream);
    publish(&streams, "new").await;
    kept.try_send("not of the snapshot").unwrap();
    assert_eq!(read(&streams, &stream), (String::new(), None));
    page.go_on(2).await;
    let (written, _) = read(&streams, &stream);
    let of = |what: &str| written.find(what).unwrap();
    assert!(
        of("part 4") < of("new") && of("new") < of("not of"),
        "{written}"
    );
}

/// A reader may find this state while another epoch begins.
#[tokio::test]
async fn no_event_of_a_new_epoch_is_read_too_early() {
    let streams = Streams::new();
    let stream = begun(&streams, Verb::Get, None, None).await;
    stream.join("b", Replay::Live).await.unwrap();
    read(&streams, &stream);
    let last = publish(&streams, "old").await;
    assert_eq!(read(&streams, &stream), (format!("old [{last}]"), None));
    let new = EventId::new(streams.hub.epoch() + 1, 0);
    let topic = streams.hub.topics.find("a").unwrap();
    streams.hub.topics.restart(new);
    let event = streams.hub.encode_unnumbered(&SseEvent::text("too early"));
    topic
        .lock()
        .ring
        .push(1, event.unwrap().with_id("x"), None, Duration::ZERO);
    assert_eq!(read(&streams, &stream), (String::new(), None));
    streams.hub.restart_at(new);
    let expected = format!("reset epoch [{last}], ready [{new}]");
    assert_eq!(read(&streams, &stream), (expected, None));
}

#[tokio::test]
async fn an_ending_stream_breaks_off_if_an_epoch_intervenes() {
    let streams = Streams::new();
    for (verb, event, expected) in [
        (Verb::Get, EndEvent::End, "private"),
        (
            Verb::Get,
            EndEvent::Reconnect(Duration::ZERO),
            "private, reconnect",
        ),
        (Verb::Post, EndEvent::End, "private"),
    ] {
        let stream = begun(&streams, verb, None, None).await;
        read(&streams, &stream);
        publish(&streams, "owed").await;
        send(&stream, "private");
        stream.end(&Ending {
            reason: CloseReason::ServerClosed,
            event,
        });
        restart(&streams, 0);
        let read = read(&streams, &stream);
        assert_eq!(read, (expected.to_owned(), Some(Err(BrokenOff))));
    }
}

#[tokio::test]
async fn a_plain_stream_ends_where_another_epoch_begins() {
    let streams = Streams::new();
    let stream = begun(&streams, Verb::Post, None, None).await;
    let first = publish(&streams, "old").await;
    assert_eq!(read(&streams, &stream), (format!("old [{first}]"), None));
    restart(&streams, 0);
    publish(&streams, "new").await;
    let read = read(&streams, &stream);
    assert_eq!(read, (String::new(), Some(Err(BrokenOff))));
}

#[tokio::test]
async fn a_stream_begins_in_the_new_epoch_before_its_head() {
    let streams = Streams::new();
    let old = streams.hub.newest_id();
    let begin = |last: Option<String>| {
        let streams = &streams;
        async move {
            let stream = attached(streams, Verb::Get, None, last);
            stream.join("a", Replay::Live).await.unwrap();
            publish(streams, "old").await;
            let new = restart(streams, 0);
            stream.begin();
            (new, read(streams, &stream).0)
        }
    };
    let (new, told) = begin(Some(old.to_string())).await;
    let expected = format!("ready [{old}], reset epoch [{old}], ready [{new}]");
    assert_eq!(told, expected);
    // It has missed the events between its join and the new epoch.
    let (new, told) = begin(None).await;
    assert_eq!(told, format!("ready, reset epoch [{new}], ready [{new}]"));
}

/// Another topic may have its name by now.
#[tokio::test]
async fn a_stream_in_a_removed_topic_is_sent_away() {
    let streams = Streams::new();
    let stream = begun(&streams, Verb::Get, None, None).await;
    read(&streams, &stream);
    streams.finish("a", None).await.unwrap();
    let (options, later) = (
        streams.hub.options(),
        streams.hub.now() + Duration::from_secs(1 << 20),
    );
    for topic in streams.hub.topics.sweep(later, options) {
        streams.hub.topics.forget(&topic);
    }
    restart(&streams, 0);
    let read = read(&streams, &stream);
    assert_eq!(read, ("reconnect".to_owned(), Some(Ok(()))));
}

#[derive(Default)]
struct Slow {
    running: AtomicUsize,
    most: AtomicUsize,
}

static SLOW: Hooks<Slow> = Hooks {
    snapshot: Some(|slow, client, _| Box::pin(slow.send(client))),
    ..Hooks::NONE
};

impl Slow {
    async fn send(&self, client: SseStream) -> Result<(), HttpError> {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
        let _runs = Runs(self);
        // Most streams have to wait for longer than a hook may take.
        sleep(Duration::from_secs(9)).await;
        Ok(client.send("shown").await?)
    }
}

/// Counts a running hook, until it has ended or is dropped.
struct Runs<'a>(&'a Slow);

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_answer_another_epoch_64_streams_at_a_time() {
    let streams = Streams::new();
    let slow = Arc::new(Slow::default());
    let bare = StreamRoute::bare(Arc::clone(&streams), Verb::Get);
    let route = Arc::new(StreamRoute {
        streams: Arc::clone(&streams),
        hooks: vec![ControllerHooks::of(&slow, &SLOW)],
        mappers: Arc::new([]),
        filters: Vec::new(),
        may_reply: false,
        options: bare.options.clone(),
    });
    let last = streams.hub.newest_id().to_string();
    let mut all = Vec::new();
    for _ in 0..200 {
        let stream = Arc::new(StreamState::new());
        let request = StreamRequest {
            route: Arc::clone(&route),
            last_event_id: Some(last.clone()),
            ..request_to(&streams)
        };
        assert!(stream.attach(request).is_ok());
        stream.go_live(stream.request().unwrap());
        stream.join("a", Replay::Live).await.unwrap();
        stream.begin();
        all.push(stream);
    }
    let new = restart(&streams, 0);
    for stream in &all {
        read(&streams, stream);
    }
    settle().await;
    assert_eq!(slow.running.load(Ordering::Relaxed), 64);
    // A stream that ends while it waits gives up its place.
    for gone in all.drain(150..) {
        gone.finish(CloseReason::ClientDisconnected);
    }
    settle().await;
    assert_eq!(slow.running.load(Ordering::Relaxed), 64);
    let mut written = vec![String::new(); all.len()];
    for _ in 0..60 {
        sleep(Duration::from_secs(1)).await;
        for (stream, written) in all.iter().zip(&mut written) {
            written.push_str(&read(&streams, stream).0);
        }
    }
    assert_eq!(slow.most.load(Ordering::Relaxed), 64);
    let expected = format!("shown, ready [{new}]");
    assert!(
        written.iter().all(|written| *written == expected),
        "{written:?}"
    );
}
