//! Programs that the tasks need beside Rust.

use std::path::Path;
use std::process::Command;

/// A program, or a file by its whole path, and the Debian package that has it, or comes with it.
type Tool = (&'static str, &'static str);

/// What the tests need.
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
    // `redis-server` is a Sentinel or a node of a cluster, too: the tests start their own.
    ("redis-cli", "redis-tools"),
];

/// What the benchmarks can do without.
pub(crate) const PEERS: &[Tool] = &[(
    "/usr/lib/nginx/modules/ngx_nchan_module.so",
    "libnginx-mod-nchan",
)];

/// Installs what is missing on Debian when root, or says what is.
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

/// Whether the program is on the path, or the file is there.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where daemons are, though not in everybody's path.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders
        .map(|folder| folder.join(program))
        .any(|program| program.is_file())
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
