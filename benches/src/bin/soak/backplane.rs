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

/// Which backplanes are tested.
struct Plan {
    minutes: f64,
    kit: Kit,
    /// Whether all the time goes to the backplane that loses its memory.
    forgetful: bool,
}

pub(crate) fn soak(args: &[&str]) -> Result<bool, Error> {
    let plan = plan(args).ok_or(USAGE)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let share = if plan.forgetful { 1.0 } else { 0.5 };
    let kit = plan.kit.nodes(3).clients(16);
    let kit = kit.lasting(Duration::from_secs_f64(60.0 * share * plan.minutes));
    let mut reports = Vec::new();
    if !plan.forgetful {
        let steady = runtime.block_on(kit.clone().run(InMemory::new()));
        println!("{steady}");
        reports.push(steady);
    }
    let forgetful = runtime.block_on(kit.run(Forgetful(InMemory::new())));
    println!("over a backplane that loses its memory:\n{forgetful}");
    reports.push(forgetful);
    Ok(reports.iter().all(Report::is_clean))
}

fn plan(args: &[&str]) -> Option<Plan> {
    let mut plan = Plan {
        minutes: 10.0,
        kit: Kit::from_env(),
        forgetful: false,
    };
    let mut args = args.iter();
    while let Some(option) = args.next() {
        match *option {
            "--forgetful" => plan.forgetful = true,
            "--minutes" => plan.minutes = args.next()?.parse().ok()?,
            "--seed" => plan.kit = Kit::new(args.next()?.parse().ok()?),
            _ => return None,
        }
    }
    (plan.minutes > 0.0 && plan.minutes <= MOST_MINUTES).then_some(plan)
}
