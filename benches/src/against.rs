//! Compares Helios with an older revision of itself: `cargo xtask bench --against REVISION SCENARIO..`.
//!
//! Only the server differs. Both get the load of this build. Each pair of runs has the opposite order of the last one,
//! so that a machine that becomes busier favours neither.

use helios_benches::Error;

use crate::USAGE;
use crate::candidate::{Build, Candidate, Memory};
use crate::interval::{Interval, Verdict};
use crate::report::{digits, median};
use crate::scenarios::{Metric, Scenario};
use crate::subjects;

/// The argument by which `cargo xtask` starts this comparison. The revision's name and the folder of its programs
/// follow.
pub(crate) const AGAINST: &str = "against";

/// The number of pairs. It is even, so that each of the two goes first equally often.
const PAIRS: usize = 10;

/// A ratio below 1 that may still be noise.
const BOUND: f64 = 0.97;

/// The floor for figures, since a ratio to 0 is not defined.
const LEAST: f64 = 1e-4;

/// The options of a comparison.
struct Options {
    scenarios: Vec<&'static Scenario>,
    pairs: usize,
    bound: f64,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self, Error> {
        let mut options = Self {
            scenarios: Vec::new(),
            pairs: PAIRS,
            bound: BOUND,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match *arg {
                "--rounds" => options.pairs = number(args.next())?,
                "--bound" => options.bound = number(args.next())?,
                name => options.scenarios.push(crate::find(name)?),
            }
        }
        let is_sane = options.pairs >= 2 && options.bound.is_finite() && options.bound > 0.0;
        match is_sane && !options.scenarios.is_empty() {
            true => Ok(options),
            false => Err(USAGE.into()),
        }
    }
}

fn number<T: std::str::FromStr>(text: Option<&&str>) -> Result<T, Error> {
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| USAGE.into())
}

/// An older build and its name.
struct Before<'a> {
    revision: &'a str,
    build: Build,
}

/// The pairs of one figure of a subject.
struct Pairs {
    what: String,
    metric: Metric,
    before: Vec<f64>,
    now: Vec<f64>,
}

impl Pairs {
    /// Returns the ratios. A ratio above 1 means that the new build is better.
    fn ratios(&self) -> Vec<f64> {
        let ratio = |(before, now): (&f64, &f64)| {
            let (before, now) = (at_least(*before), at_least(*now));
            match self.metric {
                Metric::Rate => now / before,
                Metric::Cost | Metric::Memory => before / now,
            }
        };
        self.before.iter().zip(&self.now).map(ratio).collect()
    }
}

/// Raises a figure to the floor, but keeps NaN, which `max` would replace.
fn at_least(figure: f64) -> f64 {
    if figure < LEAST { LEAST } else { figure }
}

/// Compares the scenarios and prints a line for each figure.
///
/// # Errors
///
/// Returns an error if a figure is worse or cannot be measured.
pub(crate) fn run(args: &[&str]) -> Result<(), Error> {
    let [revision, folder, args @ ..] = args else {
        return Err(USAGE.into());
    };
    let options = Options::parse(args)?;
    let subjects: Vec<_> = options.scenarios.iter().map(|one| of_helios(one)).collect();
    let subjects = subjects.into_iter().collect::<Result<Vec<_>, _>>()?;
    helios_benches::cores::keep_off_the_measured_core()?;
    let before = Before {
        revision,
        build: Build::at(*folder),
    };
    let (pairs, bound) = (options.pairs, options.bound);
    println!(
        "{revision} and now, {pairs} pairs: a ratio above 1 is better now, 95 % interval; worse is all below {bound}"
    );
    let mut worse = Vec::new();
    for (scenario, subjects) in options.scenarios.iter().zip(subjects) {
        for subject in subjects {
            for figure in compare(scenario, subject, &before, pairs)? {
                let interval = Interval::of(&figure.ratios())?;
                let verdict = interval.verdict(bound);
                println!("{}", line(&figure, &interval, verdict));
                if verdict == Verdict::Worse {
                    worse.push(figure.what);
                }
            }
        }
    }
    match worse.is_empty() {
        true => Ok(()),
        false => Err(format!("worse than {revision}:\n  {}", worse.join("\n  ")).into()),
    }
}

/// Returns the subjects of Helios, or an error if there are none.
fn of_helios(scenario: &Scenario) -> Result<Vec<&'static str>, Error> {
    let subjects = scenario.subjects.iter().copied();
    let subjects: Vec<_> = subjects.filter(|name| subjects::is_helios(name)).collect();
    match subjects.is_empty() {
        true => Err(format!(
            "`{}` cannot be compared with an older revision",
            scenario.name
        )
        .into()),
        false => Ok(subjects),
    }
}

/// Measures both builds, pair by pair.
fn compare(
    scenario: &Scenario,
    subject: &str,
    before: &Before<'_>,
    pairs: usize,
) -> Result<Vec<Pairs>, Error> {
    let (now, memory) = (Build::own()?, memory(scenario, &before.build));
    let measure = |revision, build| {
        let figures = scenario.kind.measure(Candidate {
            subject,
            build,
            memory,
        });
        let failed = |error| format!("`{subject}` of {revision} cannot be measured: {error}");
        figures.map_err(failed)
    };
    let (of_before, of_now) = (
        || measure(before.revision, &before.build),
        || measure("this revision", &now),
    );
    let mut rounds = Vec::new();
    for round in 1..=pairs {
        let pair = match round % 2 {
            0 => {
                let now = of_now()?;
                (of_before()?, now)
            }
            _ => (of_before()?, of_now()?),
        };
        eprintln!(
            "{}, {subject}: pair {round} of {pairs}: {pair:?}",
            scenario.name
        );
        rounds.push(pair);
    }
    let note = note(scenario, memory);
    let figure = |(place, unit)| Pairs {
        what: format!("{} ({subject}), {unit}{note}", scenario.name),
        metric: scenario.metric,
        before: rounds.iter().map(|(before, _)| before[place]).collect(),
        now: rounds.iter().map(|(_, now)| now[place]).collect(),
    };
    let figures = scenario.kind.decisive().into_iter().enumerate();
    Ok(figures.map(figure).collect())
}

/// Returns how to measure memory. Only if memory is compared and both builds can count do they count allocated bytes,
/// because counting is slow.
fn memory(scenario: &Scenario, before: &Build) -> Memory {
    match scenario.metric == Metric::Memory && before.counts_live_bytes() {
        true => Memory::Live,
        false => Memory::Resident,
    }
}

fn note(scenario: &Scenario, memory: Memory) -> &'static str {
    match (scenario.metric, memory) {
        (Metric::Memory, Memory::Live) => " (allocated)",
        (Metric::Memory, Memory::Resident) => " (resident: the older one does not count)",
        _ => "",
    }
}

fn line(figure: &Pairs, interval: &Interval, verdict: Verdict) -> String {
    let Pairs {
        what, before, now, ..
    } = figure;
    let (before, now) = (digits(median(before)), digits(median(now)));
    let Interval { low, mean, high } = interval;
    let verdict = match verdict {
        Verdict::NotWorse => "not worse",
        Verdict::Worse => "WORSE",
        Verdict::Unclear => "unclear",
    };
    format!("{what}: {before} before, {now} now, {mean:.3} [{low:.3}, {high:.3}] {verdict}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &Options) -> Vec<&str> {
        options.scenarios.iter().map(|one| one.name).collect()
    }

    fn pairs(metric: Metric, before: &[f64], now: &[f64]) -> Pairs {
        Pairs {
            what: "hello (helios), requests per CPU-second".to_owned(),
            metric,
            before: before.to_vec(),
            now: now.to_vec(),
        }
    }

    #[test]
    fn options_stand_anywhere_and_have_defaults() {
        let options = Options::parse(&["hello", "idle"]).unwrap();
        assert_eq!(names(&options), ["hello", "idle"]);
        assert_eq!((options.pairs, options.bound), (PAIRS, BOUND));
        let options = Options::parse(&["--bound", "0.9", "hello", "--rounds", "4"]).unwrap();
        assert_eq!(names(&options), ["hello"]);
        assert_eq!((options.pairs, options.bound), (4, 0.9));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for args in [
            &[][..],
            &["--rounds", "4"],
            &["nonsense"],
            &["hello", "--save"],
            &["hello", "--rounds"],
            &["hello", "--rounds", "1"],
            &["hello", "--rounds", "many"],
            &["hello", "--bound", "0"],
            &["hello", "--bound", "NaN"],
        ] {
            assert!(Options::parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn peers_are_not_compared_with_themselves() {
        let subjects = |name| of_helios(crate::find(name).unwrap());
        assert_eq!(subjects("hello").unwrap(), ["helios"]);
        assert_eq!(subjects("idle").unwrap(), ["helios-sse"]);
        assert_eq!(subjects("routing").unwrap().len(), 4);
        assert!(subjects("build").is_err());
    }

    #[test]
    fn a_ratio_above_1_is_better_whatever_is_measured() {
        let twice = |metric| pairs(metric, &[10.0], &[20.0]).ratios();
        assert_eq!(twice(Metric::Rate), [2.0]);
        assert_eq!(twice(Metric::Cost), [0.5]);
        assert_eq!(twice(Metric::Memory), [0.5]);
    }

    #[test]
    fn no_ratio_to_nothing_or_to_what_is_no_number() {
        assert_eq!(pairs(Metric::Cost, &[0.0], &[0.0]).ratios(), [1.0]);
        assert!(pairs(Metric::Cost, &[1.0], &[0.0]).ratios()[0].is_finite());
        assert!(pairs(Metric::Cost, &[1.0], &[f64::NAN]).ratios()[0].is_nan());
    }

    #[test]
    fn a_line_gives_the_figures_the_ratio_and_its_interval() {
        let figure = pairs(Metric::Rate, &[1000.0, 1000.0], &[900.0, 900.0]);
        let interval = Interval::of(&figure.ratios()).unwrap();
        assert_eq!(
            line(&figure, &interval, interval.verdict(BOUND)),
            "hello (helios), requests per CPU-second: 1000 before, 900 now, 0.900 [0.900, 0.900] WORSE"
        );
    }
}
