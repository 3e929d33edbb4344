//! Third-party clients, with a server that is cut, full, restarted, or finished.
//!
//! `cargo xtask test` runs them. The table lists the differences between clients, and a chapter of the guide shows it.
#![allow(clippy::unwrap_used)]

#[path = "../examples/htmx.rs"]
#[allow(dead_code)]
mod htmx;

mod clients {
    pub(crate) mod gateway;
    pub(crate) mod hypermedia;
    pub(crate) mod kit;
    pub(crate) mod llm;
    pub(crate) mod pages;
    pub(crate) mod process;
    pub(crate) mod scenarios;
    pub(crate) mod seen;
    pub(crate) mod site;
    pub(crate) mod table;
    pub(crate) mod websocket;
    pub(crate) mod wire;
}

use clients::hypermedia::{self, DATASTAR, HTMX_2, HTMX_2_OPEN, HTMX_4, HTMX_4_OPEN, TURBO};
use clients::pages::Frameset;
use clients::{kit, llm, process, scenarios, site, table, websocket};
use support::browser::Browser;

/// Not a test, but the server for the tests, which start it in a process of its own.
#[tokio::test]
async fn server() {
    if std::env::var_os(process::SERVE).is_some() {
        site::serve().await.unwrap();
    }
}

#[test]
fn the_guide_shows_the_table() {
    let guide = include_str!("../src/guide/clients.md");
    let rows = table::ALL.map(table::Client::row).into_iter();
    for row in rows.chain(llm::ALL.map(llm::LlmClient::row)) {
        println!("{row}");
        let shown = guide.lines().any(|line| line.starts_with(&row));
        assert!(shown, "the guide lacks {row}");
    }
}

#[tokio::test]
#[ignore = "needs Chromium; `cargo xtask test` runs it"]
async fn in_chromium() {
    let browser = Frameset::start("chromium", Browser::chromium).await;
    let browser = Some(&browser);
    tokio::join!(
        scenarios::all(&table::CHROMIUM, browser),
        scenarios::all(&table::CHROMIUM_ELSEWHERE, browser),
    );
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn typescript_is_strict_and_passes_its_own_tests() {
    let folder = kit::TYPESCRIPT.ready().await;
    // Without another build, which would replace files that other tests are reading.
    let tests = kit::program(&["npm", "run", "--silent", "check"], &folder).status();
    assert!(tests.await.unwrap().success());
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn typescript_in_node() {
    scenarios::all(&table::TYPESCRIPT, None).await;
    scenarios::plain(&table::TYPESCRIPT, None).await;
}

#[tokio::test]
#[ignore = "needs Chromium and Node; `cargo xtask test` runs it"]
async fn typescript_in_chromium() {
    let browser = Frameset::start("chromium", Browser::chromium).await;
    let browser = Some(&browser);
    tokio::join!(
        scenarios::all(&table::TYPESCRIPT_CHROMIUM, browser),
        scenarios::plain(&table::TYPESCRIPT_CHROMIUM, browser),
        scenarios::all(&table::TYPESCRIPT_CHROMIUM_ELSEWHERE, browser),
        scenarios::plain(&table::TYPESCRIPT_CHROMIUM_ELSEWHERE, browser),
    );
}

#[tokio::test]
#[ignore = "needs Firefox; `cargo xtask test` runs it"]
async fn in_firefox() {
    let browser = Frameset::start("firefox", Browser::firefox).await;
    let browser = Some(&browser);
    tokio::join!(
        scenarios::all(&table::FIREFOX, browser),
        scenarios::all(&table::FIREFOX_ELSEWHERE, browser),
    );
}

#[tokio::test]
#[ignore = "needs Firefox and Node; `cargo xtask test` runs it"]
async fn typescript_in_firefox() {
    let browser = Frameset::start("firefox", Browser::firefox).await;
    let browser = Some(&browser);
    tokio::join!(
        scenarios::all(&table::TYPESCRIPT_FIREFOX, browser),
        scenarios::plain(&table::TYPESCRIPT_FIREFOX, browser),
        scenarios::all(&table::TYPESCRIPT_FIREFOX_ELSEWHERE, browser),
        scenarios::plain(&table::TYPESCRIPT_FIREFOX_ELSEWHERE, browser),
    );
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn npm_eventsource() {
    scenarios::all(&table::NPM_EVENTSOURCE, None).await;
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn npm_fetch_event_source() {
    scenarios::all(&table::FETCH_EVENT_SOURCE, None).await;
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn npm_ws() {
    websocket::is_echoed_and_told_of_a_shutdown().await;
}

#[tokio::test]
#[ignore = "needs Python; `cargo xtask test` runs it"]
async fn python_httpx_sse() {
    scenarios::all(&table::HTTPX_SSE, None).await;
}

#[tokio::test]
#[ignore = "needs Python; `cargo xtask test` runs it"]
async fn python_sseclient() {
    scenarios::all(&table::SSECLIENT, None).await;
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn npm_openai() {
    llm::all(&llm::NPM_OPENAI).await;
}

#[tokio::test]
#[ignore = "needs Python; `cargo xtask test` runs it"]
async fn python_openai() {
    llm::all(&llm::PYTHON_OPENAI).await;
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn npm_ai_stream_text() {
    llm::all(&llm::STREAM_TEXT).await;
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask test` runs it"]
async fn npm_ai_chat() {
    llm::all(&llm::CHAT).await;
}

#[tokio::test]
#[ignore = "builds a package of its own; `cargo xtask test` runs it"]
async fn rust_eventsource_client() {
    scenarios::all(&table::EVENTSOURCE_CLIENT, None).await;
}

#[tokio::test]
#[ignore = "builds a package of its own; `cargo xtask test` runs it"]
async fn rust_reqwest_eventsource() {
    scenarios::all(&table::REQWEST_EVENTSOURCE, None).await;
}

#[tokio::test]
#[ignore = "needs curl; `cargo xtask test` runs it"]
async fn curl() {
    scenarios::all(&table::CURL, None).await;
}

#[tokio::test]
#[ignore = "needs Chromium and npm; `cargo xtask test` runs it"]
async fn hypermedia_asks_for_a_finished_stream_no_more() {
    let asks = hypermedia::asks_for_a_finished_stream_no_more;
    tokio::join!(
        asks(HTMX_2, Browser::chromium),
        asks(HTMX_4, Browser::chromium),
        asks(TURBO, Browser::chromium),
        asks(DATASTAR, Browser::chromium),
    );
}

#[tokio::test]
#[ignore = "needs Chromium and npm; `cargo xtask test` runs it"]
async fn hypermedia_misses_nothing_where_a_connection_breaks() {
    let misses = hypermedia::misses_nothing_where_a_connection_breaks;
    tokio::join!(
        misses(HTMX_2, Browser::chromium),
        misses(HTMX_4, Browser::chromium),
        misses(TURBO, Browser::chromium),
        misses(DATASTAR, Browser::chromium),
    );
}

#[tokio::test]
#[ignore = "needs Chromium and npm; `cargo xtask test` runs it"]
async fn htmx_reopens_a_finished_stream_unless_it_closes_it() {
    let asks = hypermedia::asks_again_and_again;
    tokio::join!(
        asks(HTMX_2_OPEN, Browser::chromium),
        asks(HTMX_4_OPEN, Browser::chromium),
    );
}

#[tokio::test]
#[ignore = "needs Chromium and npm; `cargo xtask test` runs it"]
async fn htmx_and_turbo_come_back_after_a_restart() {
    let comes_back = hypermedia::comes_back_after_a_restart;
    tokio::join!(
        comes_back(HTMX_2, Browser::chromium),
        comes_back(HTMX_4, Browser::chromium),
        comes_back(TURBO, Browser::chromium),
    );
}

#[tokio::test]
#[ignore = "needs Chromium and npm; `cargo xtask test` runs it"]
async fn htmx_shows_what_one_tab_changes_in_the_other() {
    hypermedia::the_example_shows_changes_in_every_tab(Browser::chromium).await;
}
