//! NestJS on Fastify and on Express. `benches/nest` is installed beside this program on first use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use helios_benches::Error;
use helios_benches::cores;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/nest");
const SERVER: &str = "server.js";
const LOCK: &str = "package-lock.json";
const FILES: [&str; 4] = ["package.json", LOCK, "serve.js", SERVER];

/// The file that npm writes last.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// Returns the adapter of a subject of this kind.
pub(crate) fn adapter(subject: &str) -> Option<&str> {
    subject.strip_prefix("nest-")?.strip_suffix("-sse")
}

/// Installs the locked packages, unless they are there.
pub(crate) fn install() -> Result<(), Error> {
    let directory = directory()?;
    let lock = fs::read(Path::new(SOURCE).join(LOCK))?;
    let is_current = fs::read(directory.join(LOCK)).is_ok_and(|known| known == lock);
    fs::create_dir_all(&directory)?;
    for file in FILES {
        fs::copy(Path::new(SOURCE).join(file), directory.join(file))?;
    }
    if is_current && directory.join(INSTALLED).exists() {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit"]);
    let done = npm.current_dir(&directory).output();
    let done = done.map_err(|error| format!("npm (Node.js) is needed: {error}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).into()),
    }
}

/// Returns a command that starts the server on the measured core.
pub(crate) fn server(adapter: &str) -> Result<Command, Error> {
    let mut command = cores::on_the_measured_core(Path::new("node"));
    command.args([SERVER, adapter]).current_dir(directory()?);
    command.env("NODE_ENV", "production");
    Ok(command)
}

fn directory() -> Result<PathBuf, Error> {
    Ok(std::env::current_exe()?.with_file_name("nest"))
}
