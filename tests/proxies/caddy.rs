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
    let mut site = SITE
        .replace("example.org", &format!("http://{listen}"))
        .replace("127.0.0.1:3000", &app);
    if setup.gzip {
        site = site.replace(
            "encode gzip",
            "encode gzip {\n match {\n header Content-Type text/*\n }\n }",
        );
    }
    let http2 = if setup.http2 {
        "servers {\n protocols h1 h2c\n }\n"
    } else {
        ""
    };
    let options = format!(
        "{{\n admin off\n default_bind {}\n {http2}}}\n",
        listen.ip()
    );
    fs::write(folder.join("Caddyfile"), options + &site).unwrap();
}

super::checks::through!(CADDY, a_client_that_leaves_is_noticed_at_once);
