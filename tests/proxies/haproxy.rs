//! HAProxy.

use std::fs;
use std::path::Path;

use super::process::{Addresses, Kind, Setup, replace};

const SITE: &str = include_str!("haproxy.cfg");
const AWAY: &str = include_str!("away.http");

/// What Debian's `haproxy.cfg` sets.
const DEFAULTS: &str = "
defaults
    mode http
    timeout connect 5000
    timeout client 50000
    timeout server 50000
";

const COMPRESSION: &str = "
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
    let defaults = match setup {
        Setup::Impatient => replace(DEFAULTS, "server 50000", "server 1000"),
        Setup::Gzip => format!("{DEFAULTS}{COMPRESSION}"),
        _ => DEFAULTS.to_owned(),
    };
    fs::write(away, AWAY).unwrap();
    fs::write(folder.join("haproxy.cfg"), format!("{defaults}\n{site}")).unwrap();
}

super::checks::through!(HAPROXY);
