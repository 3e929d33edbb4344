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

/// What a test changes in a proxy's configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Setup {
    /// Nothing.
    Plain,
    /// A stream that is silent for a second is cut.
    Impatient,
    /// Event streams are compressed like everything else.
    Gzip,
    /// TLS, and so HTTP/2, with the certificate `cert.pem`, which has its key in it.
    Tls,
    /// Pages of another origin may read what the proxy answers for the app.
    CrossOrigin,
    /// WebSockets are passed on.
    WebSocket,
    /// Nothing is there for the sake of streams.
    Bare,
}

/// How a proxy is run.
pub(super) struct Kind {
    pub(super) program: &'static str,
    pub(super) args: fn(&Path) -> Vec<String>,
    /// Writes what the program needs into a folder of its own.
    pub(super) configure: fn(Setup, Addresses, &Path),
}

/// Where a proxy listens, and what it stands before.
pub(super) struct Addresses {
    pub(super) listen: SocketAddr,
    pub(super) app: String,
}

/// A proxy that listens; dropping it ends it.
pub(super) struct Proxy {
    pub(super) addr: SocketAddr,
    _process: Child,
    _folder: Folder,
}

impl Kind {
    pub(super) async fn start(&self, app: impl ToString, setup: Setup) -> Proxy {
        let app = app.to_string();
        // Somebody else may take the free port first.
        let mut log = String::new();
        for _ in 0..3 {
            match self.try_start(&app, setup).await {
                Ok(proxy) => return proxy,
                Err(complaint) => log = complaint,
            }
        }
        panic!("{} does not start: {log}", self.program);
    }

    /// The proxy, or what it says against its configuration.
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

/// Replaces what must be there.
pub(super) fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to)
}

/// Daemons are in a folder that is not in everybody's path.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin")
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Whether it listens before it ends.
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
