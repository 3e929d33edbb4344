//! The saved results: `docs/bench/results.json`, and a page for people.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use helios_benches::Error;
use procfs::{CpuInfo, Current, Meminfo};
use serde::{Deserialize, Serialize};

use crate::charts;
use crate::report::Outcome;
use crate::scenarios::{SCENARIOS, Scenario};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/bench");

const HOW: &str = "\
`cargo xtask bench --save` writes this page. Each subject is a process of its own on one core, its load on another; subjects
take turns, round by round. A goal is met by the median, a ratio is of two figures of the same round. An absolute figure says
little: compare within a table. The load does not sleep while it waits, unless it shares its core with the server: the kernel
charges the waking of a reader to who sends, and a slow server, which lets its readers sleep between two events, would be
charged more often than a fast one.

All are release builds with `TCP_NODELAY` (but for nchan: nginx sets it no earlier than for a second request), each with what
it has by default: Helios with ids, history, limits and keep-alive; axum and salvo with their keep-alive and a
`tokio::sync::broadcast` channel for each topic; actix-web with the same channels (it has neither events nor keep-alive); nchan
with history and pings, published to over HTTP, which it pays for; NestJS in production mode with an RxJS `Subject` for each
topic (it has no keep-alive). `bare-sse` is one loop over sockets, the limit; `hyper-sse` is hyper and a list of events.";

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    /// In days since 1970.
    day: u64,
    scenarios: Vec<Outcome>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
}

impl Machine {
    fn this() -> Result<Self, Error> {
        let cpu = CpuInfo::current()?;
        Ok(Self {
            processor: cpu.model_name(0).unwrap_or("unknown").to_owned(),
            cores: cpu.num_cores(),
            memory_gib: Meminfo::current()?.mem_total >> 30,
            kernel: version(&fs::read_to_string("/proc/sys/kernel/osrelease")?).to_owned(),
        })
    }
}

/// Returns the kernel's own version, without the suffix of `6.1.0-18-amd64`.
fn version(release: &str) -> &str {
    release.trim().split('-').next().unwrap_or_default()
}

/// Saves outcomes over earlier ones of the same scenarios. Drops results of other machines.
pub(crate) fn save(outcomes: Vec<Outcome>) -> Result<(), Error> {
    let directory = Path::new(DIRECTORY);
    fs::create_dir_all(directory)?;
    let (file, machine) = (directory.join("results.json"), Machine::this()?);
    let earlier = match fs::read(&file) {
        Ok(json) => Some(serde_json::from_slice::<Results>(&json)?),
        Err(_) => None,
    };
    let earlier = earlier.filter(|earlier| earlier.machine == machine);
    let earlier = earlier.map(|earlier| earlier.scenarios);
    let results = Results {
        machine,
        day: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400,
        scenarios: merged(outcomes, earlier.unwrap_or_default()),
    };
    fs::write(file, serde_json::to_vec_pretty(&results)?)?;
    fs::write(directory.join("README.md"), page(&results, directory)?)?;
    Ok(())
}

/// Returns the newest outcome of each scenario, in the order of the scenarios. Drops outcomes of scenarios that no
/// longer exist.
fn merged(mut outcomes: Vec<Outcome>, earlier: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.extend(earlier);
    let newest = |scenario: &Scenario| {
        let mut all = outcomes.iter();
        let place = all.position(|outcome| outcome.name == scenario.name)?;
        Some(outcomes.remove(place))
    };
    SCENARIOS.iter().filter_map(newest).collect()
}

/// Writes the goals first, then each scenario with its chart, which it draws into the folder.
fn page(results: &Results, folder: &Path) -> Result<String, Error> {
    let Machine {
        processor,
        cores,
        memory_gib,
        kernel,
    } = &results.machine;
    let mut page = String::from(
        "# Measured\n\n\
         | scenario | what | wanted | median | range | |\n| --- | --- | --- | ---: | --- | --- |\n",
    );
    for outcome in &results.scenarios {
        for goal in &outcome.goals {
            page += &goal.row(&outcome.name);
        }
    }
    page += &format!("\n{HOW}\n\n{processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}.\n");
    for outcome in &results.scenarios {
        let chart = charts::draw(outcome, folder)?;
        page += &format!("\n{}", outcome.markdown(chart.as_deref()));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(title: &str, names: &[&str]) -> Vec<Outcome> {
        let outcome = |name: &&str| Outcome {
            name: (*name).to_owned(),
            title: title.to_owned(),
            rounds: 1,
            figures: Vec::new(),
            subjects: Vec::new(),
            goals: Vec::new(),
        };
        names.iter().map(outcome).collect()
    }

    #[test]
    fn new_outcomes_replace_earlier_ones_of_the_same_scenarios() {
        let earlier = outcomes("before", &["build", "hello", "gone", "idle", "latency"]);
        let now = outcomes("now", &["latency", "hello", "startup"]);
        let merged = merged(now, earlier);
        let kept = merged.iter().map(|one| (&*one.name, &*one.title));
        let expected = [
            ("latency", "now"),
            ("idle", "before"),
            ("hello", "now"),
            ("startup", "now"),
            ("build", "before"),
        ];
        assert_eq!(kept.collect::<Vec<_>>(), expected);
    }
}
