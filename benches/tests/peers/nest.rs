//! NestJS, in a process of its own. The packages of `benches/nest` are installed once, into the target directory.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::client::within;
use super::server::Server;
use super::site::Site;

const FILES: [(&str, &str); 4] = [
    ("package.json", include_str!("../../nest/package.json")),
    (
        "package-lock.json",
        include_str!("../../nest/package-lock.json"),
    ),
    ("serve.js", include_str!("../../nest/serve.js")),
    ("peers.js", include_str!("../../nest/peers.js")),
];

/// `None` if Node.js is missing.
static INSTALLED: OnceCell<Option<PathBuf>> = OnceCell::const_new();

/// Serves with this adapter, if Node.js is installed.
pub(super) async fn start(adapter: &str) -> Option<Server> {
    let folder = INSTALLED.get_or_init(install).await.as_ref()?;
    let mut command = Command::new("node");
    command
        .args(["--no-warnings", "peers.js", adapter])
        .current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = command.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let addr = within(lines.next_line()).await.unwrap();
    let addr = addr.expect("an address").parse().unwrap();
    let site = Site::default();
    let shown = site.clone();
    let server = Server::new(addr, site, |stop| {
        let told = async move {
            while let Ok(Some(line)) = lines.next_line().await {
                shown.count(|streams| match line.as_str() {
                    "begun" => streams.begun += 1,
                    "ended" => streams.ended += 1,
                    _ => panic!("{line}"),
                });
            }
        };
        let ended = async move {
            stop.await;
            drop(node.stdin.take());
            node.wait().await.unwrap();
        };
        Box::pin(async {
            tokio::join!(told, ended);
        })
    });
    Some(server)
}

async fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nest");
    let done = folder.join("installed");
    let stamp = format!("{FILES:?}");
    if fs::read_to_string(&done).is_ok_and(|known| known == stamp) {
        return Some(folder);
    }
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in FILES {
        fs::write(folder.join(name), text).unwrap();
    }
    let mut npm = Command::new("npm");
    npm.args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]);
    let status = match npm.current_dir(&folder).status().await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // `println` would show this only if the test failed.
            let _ = writeln!(std::io::stderr(), "NestJS is left out: there is no npm");
            return None;
        }
        status => status.unwrap(),
    };
    assert!(status.success(), "npm ci: {status}");
    fs::write(done, stamp).unwrap();
    Some(folder)
}
