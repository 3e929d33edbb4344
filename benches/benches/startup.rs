//! A bench of start-up: walking the tables, resolving instances, and checking routes.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use helios_benches::routes;

fn startup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start-up");
    group.bench_function("1000 routes", |bencher| {
        bencher.iter_batched(
            || (),
            |()| routes::app(1000).into_service(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, startup);
criterion_main!(benches);
