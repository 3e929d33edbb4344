//! Interleaves the subjects of a scenario.

use crate::scenarios::Scenario;
use helios_benches::Error;

/// The figures of one subject, of each round.
pub(crate) struct Samples {
    pub(crate) subject: &'static str,
    pub(crate) rounds: Vec<Vec<f64>>,
}

pub(crate) fn run(scenario: &Scenario, rounds: usize) -> Result<Vec<Samples>, Error> {
    let samples = scenario.subjects.iter().map(|subject| Samples {
        subject,
        rounds: Vec::new(),
    });
    let mut samples: Vec<_> = samples.collect();
    for round in 0..rounds.max(1) {
        eprintln!("{}: round {} of {rounds}", scenario.name, round + 1);
        for Samples { subject, rounds } in &mut samples {
            let figures =
                (scenario.measure)(subject).map_err(|error| format!("{subject}: {error}"))?;
            rounds.push(figures);
        }
        // Every other round goes the other way, or a machine that grows busier would favour the first.
        samples.reverse();
    }
    samples.sort_by_key(|sample| scenario.subjects.iter().position(|s| *s == sample.subject));
    Ok(samples)
}
