//! Servers behind the in-memory backplane, with faults of every kind. Half of the time the backplane loses its memory
//! now and then.

use std::time::Duration;

use helios::backplane::BoxFuture;
use helios::testing::backplane::{InMemory, Kit, Report, Rig};
use tokio::runtime;

use crate::{Error, MOST_MINUTES, USAGE};

/// A backplane that loses its memory now and then.
struct Forgetful(InMemory);

impl Rig for Forgetful {
    type Link = InMemory;

    fn node(&self, _: usize) -> InMemory {
        self.0.node()
    }

    fn trouble(&self, number: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if number.is_multiple_of(4) {
                self.0.forget_all();
            }
        })
    }

    fn begins_anew(&self) -> bool {
        true
    }
}

pub(crate) fn soak(args: &[&str]) -> Result<bool, Error> {
    let (minutes, kit) = plan(args).ok_or(USAGE)?;
    let kit = kit.nodes(3).clients(16);
    let half = kit.lasting(Duration::from_secs_f64(30.0 * minutes));
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let steady = runtime.block_on(half.clone().run(InMemory::new()));
    println!("{steady}");
    let forgetful = runtime.block_on(half.run(Forgetful(InMemory::new())));
    println!("over a backplane that loses its memory:\n{forgetful}");
    Ok([steady, forgetful].iter().all(Report::is_clean))
}

/// Parses the minutes, and a kit with the seed.
fn plan(args: &[&str]) -> Option<(f64, Kit)> {
    let (mut minutes, mut kit) = (10.0, Kit::from_env());
    for option in args.chunks(2) {
        match option {
            ["--minutes", n] => minutes = n.parse().ok()?,
            ["--seed", seed] => kit = Kit::new(seed.parse().ok()?),
            _ => return None,
        }
    }
    (minutes > 0.0 && minutes <= MOST_MINUTES).then_some((minutes, kit))
}
