//! HAProxy.

use std::fs;
use std::path::Path;

use super::process::{Addresses, Kind, Setup, replace};

const SITE: &str = include_str!("haproxy.cfg");
const AWAY: &str = include_str!("away.http");

/// Two more lines for `away.http`.
pub(super) const CROSS_ORIGIN: &str = "\
access-control-allow-origin: https://app.example
access-control-allow-credentials: true
";

const COMPRESSION: &str = "mode http
    compression algo gzip
    compression type text/event-stream
";

const HAPROXY: Kind = Kind {
    program: "haproxy",
    args: |folder| {
        vec![
            "-q".to_owned(),
            "-db".to_owned(),
            "-f".to_owned(),
            folder.join("haproxy.cfg").display().to_string(),
        ]
    },
    configure,
};

fn configure(setup: Setup, addresses: Addresses, folder: &Path) {
    let away = folder.join("away.http").display().to_string();
    let listen = match setup {
        Setup::Tls => format!("{} ssl crt cert.pem alpn h2,http/1.1", addresses.listen),
        _ => addresses.listen.to_string(),
    };
    let mut site = replace(SITE, "127.0.0.1:8080", &listen);
    site = replace(&site, "127.0.0.1:3000", &addresses.app);
    site = match setup {
        Setup::Bare => replace(&site, "errorfile", "#"),
        _ => replace(&site, "/etc/haproxy/away.http", &away),
    };
    site = match setup {
        Setup::Impatient => replace(&site, "timeout server 50s", "timeout server 1s"),
        Setup::Gzip => replace(&site, "mode http\n", COMPRESSION),
        _ => site,
    };
    let answer = match setup {
        Setup::CrossOrigin => replace(AWAY, "\n\nevent", &format!("\n{CROSS_ORIGIN}\nevent")),
        _ => AWAY.to_owned(),
    };
    fs::write(away, answer).unwrap();
    fs::write(folder.join("haproxy.cfg"), site).unwrap();
}

super::checks::through!(HAPROXY);
