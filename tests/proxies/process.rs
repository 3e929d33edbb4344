//! A proxy as a process of its own.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use support::folder::Folder;
use support::{DEADLINE, within};

/// The changes of a test to a proxy's configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// No changes.
    Plain,
    /// Cuts streams that are silent for a second.
    Impatient,
    /// Compresses event streams like everything else.
    Gzip,
    /// Uses TLS, and therefore HTTP/2, with the certificate `cert.pem`, which contains its key.
    Tls,
    /// Lets pages of another origin read the proxy's own responses.
    CrossOrigin,
    /// Passes WebSockets on.
    WebSocket,
    /// Removes all settings for streams.
    Bare,
}

/// How to run a proxy.
pub(super) struct Kind {
    pub(super) program: &'static str,
    pub(super) args: fn(&Path) -> Vec<String>,
    /// Writes the program's files into a folder of its own.
    pub(super) configure: fn(Setup, Addresses, &Path),
}

/// The address of a proxy, and that of the app.
pub(super) struct Addresses {
    pub(super) listen: SocketAddr,
    pub(super) app: String,
}

/// A running proxy. Dropping it ends it.
pub(super) struct Proxy {
    pub(super) addr: SocketAddr,
    _process: Child,
    _folder: Folder,
}

impl Kind {
    pub(super) async fn start(&self, app: impl ToString, setup: Setup) -> Proxy {
        let app = app.to_string();
        // Another process may take the free port first.
        let mut log = String::new();
        for _ in 0..3 {
            match self.try_start(&app, setup).await {
                Ok(proxy) => return proxy,
                Err(complaint) => log = complaint,
            }
        }
        panic!("{} does not start: {log}", self.program);
    }

    /// Starts the proxy, or returns its error output.
    async fn try_start(&self, app: &str, setup: Setup) -> Result<Proxy, String> {
        let listen = free_port();
        let folder = Folder::new(self.program);
        if setup == Setup::Tls {
            certify(&folder.0).await;
        }
        (self.configure)(
            setup,
            Addresses {
                listen,
                app: app.to_owned(),
            },
            &folder.0,
        );
        let log = folder.0.join("log");
        let mut process = Command::new(self.program)
            .args((self.args)(&folder.0))
            .current_dir(&folder.0)
            .env("PATH", path())
            .env("HOME", &folder.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program));
        if !listens(&mut process, listen).await {
            return Err(fs::read_to_string(log).unwrap());
        }
        Ok(Proxy {
            addr: listen,
            _process: process,
            _folder: folder,
        })
    }
}

async fn certify(folder: &Path) {
    let args =
        "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=localhost";
    let openssl = Command::new("openssl")
        .args(args.split(' '))
        .args(["-keyout", "cert.pem", "-out", "cert.only.pem"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
    assert!(openssl.await.unwrap().success());
    let certificate = fs::read_to_string(folder.join("cert.only.pem")).unwrap();
    let mut file = File::options()
        .append(true)
        .open(folder.join("cert.pem"))
        .unwrap();
    file.write_all(certificate.as_bytes()).unwrap();
}

/// Replaces a text that must be present.
pub(super) fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to)
}

/// Returns the path with the folder of daemons, which not every user's path has.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin")
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Returns whether it accepts connections before it ends.
async fn listens(process: &mut Child, addr: SocketAddr) -> bool {
    within(async {
        loop {
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(addr).await.is_ok() {
                return true;
            }
            tokio::time::sleep(DEADLINE / 1_000).await;
        }
    })
    .await
}
