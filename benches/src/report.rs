//! The outcome of a scenario: medians, and what was to be reached.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::runner::Samples;
use crate::scenarios::{Bound, Goal, Scenario};

/// The outcome of a scenario.
#[derive(Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) rounds: usize,
    figures: Vec<String>,
    subjects: Vec<Row>,
    pub(crate) goals: Vec<Reached>,
}

/// A subject, with a range for each figure.
#[derive(Serialize, Deserialize)]
struct Row {
    subject: String,
    ranges: Vec<Range>,
}

/// What became of a goal.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reached {
    what: String,
    wanted: String,
    reached: Range,
    met: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Range {
    median: f64,
    least: f64,
    most: f64,
}

impl Range {
    fn of(figures: &[f64]) -> Self {
        let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
        let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self {
            median: median(figures),
            least,
            most,
        }
    }
}

impl Outcome {
    pub(crate) fn new(scenario: &Scenario, samples: &[Samples]) -> Self {
        let subjects = samples.iter().map(|one| Row {
            subject: one.subject.to_owned(),
            ranges: (0..scenario.figures.len())
                .map(|place| Range::of(&figures(one, place)))
                .collect(),
        });
        let goals = scenario.goals.iter();
        Self {
            name: scenario.name.to_owned(),
            title: scenario.title.to_owned(),
            rounds: samples.first().map_or(0, |one| one.rounds.len()),
            figures: scenario.figures.iter().map(ToString::to_string).collect(),
            subjects: subjects.collect(),
            goals: goals.map(|goal| Reached::new(goal, samples)).collect(),
        }
    }

    /// As a section of a Markdown page.
    pub(crate) fn markdown(&self) -> String {
        let Self {
            name,
            title,
            rounds,
            ..
        } = self;
        let figures = self.figures.join(" | ");
        let rule = " ---: |".repeat(self.figures.len());
        let mut page = format!("## {name}\n\n{title}. Medians of {rounds} rounds.\n\n");
        page += &format!("| | {figures} |\n| --- |{rule}\n");
        for Row { subject, ranges } in &self.subjects {
            let medians: Vec<_> = ranges.iter().map(|range| figure(range.median)).collect();
            page += &format!("| {subject} | {} |\n", medians.join(" | "));
        }
        page
    }
}

impl Reached {
    fn new(goal: &Goal, samples: &[Samples]) -> Self {
        let of = |subject: &str| {
            let found = samples.iter().find(|one| one.subject == subject);
            found.map_or_else(Vec::new, |one| figures(one, 0))
        };
        let (what, figures, bound) = match goal {
            Goal::Ratio { subject, to, bound } => {
                let (one, other) = (of(subject), of(to));
                let ratios = one.iter().zip(&other).map(|(one, other)| one / other);
                (format!("{subject} / {to}"), ratios.collect(), bound)
            }
            Goal::Figure { subject, bound } => ((*subject).to_owned(), of(subject), bound),
        };
        let reached = Range::of(&figures);
        let (met, wanted) = match bound {
            Bound::AtLeast(least) => (reached.median >= *least, format!("at least {least}")),
            Bound::AtMost(most) => (reached.median <= *most, format!("at most {most}")),
        };
        Self {
            what,
            wanted,
            reached,
            met,
        }
    }
}

impl Reached {
    /// As cells of a Markdown table.
    pub(crate) fn cells(&self) -> String {
        let Self {
            what,
            wanted,
            reached,
            met,
        } = self;
        let Range {
            median,
            least,
            most,
        } = reached;
        let met = if *met { "met" } else { "**missed**" };
        format!("{what} | {median:.3} | {least:.3} to {most:.3} | {wanted} | {met}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            rounds,
            title,
            ..
        } = self;
        writeln!(f, "{name} ({rounds} rounds): {title}")?;
        for (place, of) in self.figures.iter().enumerate() {
            writeln!(f, "  {of:<24}{:>12}{:>12}{:>12}", "median", "least", "most")?;
            for Row { subject, ranges } in &self.subjects {
                let Range {
                    median,
                    least,
                    most,
                } = ranges[place];
                let (median, least, most) = (figure(median), figure(least), figure(most));
                writeln!(f, "    {subject:<22}{median:>12}{least:>12}{most:>12}")?;
            }
        }
        for goal in &self.goals {
            writeln!(f, "  {goal}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            wanted,
            reached,
            met,
        } = self;
        let Range {
            median,
            least,
            most,
        } = reached;
        let met = if *met { "met" } else { "MISSED" };
        write!(
            f,
            "{what} = {median:.3} ({least:.3} to {most:.3}), wanted {wanted}: {met}"
        )
    }
}

/// One figure of a subject, round by round.
fn figures(samples: &Samples, place: usize) -> Vec<f64> {
    let rounds = samples.rounds.iter();
    rounds.map(|figures| figures[place]).collect()
}

/// The middle figure; of an even number the upper of the two.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// With as many digits as say something.
fn figure(value: f64) -> String {
    match value {
        large if large >= 100.0 => format!("{large:.0}"),
        small => format!("{small:.2}"),
    }
}
