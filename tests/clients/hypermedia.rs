//! Libraries that put the events of a stream into a page. They show each fragment, do not request a finished stream
//! again, and miss nothing when a connection breaks.

use helios::prelude::*;
use support::TestServer;
use support::browser::Browser;
use support::journal::Journal;
use support::network::{cut, network};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tower_http::services::ServeDir;

use super::kit;
use crate::htmx;

const PATIENCE: Duration = Duration::from_secs(60);

/// A library, and how a page opens a stream with it.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    /// Its files, from the kit's folder.
    scripts: &'static str,
    /// The element that opens the stream, with `{url}` in it.
    element: &'static str,
    /// A fragment for the page, with `{text}` in it.
    fragment: &'static str,
    /// The event's name.
    event: &'static str,
    /// How often it requests a stream that has ended, including the first time.
    asks: usize,
}

const ITEM: &str = "<li>\n  {text}\n</li>";

pub(crate) const HTMX_2: Library = Library {
    name: "htmx 2",
    scripts: r#"<script src="/kit/htmx-2/dist/htmx.js"></script><script src="/kit/htmx-ext-sse/sse.js"></script>"#,
    element: r##"<div hx-ext="sse" sse-connect="{url}" sse-close="helios:end">
        <div sse-swap="message" hx-target="#list" hx-swap="beforeend"></div></div>"##,
    fragment: ITEM,
    event: "",
    asks: 1,
};

pub(crate) const HTMX_4: Library = Library {
    name: "htmx 4",
    scripts: r#"<script src="/kit/htmx-4/dist/htmx.js"></script><script src="/kit/htmx-4/dist/ext/hx-sse.js"></script>"#,
    element: r##"<div hx-sse:connect="{url}" hx-sse:close="helios:end" hx-target="#list" hx-swap="beforeend"></div>"##,
    fragment: ITEM,
    event: "",
    asks: 1,
};

/// Its `EventSource` reconnects, gets a 204, and stops.
pub(crate) const TURBO: Library = Library {
    name: "Turbo",
    scripts: r#"<script src="/kit/@hotwired/turbo/dist/turbo.es2017-umd.js"></script>"#,
    element: r#"<turbo-stream-source src="{url}"></turbo-stream-source>"#,
    fragment: "<turbo-stream action=\"append\" target=\"list\">\n<template>\n<li>{text}</li>\n</template>\n</turbo-stream>",
    event: "",
    asks: 2,
};

pub(crate) const DATASTAR: Library = Library {
    name: "Datastar",
    scripts: r#"<script type="module" src="/kit/datastar.js"></script>"#,
    element: r#"<div data-on-load="@get('{url}')"></div>"#,
    fragment: "selector #list\nmergeMode append\nfragments <li>\nfragments   {text}\nfragments </li>",
    event: "datastar-merge-fragments",
    asks: 1,
};

/// Without the attribute that closes its stream, it creates a new `EventSource` when the old one stops. The new one
/// sends no id.
pub(crate) const HTMX_2_OPEN: Library = Library {
    element: r##"<div hx-ext="sse" sse-connect="{url}">
        <div sse-swap="message" hx-target="#list" hx-swap="beforeend"></div></div>"##,
    ..HTMX_2
};

/// Without the closing attribute, each end and each 204 makes it reconnect.
pub(crate) const HTMX_4_OPEN: Library = Library {
    element: r##"<div hx-sse:connect="{url}" hx-target="#list" hx-swap="beforeend"></div>"##,
    ..HTMX_4
};

impl Library {
    fn fragment(&self, text: &str) -> SseEvent {
        let event = SseEvent::text(self.fragment.replace("{text}", text));
        match self.event {
            "" => event,
            name => event.event(name),
        }
    }
}

#[derive(Injectable)]
struct Pages {
    journal: Arc<Journal>,
    library: Arc<Library>,
}

#[controller]
impl Pages {
    #[get("page/{stream}")]
    fn page(&self, #[param] stream: &str) -> Html<String> {
        let Library {
            scripts, element, ..
        } = *self.library;
        let element = element.replace("{url}", &format!("/feed/{stream}"));
        let page = include_str!("hypermedia/page.html");
        Html(format!("{page}{scripts}{element}"))
    }

    #[post("report")]
    fn report(&self, #[body] seen: String) {
        self.journal.note(seen);
    }

    #[sse("feed/finite")]
    fn finite(&self) -> impl Stream<Item = SseEvent> {
        let library = Arc::clone(&self.library);
        stream! {
            for text in ["one", "two", "three"] {
                yield library.fragment(text);
            }
        }
    }

    #[sse("feed/live")]
    async fn live(&self, stream: SseStream) -> Result<SseStream, SseError> {
        stream.join("news").await?;
        self.journal.note("joined");
        Ok(stream)
    }
}

#[server(controllers = [Pages], sse(enabled = true, retry = "500ms"))]
struct App;

async fn start(library: Library, requests: &Journal) -> TestServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    start_on(listener, library, requests).await
}

async fn start_on(listener: TcpListener, library: Library, requests: &Journal) -> TestServer {
    let folder = kit::HYPERMEDIA.ready().await;
    let noted = requests.clone();
    let count = tower::util::MapRequestLayer::new(move |request: http::Request<_>| {
        noted.note(format!("request {}", request.uri().path()));
        request
    });
    let app = Helios::new(App)
        .provide(requests.clone())
        .provide(library)
        .mount("/kit", ServeDir::new(folder.join("node_modules")))
        .layer(count);
    TestServer::start_on(app, listener)
}

async fn seen(journal: &Journal, what: &str) {
    let waited = timeout(PATIENCE, journal.wait_for(what)).await;
    assert!(waited.is_ok(), "{what:?}: {:?}", journal.notes());
}

pub(crate) async fn asks_for_a_finished_stream_no_more(
    library: Library,
    browser: fn(&str) -> Browser,
) {
    let journal = Journal::default();
    let (name, asks) = (library.name, library.asks);
    let server = start(library, &journal).await;
    let _browser = browser(&format!("http://{}/page/finite", server.addr));
    seen(&journal, "settled one two three").await;
    assert_eq!(journal.count("request /feed/finite"), asks, "{name}");
}

pub(crate) async fn misses_nothing_where_a_connection_breaks(
    library: Library,
    browser: fn(&str) -> Browser,
) {
    let journal = Journal::default();
    let texts = ["one", "two", "three"].map(|text| library.fragment(text));
    let [one, two, three] = texts;
    let server = start(library, &journal).await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = port.local_addr().unwrap();
    let wire = tokio::spawn(network(port, server.addr));
    let _browser = browser(&format!("http://{door}/page/live"));
    seen(&journal, "joined").await;
    server.wait_for_connections(1).await;
    server.sse.publish("news", one).await.unwrap();
    seen(&journal, "shows one").await;
    cut(wire).await;
    server.sse.publish("news", two).await.unwrap();
    let port = TcpListener::bind(door).await.unwrap();
    let _wire = tokio::spawn(network(port, server.addr));
    seen(&journal, "shows one two").await;
    server.sse.publish("news", three).await.unwrap();
    seen(&journal, "settled one two three").await;
}

pub(crate) async fn asks_again_and_again(library: Library, browser: fn(&str) -> Browser) {
    let journal = Journal::default();
    let server = start(library, &journal).await;
    let _browser = browser(&format!("http://{}/page/finite", server.addr));
    let asked = async {
        while journal.count("request /feed/finite") < 4 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap();
}

pub(crate) async fn comes_back_after_a_restart(library: Library, browser: fn(&str) -> Browser) {
    let journal = Journal::default();
    let [one, two] = ["one", "two"].map(|text| library.fragment(text));
    let again = Library { ..library };
    let server = start(library, &journal).await;
    let addr = server.addr;
    let _browser = browser(&format!("http://{addr}/page/live"));
    server.wait_for_connections(1).await;
    server.sse.publish("news", one).await.unwrap();
    seen(&journal, "shows one").await;
    server.stop().await.unwrap();
    let listener = TcpListener::bind(addr).await.unwrap();
    let server = start_on(listener, again, &journal).await;
    server.wait_for_connections(1).await;
    server.sse.publish("news", two).await.unwrap();
    seen(&journal, "settled one two").await;
}

/// Shows the page of `examples/htmx.rs`, with scripts from the kit that have the same hashes.
pub(crate) async fn the_example_shows_changes_in_every_tab(browser: fn(&str) -> Browser) {
    let journal = Journal::default();
    let page = include_str!("../../examples/htmx.html")
        .replace(
            "https://cdn.jsdelivr.net/npm/htmx.org@2.0.11/",
            "/kit/htmx-2/",
        )
        .replace(
            "https://cdn.jsdelivr.net/npm/htmx-ext-sse@2.2.4/",
            "/kit/htmx-ext-sse/",
        );
    let tab = format!(
        "{page}<script>{}</script>",
        include_str!("hypermedia/tab.js")
    );
    let (reported, folder) = (journal.clone(), kit::HYPERMEDIA.ready().await);
    let tabs = axum::Router::new()
        .route(
            "/",
            axum::routing::get(async move || axum::response::Html(tab)),
        )
        .route(
            "/report",
            axum::routing::post(async move |text: String| reported.note(text)),
        );
    let app = Helios::new(htmx::App)
        .mount("/tab", tabs)
        .mount("/kit", ServeDir::new(folder.join("node_modules")));
    let server = TestServer::start(app).await;
    let url = format!("http://{}/tab#", server.addr);
    let _reader = browser(&format!("{url}reads"));
    server.wait_for_connections(1).await;
    let _writer = browser(&format!("{url}writes"));
    seen(&journal, "reads [ ] <b>tea</b>").await;
    seen(&journal, "reads [x] <b>tea</b>").await;
    seen(&journal, "reads nothing").await;
}
