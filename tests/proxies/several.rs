//! Several servers with one proxy.

use std::fs;

use helios::prelude::*;

use super::app::{Site, join};
use super::checks::comes_back;
use super::nginx::NGINX;
use super::process::{Kind, Setup, replace};
use support::backplane::Log;

/// nginx before two servers, whose addresses are given as two words.
const BEFORE_TWO: Kind = Kind {
    configure: |setup, addresses, folder| {
        let servers = replace(&addresses.app, " ", "; server ");
        (NGINX.configure)(setup, addresses, folder);
        let upstream = format!("upstream pair {{ server {servers}; }}");
        fs::write(folder.join("options.conf"), upstream).unwrap();
        let site = folder.join("site.conf");
        let text = fs::read_to_string(&site).unwrap();
        let start = text.find("proxy_pass http://").unwrap();
        let end = start + text[start..].find(';').unwrap();
        let text = format!("{}proxy_pass http://pair{}", &text[..start], &text[end..]);
        fs::write(site, text).unwrap();
    },
    ..NGINX
};

#[tokio::test]
#[ignore = "needs nginx; `cargo xtask test` runs it"]
async fn with_a_backplane_the_other_server_resumes() {
    let log = Log::new(100);
    let mut sites = Vec::new();
    for seed in 0..2 {
        let log = Arc::clone(&log);
        sites.push(Site::configured(move |app| app.backplane(log.link(seed))).await);
    }
    let servers = format!("{} {}", sites[0].addr, sites[1].addr);
    let proxy = BEFORE_TWO.start(servers, Setup::Plain).await;
    let mut client = join(proxy.addr).await;
    sites[0].publish("seen").await;
    let seen = client.next().await.unwrap();

    let here = |site: &Site| site.server().sse.stats().connections == 1;
    let at = sites.iter().position(here).unwrap();
    let mut gone = sites.remove(at);
    gone.stop().await;
    assert_eq!(client.names().await, ["helios:reconnect"]);
    sites[0].publish("missed").await;
    comes_back(&proxy, &seen.id).await;
}
