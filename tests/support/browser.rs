//! Real browsers, headless, each with a profile of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

/// A folder of its own for the browser's profile, removed at the end.
pub struct Profile(PathBuf);

impl Profile {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("helios-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn spawn(program: &str, args: &[&str], profile: &Profile) -> Child {
    Command::new(program)
        .args(args)
        .env("HOME", &profile.0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

pub fn chromium(url: &str, profile: &Profile) -> Child {
    let folder = format!("--user-data-dir={}", profile.0.display());
    let args = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &folder,
        url,
    ];
    spawn("chromium", &args, profile)
}

pub fn firefox(url: &str, profile: &Profile) -> Child {
    let folder = profile.0.display().to_string();
    let args = ["--headless", "--no-remote", "--profile", &folder, url];
    spawn("firefox-esr", &args, profile)
}
