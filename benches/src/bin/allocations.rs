//! Counts the allocations of a server for each event that a subscriber gets. Counting slows the server down, so this is
//! a program of its own. `allocations (helios|axum)` prints the figure.

use std::alloc::System;
use std::env;
use std::io::{PipeWriter, Write, pipe};

use helios_benches::Error;
use helios_benches::reader::{Idle, Readers};
use helios_benches::sse::{self, Command};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const READERS: usize = 1_000;
const ROUNDS: u64 = 100;

fn main() -> Result<(), Error> {
    let server = env::args().nth(1).ok_or("which server?")?;
    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let mut readers = Readers::new(listener.local_addr()?, Idle::Sleep)?;
    let (theirs, mut ours) = pipe()?;
    match server.as_str() {
        "helios" => drop(runtime.spawn(sse::helios::serve(listener, theirs.into(), 0))),
        "axum" => drop(runtime.spawn(sse::axum::serve(listener, theirs.into()))),
        other => return Err(format!("there is no server `{other}`").into()),
    }
    readers.open("/events/t0", READERS)?;
    // Everything that grows on demand has grown after this.
    publish(&mut ours, &mut readers)?;
    let region = Region::new(COUNTED);
    publish(&mut ours, &mut readers)?;
    let events = ROUNDS * READERS as u64;
    let change = region.change();
    let allocations = change.allocations + change.reallocations;
    println!("{}", allocations as f64 / events as f64);
    Ok(())
}

fn publish(commands: &mut PipeWriter, readers: &mut Readers) -> Result<(), Error> {
    let one = Command {
        events: 1,
        topics: 1,
        size: 64,
    };
    for _ in 0..ROUNDS {
        commands.write_all(&one.to_bytes())?;
        readers.wait_for(readers.received + READERS as u64)?;
    }
    Ok(())
}
