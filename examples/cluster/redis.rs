//! The Redis that all nodes share. It is the one that `HELIOS_REDIS_URL` names, or a `redis-server` that ends with this
//! program.

use std::env;
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use super::{Failure, nodes};

/// The nodes read it too.
pub(crate) const URL: &str = "HELIOS_REDIS_URL";

/// How long Redis may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

const MISSING: &str = "there is no `redis-server` on the path: install one (`apt install redis-server`, `brew install redis`), or \
     name a Redis with HELIOS_REDIS_URL";

/// Ends Redis when the pipe to this program closes, even if this program is killed.
const UNTIL_THE_END: &str = r#"command -v redis-server >/dev/null || exit 127
redis-server "$@" >/dev/null & read _; kill $!; wait"#;

/// The exit status of a shell that does not find a program.
const NOT_FOUND: Option<i32> = Some(127);

pub(crate) struct Redis {
    url: String,
    /// Present if this program started the Redis.
    process: Option<(Child, Option<ChildStdin>, TempDir)>,
}

impl Redis {
    pub(crate) async fn start() -> Result<Self, Failure> {
        match env::var(URL) {
            Ok(url) if !url.is_empty() => Ok(Self { url, process: None }),
            _ => Self::start_own().await,
        }
    }

    async fn start_own() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))
            .await?
            .local_addr()?
            .port();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            UNTIL_THE_END,
            "sh",
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ]);
        command.args(["--save", "", "--dir"]).arg(folder.path());
        nodes::apart(&mut command);
        let spawned = command.stdin(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|error| match error.kind() {
            ErrorKind::NotFound => MISSING.into(),
            _ => Failure::from(error),
        })?;
        // Kept here because `wait` closes a child's input, which would end Redis.
        let pipe = process.stdin.take();
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            listens = timeout(PATIENCE, listens) => listens.map_err(|_| "redis-server does not listen")?,
            ended = process.wait() => return Err(match ended? {
                ended if ended.code() == NOT_FOUND => MISSING.into(),
                ended => format!("redis-server has ended: {ended}").into(),
            }),
        }
        Ok(Self {
            url: format!("redis://127.0.0.1:{port}"),
            process: Some((process, pipe, folder)),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn end(self) {
        if let Some((mut process, pipe, _folder)) = self.process {
            drop(pipe);
            // It may have ended by itself.
            let _ = process.wait().await;
        }
    }
}
