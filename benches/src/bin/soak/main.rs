//! A soak test of the SSE hub, from outside: `cargo xtask soak`.
//!
//! Thousands of clients connect, stay, stall, disconnect and resume while the server publishes. Each of them checks
//! that it receives every event of its topics exactly once and in order. At the end all leave, and the server must hold
//! nothing of them.
//!
//! There are several kinds of clients (`kind.rs`). Some use control events, and some read plain streams. Some follow
//! topics that end, and must see the end. Some begin with a snapshot, and must get everything that follows it.
//!
//! ```text
//! cargo xtask soak                                 ten minutes
//! cargo xtask soak --minutes 1 --clients 500 --seed 7
//! cargo xtask soak --minutes 6 --clients 2000 --hostile 500
//! cargo xtask soak --backplane --minutes 60 --seed 7
//! cargo xtask soak --log --minutes 10 --seed 7
//! ```
//!
//! With hostile peers (`attacks.rs`) there are two runs. In the first run they behave like the other clients. In the
//! second they attack for the middle third of the time. The other clients must lose nothing, and their latency must at
//! most double.
//!
//! `--backplane` puts the replication under stress instead, in one process (`backplane.rs`). `--log` tests a server
//! with a log, which is killed every 20 seconds (`log.rs`).

mod attacks;
mod backplane;
mod child;
mod control;
mod drain;
mod hostile;
mod jobs;
mod kind;
mod ledger;
mod life;
mod log;
mod post;
mod publishers;
mod report;
mod run;
mod series;
mod server;
mod stream;
mod tally;
mod targets;
mod topics;
mod world;

use std::alloc::System;
use std::env;
use std::io;
use std::process::ExitCode;

use helios_benches::cores;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::{self, Runtime};

use report::Report;
use run::Plan;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Counts allocations. Resident memory would include what the allocator keeps. That grows in steps whenever the load
/// reaches a new peak, and does not show a leak.
#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns how many bytes this process has allocated and not freed.
fn live_bytes() -> u64 {
    let stats = COUNTED.stats();
    // The two counters are not read at the same time, so the difference may be negative.
    stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated) as u64
}

const USAGE: &str = "usage: soak [--minutes N] [--clients N] [--hostile N] [--seed N]
       soak --backplane [--forgetful] [--minutes N] [--seed N]
       soak --log [--minutes N] [--seed N]";

/// More threads than the server has cores, so that publishers and readers interrupt each other.
const SERVER_THREADS: usize = 4;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [child::SERVE, seed] => serve(seed),
        [log::SERVE, folder, port] => serve_log(folder, port),
        ["--backplane", args @ ..] => backplane::soak(args),
        ["--log", args @ ..] => log::soak(args),
        args => soak(args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(seed: &str) -> Result<bool, Error> {
    let seed = seed.parse()?;
    server_runtime()?
        .block_on(server::serve(seed))
        .map(|()| true)
}

fn serve_log(folder: &str, port: &str) -> Result<bool, Error> {
    let served = log::serve(folder, port.parse()?);
    server_runtime()?.block_on(served).map(|()| true)
}

fn server_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(SERVER_THREADS)
        .enable_all()
        .build()
}

fn soak(args: &[&str]) -> Result<bool, Error> {
    let plan = plan(args).ok_or(USAGE)?;
    cores::keep_off_the_measured_core()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let run = |plan: &Plan, quiet| -> Result<Report, Error> {
        let report = runtime.block_on(run::run(plan, quiet))?;
        println!("{report}");
        Ok(report)
    };
    if plan.hostile == 0 {
        return Ok(run(&plan, None)?.is_clean());
    }
    let peaceful = run(&plan.in_peace(), None)?;
    let attacked = run(&plan, Some(peaceful.latency_of_most()))?;
    Ok(peaceful.is_clean() && attacked.is_clean())
}

fn plan(args: &[&str]) -> Option<Plan> {
    let mut plan = Plan::default();
    for option in args.chunks(2) {
        match option {
            ["--minutes", minutes] => plan.minutes = minutes.parse().ok()?,
            ["--clients", clients] => plan.clients = clients.parse().ok()?,
            ["--hostile", peers] => plan.hostile = peers.parse().ok()?,
            ["--seed", seed] => plan.seed = seed.parse().ok()?,
            _ => return None,
        }
    }
    let sane = plan.minutes > 0.0
        && plan.minutes <= MOST_MINUTES
        && plan.clients + plan.hostile <= MOST_CLIENTS;
    sane.then_some(plan)
}

const MOST_MINUTES: f64 = 24.0 * 60.0;
/// There are no more ports and file descriptors than that.
const MOST_CLIENTS: usize = 15_000;
