//! nginx.

use std::fs;
use std::path::Path;

use super::process::{Addresses, Kind, Setup};

const SITE: &str = include_str!("nginx.conf");

/// What Debian's `nginx.conf` sets, in one process.
const MAIN: &str = "
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    access_log off;
    sendfile on;
    tcp_nopush on;
    gzip on;
    include options.conf;
    include site.conf;
}
";

pub(super) const NGINX: Kind = Kind {
    program: "nginx",
    args: |folder| {
        let folder = folder.display().to_string();
        ["-p", &folder, "-e", "stderr", "-c", "nginx.conf"]
            .map(String::from)
            .to_vec()
    },
    configure,
};

fn configure(setup: Setup, addresses: Addresses, folder: &Path) {
    let Addresses { listen, app } = addresses;
    let ssl = if setup.tls { " ssl http2" } else { "" };
    let mut site = SITE
        .replace("127.0.0.1:8080", &format!("{listen}{ssl}"))
        .replace("127.0.0.1:3000", &app.to_string());
    if setup.bare {
        site = site.replace("error_page 502 504 = @away;", "");
    }
    let mut options = String::new();
    if setup.impatient {
        options += "proxy_read_timeout 1s;\n";
    }
    if setup.tls {
        options += "ssl_certificate cert.pem;\nssl_certificate_key cert.pem;\n";
    }
    if setup.gzip {
        options += "gzip_types text/event-stream;\n";
    }
    fs::write(folder.join("nginx.conf"), MAIN).unwrap();
    fs::write(folder.join("options.conf"), options).unwrap();
    fs::write(folder.join("site.conf"), site).unwrap();
}

super::checks::through!(NGINX, a_client_that_leaves_is_noticed_at_once);
