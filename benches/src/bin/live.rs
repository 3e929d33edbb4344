//! A server of events that counts the bytes which it has allocated and not freed yet, as programs ask for them: without
//! what the allocator rounds up and keeps, two revisions differ only by what they do. Counting slows it down, and so it is
//! a program of its own. `live run helios-sse` prints where it listens, then the bytes on each SIGUSR1.

use std::alloc::System;
use std::env;
use std::io;
use std::os::fd::AsFd;

use helios_benches::Error;
use helios_benches::announced::Announced;
use helios_benches::sse;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Error> {
    let args: Vec<_> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", "helios-sse"] => Runtime::new()?.block_on(serve()),
        _ => Err("`live run helios-sse` is all that there is".into()),
    }
}

async fn serve() -> Result<(), Error> {
    // Before it is ready, or the first signal would end it.
    tokio::spawn(tell(signal(SignalKind::user_defined1())?));
    let commands = io::stdin().as_fd().try_clone_to_owned()?;
    sse::helios::serve(Announced::bind().await?, commands, 0).await
}

async fn tell(mut asked: Signal) {
    while asked.recv().await.is_some() {
        let stats = COUNTED.stats();
        println!("{}", stats.bytes_allocated - stats.bytes_deallocated);
    }
}
