//! A server of events that counts the bytes it has allocated and not freed. Requested sizes leave out what the
//! allocator rounds up and keeps, so two revisions differ only by what they do. Counting slows the server down, so this
//! is a program of its own. `live run helios-sse` prints its address, then the bytes on each SIGUSR1.

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
        _ => Err("usage: live run helios-sse".into()),
    }
}

async fn serve() -> Result<(), Error> {
    // Before the server is ready. Otherwise the first signal would end the process.
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
