//! Interleaves the subjects of a scenario.

use crate::Error;
use crate::scenarios::Scenario;

/// The figures of one subject, one for each round.
pub(crate) struct Samples {
    pub(crate) subject: &'static str,
    pub(crate) figures: Vec<f64>,
}

pub(crate) fn run(scenario: &Scenario, rounds: usize) -> Result<Vec<Samples>, Error> {
    let samples = scenario.subjects.iter().map(|subject| Samples {
        subject,
        figures: Vec::with_capacity(rounds),
    });
    let mut samples: Vec<_> = samples.collect();
    for round in 0..rounds.max(1) {
        eprintln!("{}: round {} of {rounds}", scenario.name, round + 1);
        for Samples { subject, figures } in &mut samples {
            figures.push((scenario.measure)(subject)?);
        }
        // Every other round goes the other way, or a machine that grows busier would favour the first.
        samples.reverse();
    }
    samples.sort_by_key(|sample| scenario.subjects.iter().position(|s| *s == sample.subject));
    Ok(samples)
}
