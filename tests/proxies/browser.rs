//! How Chromium handles a restart, and more streams than HTTP/1.1 permits.

use helios::SseOptions;
use helios::prelude::*;
use tokio::time::timeout;

use super::app::Site;
use super::nginx::NGINX;
use super::process::{Kind, Proxy, Setup};
use support::browser::Browser;

const PATIENCE: Duration = Duration::from_secs(60);

/// A page of ten streams in a browser, and its reports. They go to a server that stays up.
struct Page {
    reports: Site,
    _browser: Browser,
}

impl Page {
    async fn open(proxy: &Proxy, scheme: &str) -> Self {
        let reports = Site::new(|_| {}).await;
        let (at, to) = (proxy.addr, reports.addr);
        let url = format!("{scheme}://{at}/news/page?streams=10&to=http://{to}/news/seen");
        Self {
            reports,
            _browser: Browser::chromium(&url),
        }
    }

    async fn reports(&self, what: &str, times: usize) {
        let journal = &self.reports.journal;
        let waited = timeout(PATIENCE, async {
            while journal.count(what) < times {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let waited = waited.await;
        assert!(waited.is_ok(), "{what} x {times}: {:?}", journal.notes());
    }
}

fn prompt(sse: &mut SseOptions) {
    sse.retry = Duration::from_millis(500);
}

pub(super) async fn ten_streams_of_a_page_survive_a_restart(kind: &Kind) {
    let mut site = Site::new(prompt).await;
    let proxy = kind.start(site.addr, Setup::Tls).await;
    let page = Page::open(&proxy, "https").await;
    page.reports("helios:ready", 10).await;
    site.stop().await;
    page.reports("helios:overloaded", 10).await;
    site.start().await;
    page.reports("helios:reset", 10).await;
    site.publish("back").await;
    page.reports("back", 10).await;
}

#[tokio::test]
#[ignore = "needs nginx and Chromium; `cargo xtask test` runs it"]
async fn http_1_1_carries_six_streams_until_a_502() {
    let mut site = Site::new(prompt).await;
    let proxy = NGINX.start(site.addr, Setup::Bare).await;
    let page = Page::open(&proxy, "http").await;
    page.reports("helios:ready", 6).await;
    site.send(SseEvent::text("").event("leave")).await;
    page.reports("helios:ready", 7).await;
    let notes = page.reports.journal.notes();
    let nth = |what: &str, n| {
        notes
            .iter()
            .enumerate()
            .filter(|(_, note)| *note == what)
            .nth(n)
            .unwrap()
            .0
    };
    assert!(nth("leaving", 0) < nth("helios:ready", 6), "{notes:?}");
    site.stop().await;
    page.reports("closed for good", 9).await;
}
