//! The scenarios: how the subjects are measured, and the goals for Helios.

use std::time::Duration;

use tokio::runtime;
use tokio::time::sleep;

use crate::candidate::Candidate;
use crate::child::Running;
use crate::compile;
use crate::events;
use crate::load::Load;
use Bound::{AtLeast, AtMost};
use helios_benches::Error;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// A sentence that says what is measured.
    pub(crate) title: &'static str,
    pub(crate) subjects: &'static [&'static str],
    /// The most rounds. Figures that hardly change need only a few.
    pub(crate) rounds: usize,
    pub(crate) metric: Metric,
    pub(crate) kind: Kind,
    pub(crate) goals: &'static [Goal],
}

/// The kind of figure, which decides whether more or less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Work in a time. More is better.
    Rate,
    /// Time, or another cost of a piece of work. Less is better.
    Cost,
    /// The memory of a server. Less is better.
    Memory,
}

/// How a subject is measured.
pub(crate) enum Kind {
    /// Several figures, of which the first `drawn` are drawn as bars.
    Figures {
        names: &'static [&'static str],
        drawn: usize,
        measure: fn(Candidate<'_>) -> Result<Vec<f64>, Error>,
    },
    /// One figure at each point of an axis, drawn as a line.
    Growth {
        axis: &'static str,
        points: &'static [u32],
        measure: fn(Candidate<'_>, &[u32]) -> Result<Vec<f64>, Error>,
    },
}

impl Kind {
    /// Returns the names of the figures.
    pub(crate) fn figures(&self) -> Vec<String> {
        match self {
            Self::Figures { names, .. } => names.iter().map(ToString::to_string).collect(),
            Self::Growth { points, .. } => points.iter().map(ToString::to_string).collect(),
        }
    }

    /// Returns the names of the figures by which builds are compared, which are the first ones.
    pub(crate) fn decisive(&self) -> Vec<String> {
        match self {
            Self::Figures { names, .. } => names[..1].iter().map(ToString::to_string).collect(),
            Self::Growth { points, axis, .. } => {
                let name = |point| format!("CPU us per event, {point} {axis}");
                points.iter().map(name).collect()
            }
        }
    }

    /// Measures the figures of one subject.
    pub(crate) fn measure(&self, candidate: Candidate<'_>) -> Result<Vec<f64>, Error> {
        match self {
            Self::Figures { measure, .. } => measure(candidate),
            Self::Growth {
                measure, points, ..
            } => measure(candidate, points),
        }
    }
}

/// A goal for the median of a subject's figure, or of its ratio to another subject's in the same round.
pub(crate) struct Goal {
    pub(crate) subject: &'static str,
    pub(crate) to: Option<&'static str>,
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
}

pub(crate) enum Figure {
    /// The figure in this place.
    At(usize),
    /// One figure as a multiple of another.
    Times { of: usize, to: usize },
}

pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Returns a goal for the first figure.
const fn figure(subject: &'static str, bound: Bound) -> Goal {
    Goal {
        subject,
        to: None,
        figure: Figure::At(0),
        bound,
    }
}

/// Returns a goal for the ratio of the first figures.
const fn ratio(subject: &'static str, to: &'static str, bound: Bound) -> Goal {
    Goal {
        to: Some(to),
        ..figure(subject, bound)
    }
}

const SERVERS: &[&str] = &[
    "bare-sse",
    "hyper-sse",
    "helios-sse",
    "axum-sse",
    "actix-sse",
    "salvo-sse",
    "nchan-sse",
    "nest-fastify-sse",
    "nest-express-sse",
];
const GROWING: &[&str] = &["bare-sse", "helios-sse", "axum-sse"];

const ANY: usize = usize::MAX;
const FEW: usize = 3;

const ONE_EVENT: &[Goal] = &[
    ratio("helios-sse", "bare-sse", AtLeast(0.75)),
    ratio("helios-sse", "axum-sse", AtLeast(1.3)),
];
const SIXTEEN_EVENTS: &[Goal] = &[
    ratio("helios-sse", "bare-sse", AtLeast(0.75)),
    ratio("helios-sse", "axum-sse", AtLeast(2.3)),
];

const BUILD: Goal = ratio("helios-app", "axum-app", AtMost(1.3));

const fn figures(
    names: &'static [&'static str],
    drawn: usize,
    measure: fn(Candidate<'_>) -> Result<Vec<f64>, Error>,
) -> Kind {
    Kind::Figures {
        names,
        drawn,
        measure,
    }
}

const fn rates(measure: fn(Candidate<'_>) -> Result<Vec<f64>, Error>) -> Kind {
    const RATES: &[&str] = &["events per CPU-second", "events per second"];
    figures(RATES, 1, measure)
}

const fn growth(
    axis: &'static str,
    points: &'static [u32],
    measure: fn(Candidate<'_>, &[u32]) -> Result<Vec<f64>, Error>,
) -> Kind {
    Kind::Growth {
        axis,
        points,
        measure,
    }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fan-out-1000-1",
        title: "1,000 subscribers of one topic get 1 event a round",
        subjects: SERVERS,
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 1_000, 1)),
        goals: ONE_EVENT,
    },
    Scenario {
        name: "fan-out-1000-16",
        title: "1,000 subscribers of one topic get 16 events a round",
        subjects: SERVERS,
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 1_000, 16)),
        goals: SIXTEEN_EVENTS,
    },
    Scenario {
        name: "fan-out-5000-1",
        title: "5,000 subscribers of one topic get 1 event a round",
        subjects: SERVERS,
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 5_000, 1)),
        goals: ONE_EVENT,
    },
    Scenario {
        name: "fan-out-5000-16",
        title: "5,000 subscribers of one topic get 16 events a round",
        subjects: SERVERS,
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 5_000, 16)),
        goals: SIXTEEN_EVENTS,
    },
    Scenario {
        name: "latency",
        title: "From publish to receipt, with 1,000 subscribers of one topic and 20 events a second",
        subjects: SERVERS,
        rounds: ANY,
        metric: Metric::Cost,
        kind: figures(&["p99 ms", "p50 ms", "p99.9 ms"], 3, |candidate| {
            events::latency(candidate, 1_000)
        }),
        goals: &[ratio("helios-sse", "axum-sse", AtMost(0.8))],
    },
    Scenario {
        name: "flat-out",
        title: "One stream of a generator that never waits",
        subjects: &["helios-sse", "axum-sse"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["events per CPU-second"], 0, events::flat_out),
        goals: &[ratio("helios-sse", "axum-sse", AtLeast(4.0))],
    },
    Scenario {
        name: "idle",
        title: "Resident memory of 10,000 connections that wait for an event",
        subjects: SERVERS,
        rounds: FEW,
        metric: Metric::Memory,
        kind: figures(&["KiB per connection"], 1, |candidate| {
            events::idle(candidate, 10_000)
        }),
        goals: &[
            figure("helios-sse", AtMost(11.0)),
            ratio("helios-sse", "axum-sse", AtMost(0.6)),
        ],
    },
    Scenario {
        name: "allocations",
        title: "Allocations of the server, publisher and all, for each event that one of 1,000 subscribers gets",
        subjects: &["helios", "axum"],
        rounds: FEW,
        metric: Metric::Cost,
        kind: figures(&["allocations per event"], 0, events::allocations),
        goals: &[figure("helios", AtMost(0.01))],
    },
    Scenario {
        name: "set-up",
        title: "A connection comes, gets its first bytes, and goes",
        subjects: SERVERS,
        rounds: ANY,
        metric: Metric::Cost,
        kind: figures(&["CPU us per connection"], 1, events::set_up),
        goals: &[ratio("helios-sse", "axum-sse", AtMost(1.1))],
    },
    Scenario {
        name: "hello",
        title: "`GET /hello/{id}`, answered with JSON, over 32 connections",
        subjects: &["helios", "axum", "hyper"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["requests per CPU-second"], 0, requests_per_cpu_second),
        goals: &[ratio("helios", "axum", AtLeast(1.0))],
    },
    Scenario {
        name: "topics",
        title: "One topic of 10 subscribers gets 1 event a round, beside 10 or 10,000 other topics",
        subjects: &["helios-sse-10-topics", "helios-sse-10000-topics"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 10, 1)),
        goals: &[ratio(
            "helios-sse-10-topics",
            "helios-sse-10000-topics",
            AtMost(1.2),
        )],
    },
    Scenario {
        name: "resume",
        title: "5,000 clients come back at once and resume, having missed 256 events each",
        subjects: &["bare-sse", "helios-sse"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["clients per CPU-second"], 0, |candidate| {
            events::resume(candidate, 5_000, 256)
        }),
        goals: &[ratio("helios-sse", "bare-sse", AtLeast(0.5))],
    },
    Scenario {
        name: "by-subscribers",
        title: "The server's CPU us for each event received, with so many subscribers of one topic",
        subjects: GROWING,
        rounds: ANY,
        metric: Metric::Cost,
        kind: growth(
            "subscribers",
            &[100, 1_000, 5_000, 10_000, 19_000],
            events::by_subscribers,
        ),
        goals: &[Goal {
            figure: Figure::Times { of: 4, to: 1 },
            ..ratio("helios-sse", "bare-sse", AtMost(1.15))
        }],
    },
    Scenario {
        name: "by-topics",
        title: "The server's CPU us for each event received, with 10,000 subscribers of so many topics in all",
        subjects: GROWING,
        rounds: FEW,
        metric: Metric::Cost,
        kind: growth("topics", &[1, 100, 10_000], events::by_topics),
        goals: &[],
    },
    Scenario {
        name: "by-size",
        title: "The server's CPU us for each event received, with so many bytes of data and 100 subscribers",
        subjects: GROWING,
        rounds: FEW,
        metric: Metric::Cost,
        kind: growth("bytes", &[50, 512, 4_096, 16_384, 65_536], events::by_size),
        goals: &[],
    },
    Scenario {
        name: "by-rate",
        title: "The server's CPU us for each event received, with so many events a second and 100 subscribers",
        subjects: GROWING,
        rounds: FEW,
        metric: Metric::Cost,
        kind: growth(
            "events published a second",
            &[10, 100, 1_000, 5_000],
            events::by_rate,
        ),
        goals: &[],
    },
    Scenario {
        name: "runtimes",
        title: "1,000 subscribers of one topic get 16 events a round, from either runtime on both cores (one of which the load uses too)",
        subjects: &["helios-sse-current-thread", "helios-sse-2-workers"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 1_000, 16)),
        goals: &[],
    },
    Scenario {
        name: "routing",
        title: "A request in process, among 10 or 1,000 routes, answered by the router (OPTIONS) or by a handler (GET)",
        subjects: &["options-10", "options-1000", "get-10", "get-1000"],
        rounds: ANY,
        metric: Metric::Cost,
        kind: figures(&["CPU ns"], 0, said),
        goals: &[
            ratio("options-1000", "options-10", AtMost(1.5)),
            ratio("get-1000", "get-10", AtMost(1.5)),
        ],
    },
    Scenario {
        name: "publish",
        title: "Events of 256 bytes published in process, to the hub alone, or through a backplane in memory and back",
        subjects: &["publish", "publish-backplane"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["events per CPU-second"], 0, said),
        goals: &[figure("publish-backplane", AtLeast(500_000.0))],
    },
    Scenario {
        name: "log-publish",
        title: "Events of 256 bytes, 64 in flight: through the log, to the store under it with an answer to each publisher, in groups of 64 without publishers, and to a file one by one",
        subjects: &["log", "store-answering", "store", "file"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["events per second", "events per CPU-second"], 0, said),
        goals: &[
            figure("log", AtLeast(100_000.0)),
            ratio("log", "store-answering", AtLeast(0.6)),
        ],
    },
    Scenario {
        name: "log-always",
        title: "The same, synced to the disk: what is in flight together in the first two, groups of 64 in the others",
        subjects: &[
            "log-synced",
            "store-answering-synced",
            "store-synced",
            "file-synced",
        ],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["events per second", "events per CPU-second"], 0, said),
        goals: &[ratio("log-synced", "store-answering-synced", AtLeast(0.6))],
    },
    Scenario {
        name: "log-lone",
        title: "One event of 256 bytes every 2 ms, for 4 s: until it is published, and would survive the process",
        subjects: &["log-lone", "store-lone", "file-lone"],
        rounds: ANY,
        metric: Metric::Cost,
        kind: figures(&["p99 ms", "p50 ms", "longest ms"], 0, said),
        goals: &[figure("log-lone", AtMost(1.0))],
    },
    Scenario {
        name: "log-open",
        title: "Opening a log of 1,000,000 events, and the store with as many rows: the longer one of the two, when it was closed, and when its process was killed",
        subjects: &["log-opened", "store-opened"],
        rounds: FEW,
        metric: Metric::Cost,
        kind: figures(&["ms", "ms, closed", "ms, killed"], 0, said),
        goals: &[figure("log-opened", AtMost(2_000.0))],
    },
    Scenario {
        name: "log-fan-out",
        title: "1,000 subscribers of one topic get 1 event a round, from a hub with a log and from one without",
        subjects: &["helios-sse-log", "helios-sse"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 1_000, 1)),
        goals: &[ratio("helios-sse-log", "helios-sse", AtLeast(0.97))],
    },
    Scenario {
        name: "redis-publish",
        title: "Events of 256 bytes, 64 in flight: through the backplane, without and with readers, and by a client that calls its script for each, pipelined",
        subjects: &["redis", "redis-read", "redis-raw"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["events per second", "events per CPU-second"], 0, said),
        goals: &[
            figure("redis", AtLeast(35_000.0)),
            ratio("redis", "redis-raw", AtLeast(1.0)),
        ],
    },
    Scenario {
        name: "redis-groups",
        title: "The same, in groups of 64 that are published together, 4 of them in flight",
        subjects: &["redis-groups", "redis-groups-read", "redis-raw-groups"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: figures(&["events per second", "events per CPU-second"], 0, said),
        goals: &[
            figure("redis-groups", AtLeast(60_000.0)),
            ratio("redis-groups", "redis-raw-groups", AtLeast(0.8)),
        ],
    },
    Scenario {
        name: "redis-lone",
        title: "One event of 256 bytes every 2 ms, for 4 s: until it is published",
        subjects: &["redis-lone", "redis-raw-lone"],
        rounds: ANY,
        metric: Metric::Cost,
        kind: figures(&["p99 ms", "p50 ms", "longest ms"], 0, said),
        goals: &[
            Goal {
                figure: Figure::At(1),
                ..figure("redis-lone", AtMost(0.25))
            },
            Goal {
                figure: Figure::At(1),
                ..ratio("redis-lone", "redis-raw-lone", AtMost(1.5))
            },
        ],
    },
    Scenario {
        name: "redis-resume",
        title: "10,000 clients of 10 topics each, of 1,000 in all, come back at once at another server, having missed 20 events each; and at the only one",
        subjects: &["redis-resumed", "resumed"],
        rounds: FEW,
        metric: Metric::Cost,
        kind: figures(&["seconds", "resets"], 0, said),
        goals: &[
            figure("redis-resumed", AtMost(5.0)),
            Goal {
                figure: Figure::At(1),
                ..figure("redis-resumed", AtMost(0.0))
            },
        ],
    },
    Scenario {
        name: "redis-fan-out",
        title: "1,000 subscribers of one topic get 1 event a round, from a hub behind Redis and from one by itself",
        subjects: &["helios-sse-redis", "helios-sse"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::fan_out(candidate, 1_000, 1)),
        goals: &[ratio("helios-sse-redis", "helios-sse", AtLeast(0.97))],
    },
    Scenario {
        name: "redis-nodes",
        title: "1,000 subscribers at each of three servers get 1 event a round: from one that publishes to all behind Redis, and from each by itself",
        subjects: &["helios-sse-redis", "helios-sse"],
        rounds: ANY,
        metric: Metric::Rate,
        kind: rates(|candidate| events::three_nodes(candidate, 1_000)),
        goals: &[
            ratio("helios-sse-redis", "helios-sse", AtLeast(0.9)),
            Goal {
                figure: Figure::At(1),
                ..ratio("helios-sse-redis", "helios-sse", AtLeast(0.9))
            },
        ],
    },
    Scenario {
        name: "startup",
        title: "From `Helios::new` to the first accept, with 1,000 routes",
        subjects: &["helios-1000-routes"],
        rounds: ANY,
        metric: Metric::Cost,
        kind: figures(&["ms"], 0, startup_ms),
        goals: &[figure("helios-1000-routes", AtMost(50.0))],
    },
    Scenario {
        name: "build",
        title: "An app of 50 controllers with 4 routes each: processor time of a debug build when only dependencies are there, of each controller beyond the tenth, and when one handler has changed; the size of a stripped release build, and of each controller beyond the tenth",
        subjects: &["helios-app", "axum-app"],
        rounds: FEW,
        metric: Metric::Cost,
        kind: figures(
            &[
                "CPU s",
                "CPU s per controller",
                "CPU s after a change",
                "MiB",
                "KiB per controller",
            ],
            0,
            |candidate| compile::cost(candidate.subject),
        ),
        goals: &[
            BUILD,
            Goal {
                figure: Figure::At(1),
                ..BUILD
            },
            Goal {
                figure: Figure::At(2),
                ..BUILD
            },
            Goal {
                figure: Figure::At(4),
                ..BUILD
            },
        ],
    },
    Scenario {
        name: "openapi",
        title: "An app of 200 routes and 40 types with an OpenAPI document: the time and the processor time that the feature adds to a debug build when only dependencies are there, the processor time of the build with it and without; the time in which a release build makes the document, once, in a new process",
        subjects: &["described-app"],
        rounds: ANY,
        metric: Metric::Cost,
        kind: figures(
            &[
                "s more",
                "CPU s more",
                "CPU s with it",
                "CPU s without",
                "ms",
            ],
            0,
            |candidate| compile::cost_of_document(candidate.subject),
        ),
        goals: &[
            figure("described-app", AtMost(1.0)),
            Goal {
                figure: Figure::At(4),
                ..figure("described-app", AtMost(5.0))
            },
        ],
    },
];

fn requests_per_cpu_second(candidate: Candidate<'_>) -> Result<Vec<f64>, Error> {
    const CONNECTIONS: usize = 32;
    const WARM_UP: Duration = Duration::from_millis(500);
    const WINDOW: Duration = Duration::from_secs(2);
    let server = Running::start(candidate)?;
    let (address, _) = ready(&server)?;
    let client = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    client.block_on(async {
        let mut load = Load::start(address.parse()?, "/hello/17", CONNECTIONS);
        sleep(WARM_UP).await;
        let (answered, cpu) = (load.answered()?, server.cpu()?);
        sleep(WINDOW).await;
        let answered = load.answered()? - answered;
        let cpu = server.cpu()? - cpu;
        Ok(vec![answered as f64 / cpu.as_secs_f64()])
    })
}

fn startup_ms(candidate: Candidate<'_>) -> Result<Vec<f64>, Error> {
    let server = Running::start(candidate)?;
    let (_, micros) = ready(&server)?;
    Ok(vec![micros.parse::<f64>()? / 1000.0])
}

/// Returns the figures that the subject prints itself.
fn said(candidate: Candidate<'_>) -> Result<Vec<f64>, Error> {
    let said = Running::start(candidate)?;
    let figures = said.line.split_whitespace().map(str::parse);
    Ok(figures.collect::<Result<_, _>>()?)
}

/// Returns the address of a server, and how many microseconds it took to start.
pub(crate) fn ready(server: &Running) -> Result<(&str, &str), Error> {
    let said = server.line.trim().split_once(' ');
    said.ok_or_else(|| "a server printed an unexpected line".into())
}
