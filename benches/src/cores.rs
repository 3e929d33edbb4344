//! Keeps the subject of a measurement on one core, and the program that measures it on another.

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
/// Returns an error if `taskset` is missing or there is no other core.
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

/// Returns a command that starts a program on the measured core.
#[must_use]
pub fn on_the_measured_core(program: &Path) -> Command {
    on_cores(MEASURED_CORE, program)
}

/// Returns a command that starts a program on both cores. The program that drives it shares one of them.
#[must_use]
pub fn on_both_cores(program: &Path) -> Command {
    on_cores(&format!("{MEASURED_CORE},{OWN_CORE}"), program)
}

fn on_cores(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    command
}

/// Returns the processor time that a process has used so far. `/proc/PID/stat` has it too, but in ticks instead of
/// nanoseconds.
///
/// # Errors
///
/// Returns an error if the process does not exist any more.
pub fn cpu_of(process: u32) -> io::Result<Duration> {
    let process = i32::try_from(process).map_err(io::Error::other)?;
    let clock = clock_getcpuclockid(Pid::from_raw(process))?;
    Ok(clock.now()?.into())
}

/// Returns the processor time that this program has used so far.
///
/// # Errors
///
/// See [`cpu_of`].
pub fn own_cpu() -> io::Result<Duration> {
    cpu_of(std::process::id())
}
