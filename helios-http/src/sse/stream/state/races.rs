//! Tests with readers and publishers on threads of their own. Nothing is lost or out of order, and no reader hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use helios_core::event::SseEvent;
use helios_core::hub::{EventId, Frame, Replay};
use helios_core::sse::CloseReason;
use tokio::runtime;

use super::{StreamState, live_stream};
use crate::sse::hub::Hub;
use crate::sse::streams::Streams;

const TOPICS: [&str; 2] = ["a", "b"];
const READERS: usize = 3;
const ROUNDS: u64 = 10_000;
const EPOCHS: u64 = 4_000;
const DEADLINE: Duration = Duration::from_secs(20);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(future)
}

/// One reader's progress.
#[derive(Default)]
struct Seen {
    events: AtomicU64,
    out_of_order: AtomicBool,
}

impl Seen {
    /// Reads to the end. If there is nothing to read, it sleeps until it is woken.
    fn read(&self, hub: &Hub, stream: &Arc<StreamState>) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let context = Context::from_waker(&waker);
        let mut last = 0;
        loop {
            match stream.poll_chunk(hub, Frame::default(), &context) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.take(&chunk.bytes, &mut last);
                    if chunk.waits {
                        thread::park();
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return,
                Poll::Pending => thread::park(),
            }
        }
    }

    fn take(&self, bytes: &[u8], last: &mut u64) {
        let text = str::from_utf8(bytes).unwrap();
        for event in text
            .split("\n\n")
            .filter(|event| event.ends_with("data: x"))
        {
            let id = event.lines().find_map(|line| line.split_once('-'));
            // Late events have no id.
            let seq: u64 = id.map_or(0, |(_, seq)| seq.parse().unwrap());
            if seq <= *last {
                self.out_of_order.store(true, Ordering::Relaxed);
            }
            *last = seq;
            self.events.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Publishes one event in each round. A round ends when all readers have everything, so each event may be the last for
/// a long time.
async fn publish(streams: &Arc<Streams>, topic: &str, seen: &[Seen]) -> Result<(), String> {
    let event = SseEvent::text("x");
    for round in 0..ROUNDS {
        let published = streams.publish(topic, &event, None).await;
        published.map_err(|error| error.to_string())?;
        let due = (round + 1) * TOPICS.len() as u64;
        let deadline = Instant::now() + DEADLINE;
        while seen
            .iter()
            .any(|seen| seen.events.load(Ordering::Acquire) < due)
        {
            if Instant::now() > deadline {
                return Err(format!("a reader hangs in round {round}"));
            }
            thread::yield_now();
        }
    }
    Ok(())
}

#[test]
fn every_reader_gets_every_event_in_order_and_none_hangs() {
    let streams = Streams::new();
    let seen: [Seen; READERS] = Default::default();
    let all: [_; READERS] = std::array::from_fn(|_| live_stream(&streams));
    for stream in &all {
        for topic in TOPICS {
            block_on(stream.join(topic, Replay::Live)).unwrap();
        }
        stream.begin();
    }
    thread::scope(|scope| {
        for (stream, seen) in all.iter().zip(&seen) {
            scope.spawn(|| seen.read(&streams.hub, stream));
        }
        let publishers =
            TOPICS.map(|topic| scope.spawn(|| block_on(publish(&streams, topic, &seen))));
        let done = publishers.map(|publisher| publisher.join().unwrap());
        for stream in &all {
            stream.send_away(CloseReason::ServerClosed);
        }
        assert_eq!(done, [Ok(()), Ok(())]);
    });
    for seen in &seen {
        assert_eq!(
            seen.events.load(Ordering::Acquire),
            ROUNDS * TOPICS.len() as u64
        );
        assert!(!seen.out_of_order.load(Ordering::Relaxed));
    }
}

/// The events that one reader has seen while one epoch follows another.
#[derive(Default)]
struct Epochs {
    resets: AtomicU64,
    /// The epoch of the last id that it got.
    epoch: AtomicU64,
    /// The newest event that it has seen.
    newest: AtomicU64,
    goes_wrong: AtomicBool,
}

impl Epochs {
    fn read(&self, hub: &Hub, stream: &Arc<StreamState>) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let context = Context::from_waker(&waker);
        let mut last: Option<EventId> = None;
        let mut was_told = true;
        loop {
            match stream.poll_chunk(hub, Frame::default(), &context) {
                Poll::Ready(Some(Ok(chunk))) => {
                    let text = str::from_utf8(&chunk.bytes).unwrap();
                    for event in text.split_terminator("\n\n") {
                        self.take(event, &mut last, &mut was_told);
                    }
                    if chunk.waits {
                        thread::park();
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Checks that a reset has the last id, and that nothing of another epoch comes before it. Within one epoch no id
    /// goes back.
    fn take(&self, event: &str, last: &mut Option<EventId>, was_told: &mut bool) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = field("id: ").and_then(|id| id.parse::<EventId>().ok()) else {
            return;
        };
        let is_reset = event.starts_with("event: helios:reset");
        let is_right = match *last {
            Some(last) if is_reset => id == last,
            Some(last) if last.epoch() == id.epoch() => last.is_after(id) == Some(false),
            Some(_) => *was_told,
            None => !is_reset,
        };
        if !is_right {
            self.goes_wrong.store(true, Ordering::Relaxed);
        }
        *was_told = is_reset || *was_told && last.is_some_and(|last| last.epoch() == id.epoch());
        *last = Some(id);
        self.epoch.store(id.epoch(), Ordering::Release);
        if is_reset {
            self.resets.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(number) = field("data: ").and_then(|data| data.parse().ok()) {
            self.newest.store(number, Ordering::Release);
        }
    }
}

/// Waits until `is` holds for all readers.
fn all(seen: &[Epochs], is: impl Fn(&Epochs) -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !seen.iter().all(&is) {
        if Instant::now() > deadline {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// Begins each epoch while readers look at the last event of the previous one.
async fn begin_epochs(streams: &Arc<Streams>, seen: &[Epochs]) -> Result<(), String> {
    let mut number = 0;
    for round in 0..EPOCHS {
        for topic in TOPICS {
            number += 1;
            let event = SseEvent::text(number.to_string());
            let published = streams.publish(topic, &event, None).await;
            published.map_err(|error| error.to_string())?;
        }
        if round % 3 > 0 {
            let has_all = |seen: &Epochs| seen.newest.load(Ordering::Acquire) == number;
            if !all(seen, has_all) {
                return Err(format!("a reader hangs on an event of round {round}"));
            }
        }
        // Lower and higher than the previous number.
        let id = EventId::new(streams.hub.epoch() + 1, round % 5 * 1_000);
        streams.hub.restart_at(id);
        let is_told = |seen: &Epochs| seen.epoch.load(Ordering::Acquire) == id.epoch();
        if round % 2 > 0 && !all(seen, is_told) {
            return Err(format!("a reader hangs on the epoch of round {round}"));
        }
    }
    Ok(())
}

#[test]
fn every_reader_is_reset_before_another_epoch_and_none_hangs() {
    let streams = Streams::new();
    let seen: [Epochs; READERS] = Default::default();
    let all: [_; READERS] = std::array::from_fn(|_| live_stream(&streams));
    for stream in &all {
        for topic in TOPICS {
            block_on(stream.join(topic, Replay::Live)).unwrap();
        }
        stream.begin();
    }
    let done = thread::scope(|scope| {
        for (stream, seen) in all.iter().zip(&seen) {
            scope.spawn(|| seen.read(&streams.hub, stream));
        }
        let publisher = scope.spawn(|| block_on(begin_epochs(&streams, &seen)));
        let done = publisher.join().unwrap();
        for stream in &all {
            stream.send_away(CloseReason::ServerClosed);
        }
        done
    });
    assert_eq!(done, Ok(()));
    for seen in &seen {
        assert!(!seen.goes_wrong.load(Ordering::Relaxed));
        let resets = seen.resets.load(Ordering::Relaxed);
        assert!((EPOCHS / 2..=EPOCHS).contains(&resets), "{resets}");
    }
}
