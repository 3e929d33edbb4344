//! Real browsers, without a screen.

use std::process::{Command, Stdio};

use tokio::process::{self, Child};

use super::folder::Folder;

/// A browser with a profile of its own. Dropped, it ends with all of its processes.
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
            // A test's own certificate will do.
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
            .process_group(0)
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
    /// Its children would outlive it for a moment, and write into the profile.
    fn drop(&mut self) {
        if let Some(id) = self.process.id() {
            let group = format!("-{id}");
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        }
    }
}
