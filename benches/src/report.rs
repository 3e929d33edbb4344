//! The outcome of a scenario: medians, and how they compare with its goals.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::runner::Samples;
use crate::scenarios::{Bound, Figure, Goal, Scenario};

/// The outcome of a scenario.
#[derive(Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) rounds: usize,
    pub(crate) figures: Vec<String>,
    pub(crate) subjects: Vec<Row>,
    pub(crate) goals: Vec<Reached>,
}

/// A subject, with a range for each figure.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) subject: String,
    pub(crate) ranges: Vec<Range>,
}

/// A goal, and the figure that was reached.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reached {
    what: String,
    wanted: String,
    reached: Range,
    met: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Range {
    pub(crate) median: f64,
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
        let names = scenario.kind.figures();
        let subjects = samples.iter().map(|one| Row {
            subject: one.subject.to_owned(),
            ranges: (0..names.len())
                .map(|place| Range::of(&figures(one, &Figure::At(place))))
                .collect(),
        });
        let goals = scenario.goals.iter();
        Self {
            name: scenario.name.to_owned(),
            title: scenario.title.to_owned(),
            rounds: samples.first().map_or(0, |one| one.rounds.len()),
            subjects: subjects.collect(),
            goals: goals
                .filter_map(|goal| Reached::new(goal, samples, &names))
                .collect(),
            figures: names,
        }
    }

    /// Formats the outcome as a section of a Markdown page, with its chart if it has one.
    pub(crate) fn markdown(&self, chart: Option<&str>) -> String {
        let Self {
            name,
            title,
            rounds,
            ..
        } = self;
        let figures = self.figures.join(" | ");
        let rule = " ---: |".repeat(self.figures.len());
        let mut page = format!(
            "## {name}\n\n{title}: `cargo xtask bench {name}`, medians of {rounds} rounds.\n\n\
             | | {figures} |\n| --- |{rule}\n"
        );
        for Row { subject, ranges } in &self.subjects {
            let medians: Vec<_> = ranges.iter().map(|range| digits(range.median)).collect();
            page += &format!("| {subject} | {} |\n", medians.join(" | "));
        }
        if let Some(chart) = chart {
            page += &format!("\n![{title}]({chart})\n");
        }
        page
    }
}

impl Reached {
    /// Compares samples with a goal. Returns `None` if a subject was left out.
    fn new(goal: &Goal, samples: &[Samples], names: &[String]) -> Option<Self> {
        let of = |subject: &str| {
            let found = samples.iter().find(|one| one.subject == subject);
            found.map(|one| figures(one, &goal.figure))
        };
        let (mut figures, mut what) = (of(goal.subject)?, goal.subject.to_owned());
        if let Some(to) = goal.to {
            let others = of(to)?.into_iter();
            figures
                .iter_mut()
                .zip(others)
                .for_each(|(one, other)| *one /= other);
            what += &format!(" / {to}");
        }
        let what = match goal.figure {
            Figure::At(place) => format!("{}: {what}", names[place]),
            Figure::Times { of, to } => format!("{} against {}: {what}", names[of], names[to]),
        };
        let reached = Range::of(&figures);
        let (met, wanted) = match goal.bound {
            Bound::AtLeast(least) => (reached.median >= least, format!("at least {least}")),
            Bound::AtMost(most) => (reached.median <= most, format!("at most {most}")),
        };
        Some(Self {
            what,
            wanted,
            reached,
            met,
        })
    }

    /// Formats the goal as a row of a Markdown table.
    pub(crate) fn row(&self, scenario: &str) -> String {
        let Self {
            what,
            wanted,
            reached,
            met,
        } = self;
        let met = if *met { "met" } else { "**missed**" };
        let Range {
            median,
            least,
            most,
        } = reached;
        format!(
            "| [{scenario}](#{scenario}) | {what} | {wanted} | {median:.3} | {least:.3} to {most:.3} | {met} |\n"
        )
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
            writeln!(f, "  {of:<28}{:>12}{:>12}{:>12}", "median", "least", "most")?;
            for Row { subject, ranges } in &self.subjects {
                writeln!(f, "    {subject:<26}{}", ranges[place])?;
            }
        }
        for goal in &self.goals {
            writeln!(f, "  {goal}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = [self.median, self.least, self.most];
        figures
            .iter()
            .try_for_each(|figure| write!(f, "{:>12}", digits(*figure)))
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, wanted, .. } = self;
        let met = if self.met { "met" } else { "MISSED" };
        write!(f, "{what} ={}, wanted {wanted}: {met}", self.reached)
    }
}

/// Formats all goals as a table.
pub(crate) fn goals(outcomes: &[Outcome]) -> String {
    let mut table = format!("{:<14}{:<62}{:>16}{:>10}\n", "", "goal", "wanted", "median");
    for Outcome { name, goals, .. } in outcomes {
        for goal in goals {
            let Reached {
                what,
                wanted,
                reached,
                met,
            } = goal;
            let met = if *met { "met" } else { "MISSED" };
            let median = digits(reached.median);
            table += &format!("{name:<14}{what:<62}{wanted:>16}{median:>10}  {met}\n");
        }
    }
    table
}

/// Returns one figure of a subject, for each round.
fn figures(samples: &Samples, figure: &Figure) -> Vec<f64> {
    let of_a_round = |figures: &Vec<f64>| match *figure {
        Figure::At(place) => figures[place],
        Figure::Times { of, to } => figures[of] / figures[to],
    };
    samples.rounds.iter().map(of_a_round).collect()
}

/// Returns the middle figure, or the upper one of the two in the middle.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Formats a figure with as many digits as are meaningful.
pub(crate) fn digits(value: f64) -> String {
    match value {
        large if large >= 100.0 => format!("{large:.0}"),
        small => format!("{small:.2}"),
    }
}
