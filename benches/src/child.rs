//! A subject in a process of its own, started on the measured core, and what the system reports about it.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use helios_benches::Error;
use helios_benches::cores;
use helios_benches::sse::Command as Publish;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;

use crate::candidate::{Candidate, Memory};
use crate::nchan::{self, Nchan};
use crate::{compile, nest, subjects};

/// The argument that makes this program a child.
pub(crate) const RUN: &str = "run";

/// A running subject. It ends when this is dropped.
pub(crate) struct Running {
    child: Child,
    publisher: Publisher,
    /// The output on which the server reports how many bytes it has allocated, if it counts them.
    live: Option<BufReader<ChildStdout>>,
    /// The line that it printed when it was ready.
    pub(crate) line: String,
}

/// How a server learns what to publish.
enum Publisher {
    Pipe(ChildStdin),
    Http(Nchan),
}

/// Installs what a subject needs, if it is a program of its own.
///
/// # Errors
///
/// Returns an error if the subject cannot be measured here.
pub(crate) fn prepare(subject: &str) -> Result<(), Error> {
    match (subject, nest::adapter(subject)) {
        (nchan::SUBJECT, _) => nchan::check(),
        (_, Some(_)) => nest::install(),
        _ if compile::is_app(subject) => compile::prepare(subject),
        _ => subjects::check(subject),
    }
}

impl Running {
    /// Starts a subject, and waits until it is ready.
    pub(crate) fn start(candidate: Candidate<'_>) -> Result<Self, Error> {
        let subject = candidate.subject;
        match (subject, nest::adapter(subject)) {
            (nchan::SUBJECT, _) => Self::start_nchan(),
            (_, Some(adapter)) => Self::wait_for_its_line(nest::server(adapter)?, candidate),
            _ => Self::wait_for_its_line(subjects::command(candidate)?, candidate),
        }
    }

    /// Starts a server as a node behind the Redis at this URL.
    pub(crate) fn start_behind(redis: &str, candidate: Candidate<'_>) -> Result<Self, Error> {
        let mut command = subjects::command(candidate)?;
        command.env("HELIOS_REDIS_URL", redis);
        Self::wait_for_its_line(command, candidate)
    }

    fn start_nchan() -> Result<Self, Error> {
        let (child, address) = nchan::start()?;
        Ok(Self {
            child,
            publisher: Publisher::Http(Nchan::connect(address)?),
            live: None,
            line: format!("{address} 0"),
        })
    }

    fn wait_for_its_line(mut command: Command, candidate: Candidate<'_>) -> Result<Self, Error> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let commands = child.stdin.take().ok_or("no standard input")?;
        let mut running = Self {
            child,
            publisher: Publisher::Pipe(commands),
            live: None,
            line: String::new(),
        };
        out.read_line(&mut running.line)?;
        running.live = (candidate.memory == Memory::Live).then_some(out);
        match running.line.is_empty() {
            true => Err(format!("`{}` did not start", candidate.subject).into()),
            false => Ok(running),
        }
    }

    /// Makes a server of events publish.
    pub(crate) fn publish(&mut self, publish: Publish) -> io::Result<()> {
        match &mut self.publisher {
            Publisher::Pipe(commands) => commands.write_all(&publish.to_bytes()),
            Publisher::Http(nchan) => nchan.publish(publish),
        }
    }

    /// Returns its resident memory in bytes, or the bytes that it has allocated if it counts them.
    pub(crate) fn memory(&mut self) -> Result<u64, Error> {
        let process = i32::try_from(self.child.id())?;
        let Some(live) = &mut self.live else {
            return Ok(Process::new(process)?.stat()?.rss * procfs::page_size());
        };
        kill(Pid::from_raw(process), Signal::SIGUSR1)?;
        let mut line = String::new();
        live.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    /// Returns the processor time that it has used so far.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        Ok(cores::cpu_of(self.child.id())?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
