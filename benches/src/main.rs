//! Helios beside its peers: `cargo xtask bench`.
//!
//! Each figure is taken from a child process of this program, pinned to one core, while the program itself drives it
//! from another. The subjects of a scenario take turns, round by round, so that what else the machine does meets all
//! of them alike.
//!
//! ```text
//! cargo xtask bench                      all scenarios
//! cargo xtask bench hello --rounds 20    one of them, for longer
//! cargo xtask bench --save               all, and `docs/bench` is written, with charts
//! ```

mod charts;
mod child;
mod compile;
mod events;
mod load;
mod nchan;
mod nest;
mod report;
mod results;
mod runner;
mod scenarios;
mod subjects;

use std::env;
use std::process::ExitCode;

use helios_benches::Error;
use report::Outcome;
use scenarios::SCENARIOS;

/// Writes the outcome to `docs/bench`.
const SAVE: &str = "--save";

/// How often each scenario is measured, where nothing else is said.
const ROUNDS: usize = 5;

const USAGE: &str = "usage: helios-benches [SCENARIO].. [--rounds N] [--save]";

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        [child::RUN, subject] => subjects::run(subject),
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

/// Runs the scenarios of these names, or all.
fn compare(args: &[&str]) -> Result<Vec<Outcome>, Error> {
    let (names, rounds) = match args {
        [names @ .., "--rounds", rounds] => (names, Some(rounds.parse().map_err(|_| USAGE)?)),
        names => (names, None),
    };
    let is_known = |name: &&str| SCENARIOS.iter().any(|scenario| scenario.name == *name);
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return Err(format!("there is no scenario `{name}`\n{USAGE}").into());
    }
    helios_benches::cores::keep_off_the_measured_core()?;
    let mut outcomes = Vec::new();
    for scenario in SCENARIOS {
        if names.is_empty() || names.contains(&scenario.name) {
            let samples = runner::run(scenario, rounds.unwrap_or(ROUNDS).min(scenario.rounds))?;
            let outcome = Outcome::new(scenario, &samples);
            println!("{outcome}");
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}
