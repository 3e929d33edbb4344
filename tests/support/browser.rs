//! Real browsers, without a screen.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tokio::process::{self, Child};

use super::folder::Folder;

/// A browser with a profile of its own. Dropping it ends it with its child processes.
pub struct Browser {
    process: Child,
    _profile: Folder,
}

impl Browser {
    pub fn chromium(url: &str) -> Self {
        let profile = Folder::new("chromium");
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
            // Accepts a test's own certificate.
            "--ignore-certificate-errors",
            &folder,
            url,
        ];
        Self::start("chromium", &args, profile)
    }

    pub fn firefox(url: &str) -> Self {
        let profile = Folder::new("firefox");
        let folder = profile.0.display().to_string();
        let args = ["--headless", "--no-remote", "--profile", &folder, url];
        Self::start("firefox-esr", &args, profile)
    }

    fn start(program: &str, args: &[&str], profile: Folder) -> Self {
        let process = process::Command::new(program)
            .args(args)
            .env("HOME", &profile.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Self {
            process,
            _profile: profile,
        }
    }
}

impl Drop for Browser {
    /// If it were killed at once, its child processes would go on writing into the profile.
    fn drop(&mut self) {
        let Some(id) = self.process.id() else { return };
        let _ = Command::new("kill").arg(id.to_string()).status();
        for _ in 0..100 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
