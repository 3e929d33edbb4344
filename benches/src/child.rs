//! A subject in a process of its own: started on the measured core, and what the system knows of it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use helios_benches::Error;
use helios_benches::cores;
use helios_benches::sse::Command as Publish;
use procfs::process::Process;

/// How this program is told to be a child.
pub(crate) const RUN: &str = "run";

/// A running subject; it is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// What it said when it was ready.
    pub(crate) line: String,
}

impl Running {
    /// Starts a subject, and waits for its first line.
    pub(crate) fn start(subject: &str) -> Result<Self, Error> {
        let mut command = cores::on_the_measured_core(&std::env::current_exe()?);
        command
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
        let process = Process::new(i32::try_from(self.child.id())?)?;
        Ok(cores::cpu_of(&process)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
