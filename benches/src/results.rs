//! What is kept of a run: `docs/bench/results.json`, and a page for people.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use helios_benches::Error;
use procfs::{CpuInfo, Current, Meminfo};
use serde::{Deserialize, Serialize};

use crate::report::Outcome;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/bench");

#[derive(Serialize, Deserialize)]
struct Results {
    machine: Machine,
    /// Days since 1970.
    day: u64,
    scenarios: Vec<Outcome>,
}

#[derive(Serialize, Deserialize)]
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
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
        })
    }
}

/// Puts the outcomes in the place of earlier ones of the same scenarios.
pub(crate) fn save(outcomes: Vec<Outcome>) -> Result<(), Error> {
    let directory = Path::new(DIRECTORY);
    fs::create_dir_all(directory)?;
    let file = directory.join("results.json");
    let mut scenarios = match fs::read(&file) {
        Ok(json) => serde_json::from_slice::<Results>(&json)?.scenarios,
        Err(_) => Vec::new(),
    };
    for outcome in outcomes {
        let same = |known: &&mut Outcome| known.name == outcome.name;
        match scenarios.iter_mut().find(same) {
            Some(known) => *known = outcome,
            None => scenarios.push(outcome),
        }
    }
    let results = Results {
        machine: Machine::this()?,
        day: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400,
        scenarios,
    };
    fs::write(file, serde_json::to_vec_pretty(&results)?)?;
    fs::write(directory.join("README.md"), page(&results))?;
    Ok(())
}

fn page(results: &Results) -> String {
    let Machine {
        processor,
        cores,
        memory_gib,
        kernel,
    } = &results.machine;
    let mut page = format!(
        "# Measured\n\n\
         `cargo xtask bench --save` writes this page. Each subject is a process of its own on one core, its load on \
         another; subjects take turns, round by round. Ratios are of the same round. A peer's absolute figure says \
         little: compare within a table.\n\n\
         {processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}.\n\n\
         | goal | reached | range | wanted | |\n| --- | ---: | --- | --- | --- |\n"
    );
    for outcome in &results.scenarios {
        for goal in &outcome.goals {
            page += &format!("| {}: {} |\n", outcome.name, goal.cells());
        }
    }
    for outcome in &results.scenarios {
        page.push('\n');
        page += &outcome.markdown();
    }
    page
}
