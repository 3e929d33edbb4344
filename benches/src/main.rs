//! Compares Helios with its peers: `cargo xtask bench`.
//!
//! A child process of this program runs on one core, and gives each figure, while the program drives it from another
//! core. The subjects of a scenario take turns, round by round, so that other load on the machine affects all of them
//! alike.
//!
//! ```text
//! cargo xtask bench                      all scenarios
//! cargo xtask bench hello --rounds 20    one of them, for longer
//! cargo xtask bench log                  those of the log, whose names begin so
//! cargo xtask bench redis                those of Redis, likewise
//! cargo xtask bench openapi              what an OpenAPI document costs
//! cargo xtask bench --save               all, and `docs/bench` is written, with charts
//! cargo xtask bench --against HEAD~1 hello    one of them, beside what it was before
//! ```

mod against;
mod candidate;
mod charts;
mod child;
mod compile;
mod events;
mod interval;
mod load;
mod log;
mod nchan;
mod nest;
mod redis;
mod report;
mod results;
mod runner;
mod scenarios;
mod subjects;

use std::env;
use std::process::ExitCode;

use helios_benches::Error;
use report::Outcome;
use scenarios::{SCENARIOS, Scenario};

/// Writes the outcome to `docs/bench`.
const SAVE: &str = "--save";

/// How often each scenario is measured by default.
const ROUNDS: usize = 5;

/// Prefixes of scenario names that select a whole group.
const GROUPS: [&str; 2] = [log::GROUP, redis::GROUP];

const USAGE: &str = "\
usage: cargo xtask bench [SCENARIO].. [--rounds N] [--save]
       cargo xtask bench --against REVISION SCENARIO.. [--rounds N] [--bound RATIO]";

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [child::RUN, subject] => subjects::run(subject),
        [against::AGAINST, args @ ..] => against::run(args),
        [args @ .., SAVE] => compare(args).and_then(results::save),
        args => compare(args).map(drop),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether this name selects a scenario, alone or with its group.
fn is_meant(scenario: &Scenario, name: &str) -> bool {
    let rest = scenario.name.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || (GROUPS.contains(&name) && rest.starts_with('-')))
}

fn find(name: &str) -> Result<&'static Scenario, Error> {
    let found = SCENARIOS.iter().find(|scenario| is_meant(scenario, name));
    found.ok_or_else(|| format!("there is no scenario `{name}`\n{USAGE}").into())
}

/// Runs the scenarios of these names, or all.
fn compare(args: &[&str]) -> Result<Vec<Outcome>, Error> {
    let (names, rounds) = match args {
        [names @ .., "--rounds", rounds] => (names, Some(rounds.parse().map_err(|_| USAGE)?)),
        names => (names, None),
    };
    names.iter().try_for_each(|name| find(name).map(drop))?;
    helios_benches::cores::keep_off_the_measured_core()?;
    let mut outcomes = Vec::new();
    for scenario in SCENARIOS {
        if names.is_empty() || names.iter().any(|name| is_meant(scenario, name)) {
            let samples = runner::run(scenario, rounds.unwrap_or(ROUNDS).min(scenario.rounds))?;
            let outcome = Outcome::new(scenario, &samples);
            println!("{outcome}");
            outcomes.push(outcome);
        }
    }
    if outcomes.len() > 1 {
        print!("{}", report::goals(&outcomes));
    }
    Ok(outcomes)
}
