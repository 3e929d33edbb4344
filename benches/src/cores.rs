//! What is measured runs on one core, and what measures it on another.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use procfs::process::Process;
use procfs::{ProcError, ticks_per_second};

const MEASURED_CORE: &str = "0";
const OWN_CORE: &str = "1";

/// Moves this program to the other core.
///
/// # Errors
///
/// `taskset` is missing, or there is no other core.
pub fn keep_off_the_measured_core() -> io::Result<()> {
    let own = std::process::id().to_string();
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", OWN_CORE, &own]);
    let output = taskset
        .output()
        .map_err(|error| io::Error::other(format!("taskset (util-linux) is needed: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr))),
    }
}

/// A command that starts this program on the measured core.
#[must_use]
pub fn on_the_measured_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", MEASURED_CORE]).arg(program);
    command
}

/// The processor time that a process has used so far.
///
/// # Errors
///
/// The process is gone.
pub fn cpu_of(process: &Process) -> Result<Duration, ProcError> {
    let stat = process.stat()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Ok(Duration::from_secs_f64(ticks / ticks_per_second() as f64))
}

/// The processor time that this program has used so far.
///
/// # Errors
///
/// There is no `/proc`.
pub fn own_cpu() -> Result<Duration, ProcError> {
    cpu_of(&Process::myself()?)
}
