//! A subject in a process of its own: started on the measured core, and what the system knows of it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use helios_benches::Error;
use helios_benches::sse::Command as Publish;
use procfs::process::Process;

/// How this program is told to be a child.
pub(crate) const RUN: &str = "run";

const MEASURED_CORE: &str = "0";
const OWN_CORE: &str = "1";

/// Moves this program to the other core.
pub(crate) fn keep_off_the_measured_core() -> Result<(), Error> {
    let own = std::process::id().to_string();
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", OWN_CORE, &own]);
    let output = taskset
        .output()
        .map_err(|error| format!("taskset (util-linux) is needed: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

/// A running subject; it is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// What it said when it was ready.
    pub(crate) line: String,
}

impl Running {
    /// Starts a subject, and waits for its first line.
    pub(crate) fn start(subject: &str) -> Result<Self, Error> {
        let mut command = Command::new("taskset");
        command
            .args(["--cpu-list", MEASURED_CORE])
            .arg(std::env::current_exe()?)
            .args([RUN, subject])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut running = Self {
            child: command.spawn()?,
            line: String::new(),
        };
        let out = running.child.stdout.take().ok_or("no standard output")?;
        BufReader::new(out).read_line(&mut running.line)?;
        match running.line.is_empty() {
            true => Err(format!("`{subject}` did not start").into()),
            false => Ok(running),
        }
    }

    /// Tells a server of events to publish some.
    pub(crate) fn publish(&mut self, publish: Publish) -> Result<(), Error> {
        let commands = self.child.stdin.as_mut().ok_or("no standard input")?;
        Ok(commands.write_all(&publish.to_bytes())?)
    }

    /// The bytes of memory that it occupies.
    pub(crate) fn memory(&self) -> Result<u64, Error> {
        let stat = Process::new(i32::try_from(self.child.id())?)?.stat()?;
        Ok(stat.rss * procfs::page_size())
    }

    /// The processor time that it has used so far.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        cpu_of(&Process::new(i32::try_from(self.child.id())?)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time that this process has used so far.
pub(crate) fn own_cpu() -> Result<Duration, Error> {
    cpu_of(&Process::myself()?)
}

fn cpu_of(process: &Process) -> Result<Duration, Error> {
    let stat = process.stat()?;
    let ticks = (stat.utime + stat.stime) as f64;
    Ok(Duration::from_secs_f64(
        ticks / procfs::ticks_per_second() as f64,
    ))
}
