//! The clients and their peculiarities.

use std::net::SocketAddr;

use super::kit::{self, Kit};
use super::pages::Frameset;
use super::seen::Seen;

/// A client, and its peculiarities.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) start: Start,
    /// Whether it reconnects, by itself or in the loop that it needs.
    pub(crate) reconnects: bool,
    /// Whether a 204 makes it stop. Otherwise it reconnects again and again.
    pub(crate) stops_at_204: bool,
    /// Whether it understands `helios:end`, and does not wait for the 204.
    pub(crate) stops_at_end: bool,
    pub(crate) retry: Retry,
    /// Whether it reconnects to a server that refuses connections. Otherwise it stops.
    pub(crate) survives_refusal: bool,
    /// Whether it takes over an event's id before it has the whole event. If it is cut in between, it misses that
    /// event.
    pub(crate) loses_half_events: bool,
    /// Whether an event without an id makes it forget the id of the connection before, until one with an id arrives.
    pub(crate) forgets_at_a_greeting: bool,
    /// Whether it may drop events that arrive at the moment of a break. It has not taken over their ids, so they come
    /// again.
    pub(crate) may_drop_at_a_break: bool,
}

pub(crate) enum Start {
    /// A command in the folder of a kit. Its argument is the URL.
    Program(&'static Kit, &'static [&'static str]),
    /// A page in a browser, either the server's own or one of another origin that sends its cookie. It uses a module
    /// that it imports from a kit, or else its `EventSource`.
    Page {
        elsewhere: bool,
        kit: Option<&'static Kit>,
    },
}

/// How long a client waits after a `retry`.
pub(crate) enum Retry {
    Exact,
    HalfAtLeast,
}

/// The behaviour of a browser's EventSource, with which the others are compared.
const EVENT_SOURCE: Client = Client {
    name: "",
    start: Start::Page {
        elsewhere: false,
        kit: None,
    },
    reconnects: true,
    stops_at_204: true,
    stops_at_end: false,
    retry: Retry::Exact,
    survives_refusal: true,
    loses_half_events: false,
    forgets_at_a_greeting: false,
    may_drop_at_a_break: false,
};

pub(crate) const CHROMIUM: Client = Client {
    name: "EventSource in Chromium",
    ..EVENT_SOURCE
};

pub(crate) const CHROMIUM_ELSEWHERE: Client = Client {
    name: "EventSource in Chromium, from another origin, with a cookie",
    start: Start::Page {
        elsewhere: true,
        kit: None,
    },
    ..EVENT_SOURCE
};

pub(crate) const FIREFOX: Client = Client {
    name: "EventSource in Firefox",
    ..EVENT_SOURCE
};

pub(crate) const FIREFOX_ELSEWHERE: Client = Client {
    name: "EventSource in Firefox, from another origin, with a cookie",
    start: Start::Page {
        elsewhere: true,
        kit: None,
    },
    survives_refusal: false,
    ..EVENT_SOURCE
};

pub(crate) const TYPESCRIPT: Client = Client {
    name: "TypeScript client of Helios, in Node",
    start: Start::Program(&kit::TYPESCRIPT, &["node", "test/print.js"]),
    stops_at_end: true,
    ..EVENT_SOURCE
};

pub(crate) const TYPESCRIPT_CHROMIUM: Client = Client {
    name: "TypeScript client of Helios, in Chromium",
    start: Start::Page {
        elsewhere: false,
        kit: Some(&kit::TYPESCRIPT),
    },
    may_drop_at_a_break: true,
    ..TYPESCRIPT
};

pub(crate) const TYPESCRIPT_CHROMIUM_ELSEWHERE: Client = Client {
    name: "TypeScript client of Helios, in Chromium, from another origin, with a cookie",
    start: Start::Page {
        elsewhere: true,
        kit: Some(&kit::TYPESCRIPT),
    },
    ..TYPESCRIPT_CHROMIUM
};

pub(crate) const TYPESCRIPT_FIREFOX: Client = Client {
    name: "TypeScript client of Helios, in Firefox",
    ..TYPESCRIPT_CHROMIUM
};

pub(crate) const TYPESCRIPT_FIREFOX_ELSEWHERE: Client = Client {
    name: "TypeScript client of Helios, in Firefox, from another origin, with a cookie",
    ..TYPESCRIPT_CHROMIUM_ELSEWHERE
};

pub(crate) const NPM_EVENTSOURCE: Client = Client {
    name: "npm eventsource",
    start: Start::Program(&kit::NODE, &["node", "eventsource.mjs"]),
    ..EVENT_SOURCE
};

pub(crate) const FETCH_EVENT_SOURCE: Client = Client {
    name: "npm @microsoft/fetch-event-source",
    start: Start::Program(&kit::NODE, &["node", "fetch-event-source.mjs"]),
    loses_half_events: true,
    ..EVENT_SOURCE
};

pub(crate) const HTTPX_SSE: Client = Client {
    name: "Python httpx-sse",
    start: Start::Program(&kit::PYTHON, &["./bin/python", "with_httpx_sse.py"]),
    reconnects: false,
    ..EVENT_SOURCE
};

pub(crate) const SSECLIENT: Client = Client {
    name: "Python sseclient-py",
    start: Start::Program(&kit::PYTHON, &["./bin/python", "with_sseclient.py"]),
    reconnects: false,
    ..EVENT_SOURCE
};

pub(crate) const EVENTSOURCE_CLIENT: Client = Client {
    name: "Rust eventsource-client",
    start: Start::Program(
        &kit::RUST,
        &["./debug/helios-tried-clients", "eventsource-client"],
    ),
    stops_at_204: false,
    retry: Retry::HalfAtLeast,
    forgets_at_a_greeting: true,
    ..EVENT_SOURCE
};

pub(crate) const REQWEST_EVENTSOURCE: Client = Client {
    name: "Rust reqwest-eventsource",
    start: Start::Program(
        &kit::RUST,
        &["./debug/helios-tried-clients", "reqwest-eventsource"],
    ),
    forgets_at_a_greeting: true,
    ..EVENT_SOURCE
};

pub(crate) const CURL: Client = Client {
    name: "curl",
    start: Start::Program(&kit::CURL, &["bash", "curl.sh"]),
    reconnects: false,
    ..EVENT_SOURCE
};

pub(crate) const ALL: [&Client; 16] = [
    &TYPESCRIPT,
    &TYPESCRIPT_CHROMIUM,
    &TYPESCRIPT_CHROMIUM_ELSEWHERE,
    &TYPESCRIPT_FIREFOX,
    &TYPESCRIPT_FIREFOX_ELSEWHERE,
    &CHROMIUM,
    &CHROMIUM_ELSEWHERE,
    &FIREFOX,
    &FIREFOX_ELSEWHERE,
    &NPM_EVENTSOURCE,
    &FETCH_EVENT_SOURCE,
    &HTTPX_SSE,
    &SSECLIENT,
    &EVENTSOURCE_CLIENT,
    &REQWEST_EVENTSOURCE,
    &CURL,
];

impl Client {
    /// Returns the beginning of its row in the guide.
    pub(crate) fn row(&self) -> String {
        let columns = [
            self.name,
            if self.reconnects { "yes" } else { "no" },
            match (self.loses_half_events, self.forgets_at_a_greeting) {
                (true, _) => "but for half an event",
                (_, true) => "but for a first event without an id",
                _ => "yes",
            },
            if self.stops_at_204 { "yes" } else { "no" },
            match self.retry {
                Retry::Exact => "yes",
                Retry::HalfAtLeast => "half of it at least",
            },
            if self.survives_refusal { "yes" } else { "no" },
        ];
        format!("| {} |", columns.join(" | "))
    }

    pub(crate) async fn open(
        &self,
        browser: Option<&Frameset>,
        door: SocketAddr,
        path: &str,
    ) -> Seen {
        match (&self.start, browser) {
            (Start::Program(kit, command), _) => {
                let mut program = kit::program(command, &kit.ready().await);
                program.arg(format!("http://{door}{path}"));
                Seen::by(program)
            }
            (Start::Page { elsewhere, kit }, Some(browser)) => {
                if let Some(kit) = kit {
                    kit.ready().await;
                }
                browser.open(door, path, *elsewhere, kit.is_some()).await
            }
            (Start::Page { .. }, None) => panic!("{} has no browser", self.name),
        }
    }
}
