//! Caddy.

use std::fs;
use std::path::Path;

use super::process::{Addresses, Kind, Setup, replace};

const SITE: &str = include_str!("Caddyfile");

/// Two more lines for `handle @stream`.
pub(super) const CROSS_ORIGIN: &str = "\
header Access-Control-Allow-Origin https://app.example
header Access-Control-Allow-Credentials true
";

const MAIN: &str = "
{
    admin off
    auto_https disable_redirects
    default_bind 127.0.0.1
}
";

const IMPATIENT: &str = "{
    transport http {
        read_timeout 1s
    }
}";

const ENCODE_ALL: &str = "encode gzip {
    match {
        header Content-Type text/*
    }
}";

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
    let listen = addresses.listen;
    let head = match setup {
        Setup::Tls => format!("https://{listen} {{\ntls cert.pem cert.pem"),
        _ => format!("http://{listen} {{"),
    };
    let app = match setup {
        Setup::Impatient => format!("{} {IMPATIENT}", addresses.app),
        _ => addresses.app,
    };
    let mut site = replace(SITE, "example.org {", &head);
    site = replace(&site, "127.0.0.1:3000", &app);
    site = match setup {
        Setup::Gzip => replace(&site, "encode gzip", ENCODE_ALL),
        Setup::CrossOrigin => replace(&site, "respond", &format!("{CROSS_ORIGIN}respond")),
        Setup::Bare => format!("{}}}", site.split_once("handle_errors").unwrap().0),
        _ => site,
    };
    fs::write(folder.join("Caddyfile"), format!("{MAIN}{site}")).unwrap();
}

super::checks::through!(CADDY, a_client_that_leaves_is_noticed_at_once);
