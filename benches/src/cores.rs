//! What is measured runs on one core, and what measures it on another.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

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

/// A command that starts a program on the measured core.
#[must_use]
pub fn on_the_measured_core(program: &Path) -> Command {
    on_cores(MEASURED_CORE, program)
}

/// A command that starts a program on both cores: what drives it shares one of them.
#[must_use]
pub fn on_both_cores(program: &Path) -> Command {
    on_cores(&format!("{MEASURED_CORE},{OWN_CORE}"), program)
}

fn on_cores(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    command
}

/// The processor time that a process has used so far: what `/proc/PID/stat` has, but in nanoseconds instead of ticks.
///
/// # Errors
///
/// The process is gone.
pub fn cpu_of(process: u32) -> io::Result<Duration> {
    let process = i32::try_from(process).map_err(io::Error::other)?;
    let clock = clock_getcpuclockid(Pid::from_raw(process))?;
    Ok(clock.now()?.into())
}

/// The processor time that this program has used so far.
///
/// # Errors
///
/// As of [`cpu_of`].
pub fn own_cpu() -> io::Result<Duration> {
    cpu_of(std::process::id())
}
