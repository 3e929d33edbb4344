//! What is done with the subjects, and what Helios must reach.

use std::time::Duration;

use tokio::runtime;
use tokio::time::sleep;

use crate::Error;
use crate::child::Running;
use crate::load::Load;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What is done, and in what it is counted.
    pub(crate) title: &'static str,
    pub(crate) subjects: &'static [&'static str],
    pub(crate) rounds: usize,
    /// One figure of one subject.
    pub(crate) measure: fn(&str) -> Result<f64, Error>,
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
        title: "GET /hello/{id}, answered with JSON: requests per server CPU-second",
        subjects: &["helios", "axum", "hyper"],
        rounds: 9,
        measure: requests_per_cpu_second,
        goals: &[Goal::Ratio {
            subject: "helios",
            to: "axum",
            bound: Bound::AtLeast(0.97),
        }],
    },
    Scenario {
        name: "routing",
        title: "a request in process, answered by the router (OPTIONS) or by a handler (GET): CPU nanoseconds",
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
        title: "from `Helios::new` to the first accept, with 1,000 routes: milliseconds",
        subjects: &["helios-1000-routes"],
        rounds: 9,
        measure: startup_ms,
        goals: &[Goal::Figure {
            subject: "helios-1000-routes",
            bound: Bound::AtMost(50.0),
        }],
    },
];

fn requests_per_cpu_second(subject: &str) -> Result<f64, Error> {
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
        Ok(answered as f64 / cpu.as_secs_f64())
    })
}

fn startup_ms(subject: &str) -> Result<f64, Error> {
    let server = Running::start(subject)?;
    let (_, micros) = ready(&server)?;
    Ok(micros.parse::<f64>()? / 1000.0)
}

/// The subject's own figure.
fn said(subject: &str) -> Result<f64, Error> {
    Ok(Running::start(subject)?.line.trim().parse()?)
}

/// Where a server listens, and how many microseconds it took to start.
fn ready(server: &Running) -> Result<(&str, &str), Error> {
    let said = server.line.trim().split_once(' ');
    said.ok_or_else(|| "not the line of a server".into())
}
