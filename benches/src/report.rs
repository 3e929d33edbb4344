//! A scenario's outcome as a table: medians, and what was to be reached.

use std::fmt;

use crate::runner::Samples;
use crate::scenarios::{Bound, Goal, Scenario};

pub(crate) struct Report<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) samples: Vec<Samples>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { name, title, .. } = self.scenario;
        let rounds = self.samples.first().map_or(0, |one| one.figures.len());
        writeln!(f, "{name} ({rounds} rounds): {title}")?;
        writeln!(
            f,
            "  {:<20}{:>12}{:>12}{:>12}",
            "", "median", "least", "most"
        )?;
        for Samples { subject, figures } in &self.samples {
            let (least, most) = range(figures);
            let (median, least, most) = (figure(median(figures)), figure(least), figure(most));
            writeln!(f, "  {subject:<20}{median:>12}{least:>12}{most:>12}")?;
        }
        for goal in self.scenario.goals {
            write!(f, "  {}", self.outcome(goal))?;
        }
        Ok(())
    }
}

impl Report<'_> {
    fn outcome(&self, goal: &Goal) -> String {
        let (what, figures, bound) = match goal {
            Goal::Ratio { subject, to, bound } => {
                let pairs = self.figures(subject).iter().zip(self.figures(to));
                let ratios = pairs.map(|(one, other)| one / other).collect();
                (format!("{subject} / {to}"), ratios, bound)
            }
            Goal::Figure { subject, bound } => {
                ((*subject).to_owned(), self.figures(subject).to_vec(), bound)
            }
        };
        let reached = median(&figures);
        let (least, most) = range(&figures);
        let (met, target) = match bound {
            Bound::AtLeast(least) => (reached >= *least, format!("at least {least}")),
            Bound::AtMost(most) => (reached <= *most, format!("at most {most}")),
        };
        let met = if met { "met" } else { "MISSED" };
        format!("{what} = {reached:.3} ({least:.3} to {most:.3}), wanted {target}: {met}\n")
    }

    fn figures(&self, subject: &str) -> &[f64] {
        let found = self.samples.iter().find(|one| one.subject == subject);
        found.map_or(&[], |one| one.figures.as_slice())
    }
}

/// The middle figure; of an even number the upper of the two.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn range(figures: &[f64]) -> (f64, f64) {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, most)
}

/// With as many digits as say something.
fn figure(value: f64) -> String {
    match value {
        large if large >= 100.0 => format!("{large:.0}"),
        small => format!("{small:.2}"),
    }
}
