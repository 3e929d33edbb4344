//! A server with a log, killed again and again under load. It may lose no event whose publish returned `Ok`, and may
//! reset no client.
//!
//! Publishers and readers run in this process. The server is a process of its own that always has the same folder and
//! port. Each publisher records its responses, and each reader what it received. At the end `judge.rs` compares them.

mod clients;
mod judge;
mod server;

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use helios_benches::cores;
use tokio::runtime;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::child::Running;
use crate::report::row;
use crate::tally::Histogram;
use crate::{Error, MOST_MINUTES, USAGE};
use clients::{Publisher, Reader, Shared};
use judge::{Answers, Judgement, Seen, judge};

pub(crate) use server::{SERVE, serve};

const TOPICS: usize = 8;
const PUBLISHERS: usize = 32;
const READERS: usize = 24;

/// How long a server lives on average. It is killed up to a quarter earlier or later.
const LIFE: Duration = Duration::from_secs(20);

/// How long readers may take to catch up at the end.
const SETTLE: Duration = Duration::from_secs(30);

struct Plan {
    minutes: f64,
    seed: u64,
    /// Runs the server without its log, so that it forgets everything. The judge has to notice that.
    forgetful: bool,
}

fn plan(args: &[&str]) -> Option<Plan> {
    let mut plan = Plan {
        minutes: 10.0,
        seed: fastrand::u64(..),
        forgetful: false,
    };
    let mut args = args.iter();
    while let Some(option) = args.next() {
        match *option {
            "--minutes" => plan.minutes = args.next()?.parse().ok()?,
            "--seed" => plan.seed = args.next()?.parse().ok()?,
            "--forgetful" => plan.forgetful = true,
            _ => return None,
        }
    }
    (plan.minutes > 0.0 && plan.minutes <= MOST_MINUTES).then_some(plan)
}

pub(crate) fn soak(args: &[&str]) -> Result<bool, Error> {
    let plan = plan(args).ok_or(USAGE)?;
    println!("  seed {}", plan.seed);
    cores::keep_off_the_measured_core()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(run(&plan))?;
    println!("{report}");
    Ok(report.judgement.is_clean())
}

async fn run(plan: &Plan) -> Result<Report, Error> {
    let folder = tempfile::tempdir_in(std::env::current_exe()?.parent().ok_or("no folder")?)?;
    let path = match plan.forgetful {
        true => String::new(),
        false => folder.path().display().to_string(),
    };
    let start = move |port: u16| Running::start_as(&[SERVE, &path, &port.to_string()]);
    let mut rng = Rng::with_seed(plan.seed);
    let server = start(0)?;
    let shared = Arc::new(Shared::new(server.address));
    let mut readers = JoinSet::new();
    for name in 0..READERS {
        let reader = Reader::new(name, Arc::clone(&shared), rng.fork());
        readers.spawn(reader.run());
    }
    shared.all_are_ready(READERS).await?;
    let mut publishers = JoinSet::new();
    for name in 0..PUBLISHERS {
        let publisher = Publisher::new(name, Arc::clone(&shared), rng.fork());
        publishers.spawn(publisher.run());
    }
    let duration = Duration::from_secs_f64(60.0 * plan.minutes);
    // The server lives until everything is read.
    let (_server, kills, away) = kill_again(server, start, &shared, duration, &mut rng).await?;
    shared.stop_publishing();
    let answers: Vec<Answers> = publishers.join_all().await;
    let last: Vec<_> = (0..TOPICS)
        .map(|topic| answers.iter().filter_map(|all| all.last_of(topic)).max())
        .collect();
    let settled = shared.settle(&last, SETTLE).await;
    let seen: Vec<Seen> = readers.join_all().await;
    let mut judgement = judge(&answers, &seen);
    judgement.hangs += u64::from(!settled);
    Ok(Report {
        duration,
        seed: plan.seed,
        kills,
        away,
        answered: answers.iter().map(Answers::answered).sum(),
        unanswered: answers.iter().map(Answers::unanswered).sum(),
        connections: seen.iter().map(|seen| seen.connections).sum(),
        received: seen.iter().map(|seen| seen.events.len() as u64).sum(),
        judgement,
    })
}

/// Kills the server again and again, and restarts it.
async fn kill_again(
    mut server: Running,
    start: impl Fn(u16) -> Result<Running, Error> + Clone + Send + 'static,
    shared: &Shared,
    duration: Duration,
    rng: &mut Rng,
) -> Result<(Running, u64, Histogram), Error> {
    let port = server.address.port();
    let (began, mut kills, mut away) = (Instant::now(), 0, Histogram::default());
    loop {
        let life = LIFE.mul_f64(0.75 + 0.5 * rng.f64());
        let left = duration.saturating_sub(began.elapsed());
        sleep(life.min(left)).await;
        if life >= left {
            return Ok((server, kills, away));
        }
        let (died, start) = (Instant::now(), start.clone());
        // The clients continue meanwhile, so they meet a server that is down.
        let restarted = spawn_blocking(move || {
            server.kill()?;
            start(port)
        });
        server = restarted.await??;
        shared.publishes_again(shared.published()).await?;
        away.add(died.elapsed());
        kills += 1;
        let (seconds, published) = (began.elapsed().as_secs(), shared.published());
        eprintln!("{seconds} s: killed {kills} times, {published} published");
    }
}

struct Report {
    duration: Duration,
    seed: u64,
    kills: u64,
    /// The time from a kill until the next publish.
    away: Histogram,
    answered: u64,
    unanswered: u64,
    connections: u64,
    received: u64,
    judgement: Judgement,
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs_f64();
        row(f, "duration", format_args!("{seconds:.0} s"))?;
        row(f, "seed", self.seed)?;
        row(f, "killed", format_args!("{} times", self.kills))?;
        let (half, all) = (self.away.quantile(0.5), self.away.longest());
        row(
            f,
            "back after",
            format_args!("{half:?} (median), {all:?} (longest)"),
        )?;
        row(
            f,
            "published",
            format_args!(
                "{}, and {} without an answer",
                self.answered, self.unanswered
            ),
        )?;
        row(
            f,
            "received",
            format_args!(
                "{} by {READERS} readers over {} connections",
                self.received, self.connections
            ),
        )?;
        write!(f, "{}", self.judgement)?;
        let verdict = if self.judgement.is_clean() {
            "clean"
        } else {
            "FAULTY"
        };
        row(f, "verdict", verdict)
    }
}
