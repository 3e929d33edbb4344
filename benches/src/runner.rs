//! Runs the subjects of a scenario in turns.

use crate::candidate::{Build, Candidate, Memory};
use crate::child;
use crate::scenarios::Scenario;
use helios_benches::Error;

/// The figures of one subject, for each round.
pub(crate) struct Samples {
    pub(crate) subject: &'static str,
    pub(crate) rounds: Vec<Vec<f64>>,
}

/// Measures each subject equally often. Leaves out subjects that cannot be measured here.
pub(crate) fn run(scenario: &Scenario, rounds: usize) -> Result<Vec<Samples>, Error> {
    let build = Build::own()?;
    let mut samples = subjects(scenario);
    for round in 0..rounds {
        eprintln!("{}: round {} of {rounds}", scenario.name, round + 1);
        for Samples { subject, rounds } in &mut samples {
            let figures = scenario.kind.measure(Candidate {
                subject,
                build: &build,
                memory: Memory::Resident,
            });
            rounds.push(figures.map_err(|error| format!("{subject}: {error}"))?);
        }
        // Every other round goes backwards. Otherwise a machine that becomes busier would favour the first.
        samples.reverse();
    }
    samples.sort_by_key(|sample| scenario.subjects.iter().position(|s| *s == sample.subject));
    Ok(samples)
}

fn subjects(scenario: &Scenario) -> Vec<Samples> {
    let mut samples = Vec::new();
    for subject in scenario.subjects {
        match child::prepare(subject) {
            Ok(()) => samples.push(Samples {
                subject,
                rounds: Vec::new(),
            }),
            Err(why) => eprintln!("{}: {subject} is left out: {why}", scenario.name),
        }
    }
    samples
}
