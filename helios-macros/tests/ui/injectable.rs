//! `#[derive(Injectable)]`.
#![allow(unused)]

use helios::prelude::*;

struct Pool;

#[derive(Injectable)]
struct Service {
    pool: Pool,
    size: u64,
    sse: Arc<SseService>,
    #[inject(defalt)]
    a: Arc<Pool>,
    #[inject]
    b: u64,
    #[inject(default = 3)]
    c: u64,
    #[inject(default)]
    no_default: Instant,
    #[inject()]
    d: u64,
    #[inject(default)]
    #[inject(default)]
    e: u64,
}

#[derive(Injectable)]
#[inject(krate = helios)]
enum Kind {
    A,
}

#[derive(Injectable)]
struct Borrowing<'a>(Arc<&'a Pool>);

#[derive(Injectable)]
struct NoDefault {
    #[inject(default)]
    pool: Pool,
}

#[derive(Injectable)]
struct NotSync {
    cell: Arc<std::cell::Cell<u64>>,
}

struct Instant;

#[derive(Injectable)]
#[inject]
#[inject(on_strat = connect, on_stop = "flush", on_stop = || ())]
struct Misspelt;

#[derive(Injectable)]
#[inject(on_start = connect)]
#[inject(on_start = flush)]
struct Twice;

fn main() {}
