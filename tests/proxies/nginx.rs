//! nginx.

use std::fs;
use std::future::pending;
use std::path::Path;

use helios::prelude::*;
use tokio::net::UnixListener;
use tokio::time::timeout;

use super::app::{Site, app, join, open};
use super::process::{Addresses, Kind, Setup, replace};
use support::folder::Folder;
use support::journal::Journal;

const SITE: &str = include_str!("nginx.conf");

/// Two more lines for the location `@away`.
pub(super) const CROSS_ORIGIN: &str = "\
add_header Access-Control-Allow-Origin https://app.example;
add_header Access-Control-Allow-Credentials true;
";

/// One more location, with the path of the guide's example.
pub(super) const WEBSOCKET: &str = "    location /room/socket {
        proxy_pass http://127.0.0.1:3000;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_set_header Host $http_host;
    }
";

/// Debian's own `nginx.conf`, in a single process.
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
    let listen = match setup {
        Setup::Tls => format!("{} ssl http2", addresses.listen),
        _ => addresses.listen.to_string(),
    };
    let mut site = replace(SITE, "127.0.0.1:8080", &listen);
    if setup == Setup::WebSocket {
        let location = replace(WEBSOCKET, "/room", "/news");
        site = replace(
            &site,
            "    location @away",
            &format!("{location}\n    location @away"),
        );
    }
    site = replace(&site, "127.0.0.1:3000", &addresses.app);
    if setup == Setup::Bare {
        site = replace(&site, "error_page 500 502 504 = @away;", "");
        site = replace(&site, "proxy_pass_header X-Accel-Buffering;", "");
    }
    if setup == Setup::CrossOrigin {
        site = replace(
            &site,
            "default_type",
            &format!("{CROSS_ORIGIN}default_type"),
        );
    }
    let options = match setup {
        Setup::Impatient => "proxy_read_timeout 1s;",
        Setup::Gzip => "gzip_types text/event-stream;",
        Setup::Tls => "ssl_certificate cert.pem; ssl_certificate_key cert.pem;",
        Setup::Plain | Setup::CrossOrigin | Setup::WebSocket | Setup::Bare => "",
    };
    fs::write(folder.join("nginx.conf"), MAIN).unwrap();
    fs::write(folder.join("options.conf"), options).unwrap();
    fs::write(folder.join("site.conf"), site).unwrap();
}

super::checks::through!(NGINX, a_client_that_leaves_is_noticed_at_once);

#[tokio::test]
#[ignore = "needs nginx; `cargo xtask test` runs it"]
async fn nginx_before_nginx_buffers_unless_the_header_passes_through() {
    for (inner, passed_on) in [(Setup::Plain, true), (Setup::Bare, false)] {
        let site = Site::new(|sse| sse.keep_alive = None).await;
        let inner = NGINX.start(site.addr, inner).await;
        let outer = NGINX.start(inner.addr, Setup::Plain).await;
        let joined = timeout(Duration::from_secs(2), join(outer.addr)).await;
        assert_eq!(joined.is_ok(), passed_on);
    }
}

/// Room for nine streams, each of which takes two connections.
const SMALL: Kind = Kind {
    configure: |setup, addresses, folder| {
        configure(setup, addresses, folder);
        let small = replace(MAIN, "events {}", "events { worker_connections 20; }");
        fs::write(folder.join("nginx.conf"), small).unwrap();
    },
    ..NGINX
};

#[tokio::test]
#[ignore = "needs nginx; `cargo xtask test` runs it"]
async fn an_nginx_without_room_asks_browsers_to_come_back() {
    let site = Site::new(|sse| sse.keep_alive = None).await;
    let proxy = SMALL.start(site.addr, Setup::Plain).await;
    let mut clients = Vec::new();
    for _ in 0..9 {
        clients.push(join(proxy.addr).await);
    }
    let mut refused = open(proxy.addr, &[]).await;
    assert_eq!(refused.names().await, ["helios:overloaded"]);
}

#[tokio::test]
#[ignore = "needs nginx; `cargo xtask test` runs it"]
async fn on_a_unix_socket_all_clients_enter_uncounted() {
    let folder = Folder::new("socket");
    let path = folder.0.join("app");
    let listener = UnixListener::bind(&path).unwrap();
    let app = app(&Journal::default()).banner(false);
    let app = app.sse_options(|sse| sse.connections.per_address = Some(1));
    let serving = tokio::spawn(app.shutdown_on(pending()).listen_on(listener));
    let upstream = format!("unix:{}:", path.display());
    let proxy = NGINX.start(upstream, Setup::Plain).await;
    let _two = (join(proxy.addr).await, join(proxy.addr).await);
    serving.abort();
}
