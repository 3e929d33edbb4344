//! From an event to its bytes.

use criterion::{Criterion, criterion_group, criterion_main};
use helios::encode::encode;
use helios::prelude::*;

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let short = SseEvent::json(json!({ "count": 1 })).event("update").id(1);
    group.bench_function("short", |bencher| bencher.iter(|| encode(&short)));
    let long = SseEvent::text("a line of a log, as long as such lines are\n".repeat(100));
    group.bench_function("100 lines", |bencher| bencher.iter(|| encode(&long)));
    group.finish();
}

criterion_group!(benches, encoding);
criterion_main!(benches);
