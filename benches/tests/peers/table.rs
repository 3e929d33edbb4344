//! The frameworks, and what each of them does by itself, with its own event type and server, and without options.

use std::net::TcpListener;

use super::server::{Serve, Server, Stop};
use super::site::Site;
use super::{actix, axum, helios, nest, poem, salvo};

pub(crate) struct Framework {
    name: &'static str,
    servers: &'static [Start],
    pub(crate) newline: Outcome,
    pub(crate) crlf: Outcome,
    pub(crate) cr: Outcome,
    pub(crate) silence: Outcome,
    pub(crate) leaving: Outcome,
    pub(crate) coming_back: Outcome,
    pub(crate) finished: Outcome,
    pub(crate) head: Outcome,
    pub(crate) shutdown: Outcome,
}

enum Start {
    Here(fn(TcpListener, Site, Stop) -> Serve),
    /// NestJS with this adapter.
    Node(&'static str),
}

impl Start {
    async fn start(&self) -> Option<Server> {
        match self {
            Self::Here(serve) => Some(Server::here(*serve)),
            Self::Node(adapter) => nest::start(adapter).await,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It has no type for events, so the app writes the bytes itself.
    ByHand,
    Refuses,
    Panics,
    Injects,
    Removes,
    Keeps,
    AddsALine,
    KeepsAlive,
    SaysNothing,
    Notices,
    NeverNotices,
    BringsBack,
    Loses,
    StaysOver,
    BeginsAnew,
    OnlyAnswers,
    NotFound,
    NotAllowed,
    RunsTheHandler,
    RunsTheStream,
    EndsStreams,
    Waits,
    WaitsOn,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::ByHand => "the app's own",
            Self::Refuses => "an error where it is sent",
            Self::Panics => "a panic",
            Self::Injects => "**injects a field**",
            Self::Removes => "removed",
            Self::Keeps => "one line end",
            Self::AddsALine => "two line ends",
            Self::KeepsAlive => "a comment keeps it alive",
            Self::SaysNothing => "nothing is sent",
            Self::Notices => "its stream is dropped",
            Self::NeverNotices => "not noticed",
            Self::BringsBack => "arrives later",
            Self::Loses => "lost",
            Self::StaysOver => "a 204 ends it",
            Self::BeginsAnew => "gets everything again",
            Self::OnlyAnswers => "an answer without running it",
            Self::NotFound => "a 404",
            Self::NotAllowed => "a 405",
            Self::RunsTheHandler => "runs the handler",
            Self::RunsTheStream => "runs the stream and leaves it open",
            Self::EndsStreams => "ends, with a time to reconnect",
            Self::Waits => "waits for the client to leave",
            Self::WaitsOn => "waits even after it has left",
        }
    }
}

/// An action on a server, and its outcome.
type Row = (&'static str, fn(&Framework) -> Outcome);

const ROWS: [Row; 9] = [
    ("a newline in an event's name or id", |peer| peer.newline),
    ("`\\r\\n` in data", |peer| peer.crlf),
    ("`\\r` in data", |peer| peer.cr),
    ("a stream silent for a minute", |peer| peer.silence),
    ("a client leaves while its stream is silent", |peer| {
        peer.leaving
    }),
    ("an event published while a client is away", |peer| {
        peer.coming_back
    }),
    ("a client returns to a finished stream", |peer| {
        peer.finished
    }),
    ("`HEAD` on the route of a stream", |peer| peer.head),
    ("a graceful shutdown with a stream open", |peer| {
        peer.shutdown
    }),
];

const ALL: [Framework; 6] = [
    Framework {
        name: "Helios",
        servers: &[Start::Here(helios::serve)],
        newline: Outcome::Refuses,
        crlf: Outcome::Keeps,
        cr: Outcome::Keeps,
        silence: Outcome::KeepsAlive,
        leaving: Outcome::Notices,
        coming_back: Outcome::BringsBack,
        finished: Outcome::StaysOver,
        head: Outcome::OnlyAnswers,
        shutdown: Outcome::EndsStreams,
    },
    Framework {
        name: "axum",
        servers: &[Start::Here(axum::serve)],
        newline: Outcome::Panics,
        crlf: Outcome::AddsALine,
        cr: Outcome::Keeps,
        silence: Outcome::SaysNothing,
        leaving: Outcome::Notices,
        coming_back: Outcome::Loses,
        finished: Outcome::BeginsAnew,
        head: Outcome::RunsTheHandler,
        shutdown: Outcome::Waits,
    },
    Framework {
        name: "actix-web",
        servers: &[Start::Here(actix::serve)],
        newline: Outcome::ByHand,
        crlf: Outcome::ByHand,
        cr: Outcome::ByHand,
        silence: Outcome::ByHand,
        leaving: Outcome::NeverNotices,
        coming_back: Outcome::Loses,
        finished: Outcome::BeginsAnew,
        head: Outcome::NotFound,
        shutdown: Outcome::WaitsOn,
    },
    Framework {
        name: "poem",
        servers: &[Start::Here(poem::serve)],
        newline: Outcome::Injects,
        crlf: Outcome::Keeps,
        cr: Outcome::Injects,
        silence: Outcome::SaysNothing,
        leaving: Outcome::NeverNotices,
        coming_back: Outcome::Loses,
        finished: Outcome::BeginsAnew,
        head: Outcome::RunsTheHandler,
        shutdown: Outcome::Waits,
    },
    Framework {
        name: "salvo",
        servers: &[Start::Here(salvo::serve)],
        newline: Outcome::Panics,
        crlf: Outcome::Keeps,
        cr: Outcome::Keeps,
        silence: Outcome::SaysNothing,
        leaving: Outcome::Notices,
        coming_back: Outcome::Loses,
        finished: Outcome::BeginsAnew,
        head: Outcome::NotAllowed,
        shutdown: Outcome::Waits,
    },
    Framework {
        name: "NestJS",
        servers: &[Start::Node("express"), Start::Node("fastify")],
        newline: Outcome::Removes,
        crlf: Outcome::Keeps,
        cr: Outcome::Keeps,
        silence: Outcome::SaysNothing,
        leaving: Outcome::Notices,
        coming_back: Outcome::Loses,
        finished: Outcome::BeginsAnew,
        head: Outcome::RunsTheHandler,
        shutdown: Outcome::Waits,
    },
];

/// Checks each framework against its expected outcome.
pub(crate) async fn each(
    expected: fn(&Framework) -> Outcome,
    see: impl AsyncFn(Server, Outcome) -> Outcome,
) {
    let mut wrong = Vec::new();
    for peer in &ALL {
        let expected = expected(peer);
        if expected == Outcome::ByHand {
            continue;
        }
        for server in peer.servers {
            let Some(server) = server.start().await else {
                continue;
            };
            let seen = see(server, expected).await;
            if seen != expected {
                wrong.push(format!("{} {seen:?}, not {expected:?}", peer.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns the table as the README shows it.
pub(crate) fn markdown() -> String {
    let row = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let names = ALL.iter().map(|peer| peer.name);
    let mut table = row([""].into_iter().chain(names).collect());
    table += &row(vec!["---"; ALL.len() + 1]);
    for (title, outcome) in ROWS {
        let cells = ALL.iter().map(|peer| outcome(peer).text());
        table += &row([title].into_iter().chain(cells).collect());
    }
    table
}
