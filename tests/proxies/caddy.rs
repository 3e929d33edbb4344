//! Caddy.

use std::fs;
use std::path::Path;

use super::process::{Addresses, Kind, Setup};

const SITE: &str = include_str!("Caddyfile");

const CADDY: Kind = Kind {
    program: "caddy",
    args: |folder| {
        let file = folder.join("Caddyfile").display().to_string();
        ["run", "--config", &file, "--adapter", "caddyfile"]
            .map(String::from)
            .to_vec()
    },
    configure,
};

fn configure(setup: Setup, addresses: Addresses, folder: &Path) {
    let Addresses { listen, app } = addresses;
    let app = match setup.impatient {
        true => format!("{app} {{\n transport http {{\n read_timeout 1s\n }}\n }}"),
        false => app.to_string(),
    };
    let (scheme, tls) = match setup.tls {
        true => ("https", "tls cert.pem cert.pem\n"),
        false => ("http", ""),
    };
    let mut site = SITE
        .replace("example.org {", &format!("{scheme}://{listen} {{\n{tls}"))
        .replace("127.0.0.1:3000", &app);
    if setup.bare {
        site = format!("{}}}", site.split("# No app").next().unwrap());
    }
    if setup.gzip {
        let all = "encode gzip {\n match {\n header Content-Type text/*\n }\n }";
        site = site.replace("encode gzip", all);
    }
    let ip = listen.ip();
    let options =
        format!("{{\n admin off\n auto_https disable_redirects\n default_bind {ip}\n}}\n");
    fs::write(folder.join("Caddyfile"), options + &site).unwrap();
}

super::checks::through!(CADDY, a_client_that_leaves_is_noticed_at_once);
