//! Readers and publishers on threads of their own: nothing is lost, nothing comes out of order, nobody sleeps on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use helios_core::event::SseEvent;
use helios_core::hub::{Frame, Replay};
use helios_core::sse::CloseReason;
use tokio::runtime;

use super::{StreamState, live_stream};
use crate::sse::hub::Hub;
use crate::sse::streams::Streams;

const TOPICS: [&str; 2] = ["a", "b"];
const READERS: usize = 3;
const ROUNDS: u64 = 10_000;
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
    /// Reads to the end, and sleeps whenever there is nothing to read until it is woken.
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
            // What is late has no id.
            let seq: u64 = id.map_or(0, |(_, seq)| seq.parse().unwrap());
            if seq <= *last {
                self.out_of_order.store(true, Ordering::Relaxed);
            }
            *last = seq;
            self.events.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Publishes one event of each round, which ends when everybody has everything: each event may be the last for long.
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
                return Err(format!("somebody sleeps in round {round}"));
            }
            thread::yield_now();
        }
    }
    Ok(())
}

#[test]
fn every_reader_is_given_every_event_in_order_and_none_sleeps_on() {
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
