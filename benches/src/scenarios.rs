//! What is done with the subjects, and what Helios must reach.

use std::time::Duration;

use tokio::runtime;
use tokio::time::sleep;

use crate::child::Running;
use crate::events;
use crate::load::Load;
use helios_benches::Error;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What is done, and in what it is counted.
    pub(crate) title: &'static str,
    pub(crate) subjects: &'static [&'static str],
    /// What each of the figures is. The goals are about the first.
    pub(crate) figures: &'static [&'static str],
    pub(crate) rounds: usize,
    /// The figures of one subject.
    pub(crate) measure: fn(&str) -> Result<Vec<f64>, Error>,
    pub(crate) goals: &'static [Goal],
}

/// Holds for the medians: of a subject, or of its ratio to another in the same round.
pub(crate) enum Goal {
    Ratio {
        subject: &'static str,
        to: &'static str,
        bound: Bound,
    },
    Figure {
        subject: &'static str,
        bound: Bound,
    },
}

pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hello",
        title: "GET /hello/{id}, answered with JSON",
        figures: &["requests per CPU-second"],
        subjects: &["helios", "axum", "hyper"],
        rounds: 9,
        measure: requests_per_cpu_second,
        goals: &[Goal::Ratio {
            subject: "helios",
            to: "axum",
            bound: Bound::AtLeast(1.0),
        }],
    },
    Scenario {
        name: "routing",
        title: "a request in process, answered by the router (OPTIONS) or by a handler (GET)",
        figures: &["CPU ns"],
        subjects: &["options-10", "options-1000", "get-10", "get-1000"],
        rounds: 9,
        measure: said,
        goals: &[
            Goal::Ratio {
                subject: "options-1000",
                to: "options-10",
                bound: Bound::AtMost(1.5),
            },
            Goal::Ratio {
                subject: "get-1000",
                to: "get-10",
                bound: Bound::AtMost(1.5),
            },
        ],
    },
    Scenario {
        name: "startup",
        title: "from `Helios::new` to the first accept, with 1,000 routes",
        figures: &["ms"],
        subjects: &["helios-1000-routes"],
        rounds: 9,
        measure: startup_ms,
        goals: &[Goal::Figure {
            subject: "helios-1000-routes",
            bound: Bound::AtMost(50.0),
        }],
    },
    Scenario {
        name: "fan-out-1000-1",
        title: "1,000 subscribers of one topic, 1 event a round",
        subjects: FAN_OUT,
        figures: RATES,
        rounds: 5,
        measure: |subject| events::fan_out(subject, 1_000, 1),
        goals: &[
            Goal::Ratio {
                subject: "helios-sse",
                to: "bare-sse",
                bound: Bound::AtLeast(0.75),
            },
            Goal::Ratio {
                subject: "helios-sse",
                to: "axum-sse",
                bound: Bound::AtLeast(1.3),
            },
        ],
    },
    Scenario {
        name: "fan-out-1000-16",
        title: "1,000 subscribers of one topic, 16 events a round",
        subjects: FAN_OUT,
        figures: RATES,
        rounds: 5,
        measure: |subject| events::fan_out(subject, 1_000, 16),
        goals: &[
            Goal::Ratio {
                subject: "helios-sse",
                to: "bare-sse",
                bound: Bound::AtLeast(0.75),
            },
            Goal::Ratio {
                subject: "helios-sse",
                to: "axum-sse",
                bound: Bound::AtLeast(2.3),
            },
        ],
    },
    Scenario {
        name: "fan-out-5000-1",
        title: "5,000 subscribers of one topic, 1 event a round",
        subjects: FAN_OUT,
        figures: RATES,
        rounds: 5,
        measure: |subject| events::fan_out(subject, 5_000, 1),
        goals: &[
            Goal::Ratio {
                subject: "helios-sse",
                to: "bare-sse",
                bound: Bound::AtLeast(0.75),
            },
            Goal::Ratio {
                subject: "helios-sse",
                to: "axum-sse",
                bound: Bound::AtLeast(1.3),
            },
        ],
    },
    Scenario {
        name: "fan-out-5000-16",
        title: "5,000 subscribers of one topic, 16 events a round",
        subjects: FAN_OUT,
        figures: RATES,
        rounds: 5,
        measure: |subject| events::fan_out(subject, 5_000, 16),
        goals: &[
            Goal::Ratio {
                subject: "helios-sse",
                to: "bare-sse",
                bound: Bound::AtLeast(0.75),
            },
            Goal::Ratio {
                subject: "helios-sse",
                to: "axum-sse",
                bound: Bound::AtLeast(2.3),
            },
        ],
    },
    Scenario {
        name: "latency",
        title: "1,000 subscribers, 20 events a second: publish to receipt",
        subjects: FAN_OUT,
        figures: &["p99 ms", "p50 ms", "p99.9 ms"],
        rounds: 5,
        measure: |subject| events::latency(subject, 1000),
        goals: &[Goal::Ratio {
            subject: "helios-sse",
            to: "axum-sse",
            bound: Bound::AtMost(0.8),
        }],
    },
    Scenario {
        name: "flat-out",
        title: "one stream, of a generator that never waits",
        subjects: &["helios-sse", "axum-sse"],
        figures: &["events per CPU-second"],
        rounds: 5,
        measure: events::flat_out,
        goals: &[Goal::Ratio {
            subject: "helios-sse",
            to: "axum-sse",
            bound: Bound::AtLeast(4.0),
        }],
    },
    Scenario {
        name: "idle",
        title: "10,000 connections that wait for an event",
        subjects: FAN_OUT,
        figures: &["KiB per connection"],
        rounds: 3,
        measure: |subject| events::idle(subject, 10_000),
        goals: &[
            Goal::Figure {
                subject: "helios-sse",
                bound: Bound::AtMost(11.0),
            },
            Goal::Ratio {
                subject: "helios-sse",
                to: "axum-sse",
                bound: Bound::AtMost(0.6),
            },
        ],
    },
    Scenario {
        name: "set-up",
        title: "a connection comes, gets its first bytes, and goes",
        subjects: FAN_OUT,
        figures: &["CPU us per connection"],
        rounds: 5,
        measure: events::set_up,
        goals: &[Goal::Ratio {
            subject: "helios-sse",
            to: "axum-sse",
            bound: Bound::AtMost(1.1),
        }],
    },
    Scenario {
        name: "allocations",
        title: "1,000 subscribers of one topic, 1 event a round: allocations of the server, and of the publisher in it",
        subjects: &["helios", "axum"],
        figures: &["allocations per event"],
        rounds: 3,
        measure: events::allocations,
        goals: &[Goal::Figure {
            subject: "helios",
            bound: Bound::AtMost(0.01),
        }],
    },
    Scenario {
        name: "topics",
        title: "publish to a topic of 10 subscribers, beside 10 or 10,000 other topics",
        subjects: &["helios-sse-10-topics", "helios-sse-10000-topics"],
        figures: &["events per CPU-second", "events per second"],
        rounds: 5,
        measure: |subject| events::fan_out(subject, 10, 1),
        goals: &[Goal::Ratio {
            subject: "helios-sse-10-topics",
            to: "helios-sse-10000-topics",
            bound: Bound::AtMost(1.2),
        }],
    },
    Scenario {
        name: "resume",
        title: "5,000 clients at once resume 256 events each",
        subjects: &["bare-sse", "helios-sse"],
        figures: &["clients per CPU-second"],
        rounds: 5,
        measure: |subject| events::resume(subject, 5_000, 256),
        goals: &[Goal::Ratio {
            subject: "helios-sse",
            to: "bare-sse",
            bound: Bound::AtLeast(0.5),
        }],
    },
    Scenario {
        name: "growth",
        title: "the cost of an event for one of 19,000 subscribers, against 1,000",
        subjects: &["bare-sse", "helios-sse"],
        figures: &["ratio"],
        rounds: 3,
        measure: events::growth,
        goals: &[Goal::Ratio {
            subject: "helios-sse",
            to: "bare-sse",
            bound: Bound::AtMost(1.15),
        }],
    },
];

#[cfg(feature = "peers")]
const FAN_OUT: &[&str] = &[
    "bare-sse",
    "hyper-sse",
    "helios-sse",
    "axum-sse",
    "actix-sse",
    "salvo-sse",
];
#[cfg(not(feature = "peers"))]
const FAN_OUT: &[&str] = &["bare-sse", "hyper-sse", "helios-sse", "axum-sse"];
const RATES: &[&str] = &["events per CPU-second", "events per second"];

fn requests_per_cpu_second(subject: &str) -> Result<Vec<f64>, Error> {
    const CONNECTIONS: usize = 32;
    const WARM_UP: Duration = Duration::from_millis(500);
    const WINDOW: Duration = Duration::from_secs(2);
    let server = Running::start(subject)?;
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

fn startup_ms(subject: &str) -> Result<Vec<f64>, Error> {
    let server = Running::start(subject)?;
    let (_, micros) = ready(&server)?;
    Ok(vec![micros.parse::<f64>()? / 1000.0])
}

/// The subject's own figure.
fn said(subject: &str) -> Result<Vec<f64>, Error> {
    Ok(vec![Running::start(subject)?.line.trim().parse()?])
}

/// Where a server listens, and how many microseconds it took to start.
pub(crate) fn ready(server: &Running) -> Result<(&str, &str), Error> {
    let said = server.line.trim().split_once(' ');
    said.ok_or_else(|| "not the line of a server".into())
}
