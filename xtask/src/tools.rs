//! Programs that the tasks need beside Rust.

use std::path::Path;
use std::process::Command;

/// A program, or the full path of a file, and the Debian package that contains or depends on it.
type Tool = (&'static str, &'static str);

/// The programs that the tests need.
pub(crate) const TESTS: &[Tool] = &[
    ("curl", "curl"),
    ("chromium", "chromium"),
    ("firefox-esr", "firefox-esr"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("caddy", "caddy"),
    ("openssl", "openssl"),
    ("redis-server", "redis-server"),
    // `redis-server` can also be a Sentinel or a node of a cluster. The tests start their own.
    ("redis-cli", "redis-tools"),
];

/// Programs that the benchmarks use if they are installed.
pub(crate) const PEERS: &[Tool] = &[(
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "libnginx-mod-nchan",
)];

/// Installs missing packages on Debian if it runs as root. Otherwise returns an error that names them.
pub(crate) fn ensure(tools: &[Tool]) -> Result<(), String> {
    let packages = missing(tools);
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
    if missing(tools).is_empty() {
        Ok(())
    } else {
        Err(advice)
    }
}

fn missing(tools: &[Tool]) -> Vec<&'static str> {
    let absent = tools.iter().filter(|(program, _)| !is_installed(program));
    absent.map(|(_, package)| *package).collect()
}

/// Returns whether the program is on the path, or the file exists.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons are in this folder, which is not in every user's path.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders
        .map(|folder| folder.join(program))
        .any(|program| program.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// Ignores failures, which show in what is still missing afterwards.
fn apt(args: &[&str]) {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    if let Err(error) = command.status() {
        eprintln!("apt-get: {error}");
    }
}
