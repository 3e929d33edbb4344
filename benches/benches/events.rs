//! Benches of events: encoding them, publishing them to a topic, and reading them.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};

use axum::body::Body;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use helios::prelude::*;
use helios::sse::encode;
use helios_benches::sse::helios::app;
use http::Request;
use http_body_util::BodyExt;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let short = SseEvent::json(json!({ "count": 1 })).event("update").id(1);
    group.bench_function("short", |bencher| bencher.iter(|| encode(&short)));
    let long = SseEvent::text("a line of a log, as long as such lines are\n".repeat(100));
    group.bench_function("100 lines", |bencher| bencher.iter(|| encode(&long)));
    group.finish();
}

/// An app in process, and the bodies of its subscribers.
struct Hub {
    runtime: Runtime,
    sse: SseService,
    bodies: Vec<Body>,
}

impl Hub {
    fn with_subscribers(count: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let app = app();
        let sse = app.sse();
        let mut service = app.into_service().unwrap();
        let subscribe = |_| {
            let request = Request::get("/events/t0").body(Body::empty()).unwrap();
            let response = runtime.block_on(service.call(request)).unwrap();
            response.map(Body::new).into_body()
        };
        let bodies = (0..count).map(subscribe).collect();
        let mut hub = Self {
            bodies,
            sse,
            runtime,
        };
        hub.read();
        hub
    }

    fn publish(&self) {
        let published = self.sse.publish("t0", "an event of the usual length");
        self.runtime.block_on(published).unwrap();
    }

    /// Reads until every subscriber waits for an event.
    fn read(&mut self) {
        let _entered = self.runtime.enter();
        let mut cx = Context::from_waker(Waker::noop());
        for body in &mut self.bodies {
            while let std::task::Poll::Ready(frame) = pin!(body.frame()).poll(&mut cx) {
                black_box(frame.unwrap().unwrap());
            }
        }
    }
}

/// Publishes one event to many waiting subscribers, whose wakers do nothing.
fn publishing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish to subscribers");
    for count in [0, 1, 100, 1000] {
        let hub = std::cell::RefCell::new(Hub::with_subscribers(count));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(
                || hub.borrow_mut().read(),
                |()| hub.borrow().publish(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Reads events that a subscriber has fallen behind by, until it waits again.
fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read events");
    for count in [1, 16, 256] {
        let hub = std::cell::RefCell::new(Hub::with_subscribers(1));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(
                || (0..count).for_each(|_| hub.borrow().publish()),
                |()| hub.borrow_mut().read(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, encoding, publishing, reading);
criterion_main!(benches);
