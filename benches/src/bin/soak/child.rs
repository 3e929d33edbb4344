//! The server's process, from outside.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use helios_benches::cores;
use procfs::process::Process;

use crate::Error;
use crate::server::Hooks;

/// The argument that makes this program the server.
pub(crate) const SERVE: &str = "serve";

/// A running server. It ends when this is dropped or this program dies.
pub(crate) struct Running {
    child: Child,
    process: Process,
    out: BufReader<ChildStdout>,
    /// The server ends when this pipe closes.
    _lifeline: Option<ChildStdin>,
    pub(crate) address: SocketAddr,
}

impl Running {
    pub(crate) fn start(seed: u64) -> Result<Self, Error> {
        Self::start_as(&[SERVE, &seed.to_string()])
    }

    /// Starts this program with arguments that make it a server, and reads its address.
    pub(crate) fn start_as(args: &[&str]) -> Result<Self, Error> {
        let mut command = cores::on_the_measured_core(&std::env::current_exe()?);
        command
            .args(args)
            // glibc's arenas for each thread would grow for longer than the soak takes.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let lifeline = child.stdin.take();
        let mut out = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        Ok(Self {
            process: Process::new(i32::try_from(child.id())?)?,
            address: line
                .trim()
                .parse()
                .map_err(|_| "the server did not start")?,
            child,
            out,
            _lifeline: lifeline,
        })
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64, Error> {
        Ok(self.process.statm()?.resident * procfs::page_size())
    }

    /// Returns the number of open file descriptors.
    pub(crate) fn descriptors(&self) -> Result<usize, Error> {
        Ok(self.process.fd_count()?)
    }

    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        Ok(cores::cpu_of(self.child.id())?)
    }

    pub(crate) fn terminate(&self) -> Result<(), Error> {
        let sent = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()?;
        match sent.success() {
            true => Ok(()),
            false => Err("SIGTERM could not be sent".into()),
        }
    }

    /// Kills the server, which loses all that it has in memory.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        Ok(self.child.try_wait()?)
    }

    /// Reads the line that the server prints when it ends.
    pub(crate) fn last_words(&mut self) -> Result<Hooks, Error> {
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
