//! HAProxy.

use std::fs;
use std::path::Path;

use super::process::{Addresses, Kind, Setup};

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
    let Addresses { listen, app } = addresses;
    let away = folder.join("away.http");
    let ssl = match setup.tls {
        true => format!(
            " ssl crt {} alpn h2,http/1.1",
            folder.join("cert.pem").display()
        ),
        false => String::new(),
    };
    let mut site = SITE
        .replace("127.0.0.1:8080", &format!("{listen}{ssl}"))
        .replace("127.0.0.1:3000", &app.to_string())
        .replace("/etc/haproxy/away.http", &away.display().to_string());
    if setup.bare {
        site = site.replace("errorfile", "#");
    }
    let mut defaults = DEFAULTS.to_owned();
    if setup.impatient {
        defaults = defaults.replace("50000", "1000");
    }
    if setup.gzip {
        defaults += "    compression algo gzip\n    compression type text/event-stream\n";
    }
    fs::write(away, AWAY).unwrap();
    fs::write(folder.join("haproxy.cfg"), format!("{defaults}\n{site}")).unwrap();
}

super::checks::through!(HAPROXY);
