//! Programs that the tests need beside Rust.

use std::path::Path;
use std::process::Command;

/// A program and the Debian package that has it.
const TOOLS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("chromium", "chromium"),
    ("firefox-esr", "firefox-esr"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
];

/// Installs what is missing on Debian when root, or says what is.
pub(crate) fn ensure() -> Result<(), String> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let advice = format!(
        "missing: {0}; on Debian run `apt-get install {0}`",
        packages.join(" ")
    );
    if !Path::new("/etc/debian_version").exists() || !is_root() {
        return Err(advice);
    }
    println!("installing {}", packages.join(" "));
    apt(&["update", "-qq"]);
    apt(&[
        &["install", "-y", "-qq", "--no-install-recommends"],
        packages.as_slice(),
    ]
    .concat());
    if missing().is_empty() {
        Ok(())
    } else {
        Err(advice)
    }
}

fn missing() -> Vec<&'static str> {
    let absent = TOOLS.iter().filter(|(program, _)| !is_installed(program));
    absent.map(|(_, package)| *package).collect()
}

/// Whether the program is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// A failure shows in what is still missing afterwards.
fn apt(args: &[&str]) {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    if let Err(error) = command.status() {
        eprintln!("apt-get: {error}");
    }
}
