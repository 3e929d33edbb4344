//! The subjects of measurements, by name. Each runs in a child process and prints one line, with its figures or with
//! the news that it is ready.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use helios::log::{Durability, Log};
use helios::{Helios, SseHub};
use helios_benches::Error;
use helios_benches::announced::{Announced, announce};
use helios_benches::cores::{self, own_cpu};
use helios_benches::{hello, publish, routes, sse};
use http::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::candidate::Candidate;
use crate::child::RUN;
use crate::{log, redis};

struct Subject {
    name: &'static str,
    run: fn(&Runtime) -> Result<(), Error>,
    runtime: Flavour,
    /// Whether it exists only for the comparison with Helios.
    is_peer: bool,
}

const fn on_both_cores(name: &'static str, run: fn(&Runtime) -> Result<(), Error>) -> Subject {
    Subject {
        runtime: Flavour::OnBothCores { workers: Some(2) },
        ..subject(name, run)
    }
}

/// The runtime of a subject, and its cores.
enum Flavour {
    /// The runtime of `#[tokio::main]`, on the measured core.
    Usual,
    /// A runtime with this many workers, or on the calling thread, on both cores.
    OnBothCores { workers: Option<usize> },
}

impl Flavour {
    fn build(&self) -> io::Result<Runtime> {
        match self {
            Self::Usual => Runtime::new(),
            Self::OnBothCores { workers: None } => {
                Builder::new_current_thread().enable_all().build()
            }
            Self::OnBothCores {
                workers: Some(workers),
            } => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(*workers).enable_all().build()
            }
        }
    }
}

const fn subject(name: &'static str, run: fn(&Runtime) -> Result<(), Error>) -> Subject {
    Subject {
        name,
        run,
        runtime: Flavour::Usual,
        is_peer: false,
    }
}

const fn peer(name: &'static str, run: fn(&Runtime) -> Result<(), Error>) -> Subject {
    Subject {
        is_peer: true,
        ..subject(name, run)
    }
}

const SUBJECTS: &[Subject] = &[
    subject("helios", |runtime| {
        runtime.block_on(serve_helios(hello::helios))
    }),
    peer("axum", |runtime| runtime.block_on(serve_axum(hello::axum))),
    peer("hyper", |runtime| runtime.block_on(serve_hyper())),
    subject("helios-1000-routes", |runtime| {
        runtime.block_on(serve_helios(|| routes::app(1000)))
    }),
    peer("bare-sse", serve_bare),
    peer("hyper-sse", |runtime| {
        runtime.block_on(async { Ok(sse::hyper::serve(announced().await?, commands()?).await?) })
    }),
    peer("axum-sse", |runtime| {
        runtime.block_on(async { Ok(sse::axum::serve(announced().await?, commands()?).await?) })
    }),
    #[cfg(feature = "peers")]
    peer("actix-sse", |runtime| {
        runtime.block_on(async {
            let listener = announced().await?.into_std()?;
            Ok(sse::actix::serve(listener, commands()?).await?)
        })
    }),
    #[cfg(feature = "peers")]
    peer("salvo-sse", |runtime| {
        runtime.block_on(async { sse::salvo::serve(announced().await?, commands()?).await })
    }),
    subject("helios-sse", serve_events),
    Subject {
        runtime: Flavour::OnBothCores { workers: None },
        ..subject("helios-sse-current-thread", serve_events)
    },
    on_both_cores("helios-sse-2-workers", serve_events),
    subject("helios-sse-10-topics", |runtime| {
        runtime.block_on(serve_helios_sse(10))
    }),
    subject("helios-sse-10000-topics", |runtime| {
        runtime.block_on(serve_helios_sse(10_000))
    }),
    subject("options-10", |runtime| walk(runtime, &Method::OPTIONS, 10)),
    subject("options-1000", |runtime| {
        walk(runtime, &Method::OPTIONS, 1000)
    }),
    subject("get-10", |runtime| walk(runtime, &Method::GET, 10)),
    subject("get-1000", |runtime| walk(runtime, &Method::GET, 1000)),
    subject("publish", |runtime| publish_all(runtime, &publish::alone())),
    subject("publish-backplane", |runtime| {
        let (hub, _reader) = runtime.block_on(publish::behind_a_backplane())?;
        publish_all(runtime, &hub)
    }),
    on_both_cores("log", |runtime| log::log_together(runtime, Durability::Os)),
    on_both_cores("store", |_| log::store_together(Durability::Os)),
    on_both_cores("store-answering", |runtime| {
        log::store_answering(runtime, Durability::Os)
    }),
    on_both_cores("file", |_| log::file_together(Durability::Os)),
    on_both_cores("log-synced", |runtime| {
        log::log_together(runtime, Durability::Always)
    }),
    on_both_cores("store-synced", |_| log::store_together(Durability::Always)),
    on_both_cores("store-answering-synced", |runtime| {
        log::store_answering(runtime, Durability::Always)
    }),
    on_both_cores("file-synced", |_| log::file_together(Durability::Always)),
    on_both_cores("log-lone", log::log_alone),
    on_both_cores("store-lone", log::store_alone),
    on_both_cores("file-lone", log::file_alone),
    on_both_cores("log-opened", log::log_open),
    on_both_cores("store-opened", |_| log::store_open()),
    on_both_cores(log::WRITES, log::log_writes),
    subject("helios-sse-log", |runtime| {
        let folder = log::folder()?;
        let app = sse::helios::app().backplane(Log::open(folder.path()));
        runtime.block_on(async {
            sse::helios::serve_app(app, Announced::bind().await?, commands()?, 0).await
        })
    }),
    on_both_cores("redis", |runtime| redis::together(runtime, false)),
    on_both_cores("redis-read", |runtime| redis::together(runtime, true)),
    on_both_cores("redis-raw", redis::raw_together),
    on_both_cores("redis-groups", |runtime| redis::in_groups(runtime, false)),
    on_both_cores("redis-groups-read", |runtime| {
        redis::in_groups(runtime, true)
    }),
    on_both_cores("redis-raw-groups", redis::raw_in_groups),
    on_both_cores("redis-lone", redis::alone),
    on_both_cores("redis-raw-lone", redis::raw_alone),
    on_both_cores("redis-resumed", redis::resumed),
    on_both_cores("resumed", redis::resumed_alone),
    subject("helios-sse-redis", |runtime| {
        let server = redis::Server::start()?;
        let app = sse::helios::app().backplane(server.backplane());
        runtime.block_on(async {
            sse::helios::serve_app(app, Announced::bind().await?, commands()?, 0).await
        })
    }),
];

fn find(name: &str) -> Result<&'static Subject, Error> {
    let found = SUBJECTS.iter().find(|subject| subject.name == name);
    found.ok_or_else(|| format!("not in this build: `{name}`").into())
}

/// Checks that there is such a subject.
pub(crate) fn check(name: &str) -> Result<(), Error> {
    if name.contains(redis::GROUP) {
        redis::check()?;
    }
    find(name).map(drop)
}

/// Returns whether it also runs on the core of the load.
pub(crate) fn shares_core_with_load(name: &str) -> bool {
    find(name).is_ok_and(|subject| matches!(subject.runtime, Flavour::OnBothCores { .. }))
}

/// Returns whether it is Helios itself.
pub(crate) fn is_helios(name: &str) -> bool {
    find(name).is_ok_and(|subject| !subject.is_peer)
}

/// Returns the command that starts a subject.
pub(crate) fn command(candidate: Candidate<'_>) -> Result<Command, Error> {
    let program = candidate.program();
    let mut command = match find(candidate.subject)?.runtime {
        Flavour::Usual => cores::on_the_measured_core(&program),
        Flavour::OnBothCores { .. } => cores::on_both_cores(&program),
    };
    command.args([RUN, candidate.subject]);
    Ok(command)
}

/// Runs a subject.
pub(crate) fn run(name: &str) -> Result<(), Error> {
    let subject = find(name)?;
    (subject.run)(&subject.runtime.build()?)
}

fn serve_events(runtime: &Runtime) -> Result<(), Error> {
    runtime.block_on(serve_helios_sse(0))
}

async fn serve_helios(app: fn() -> Helios) -> Result<(), Error> {
    let announced = Announced::bind().await?;
    app().banner(false).listen_on(announced).await?;
    Ok(())
}

async fn serve_helios_sse(other_topics: u32) -> Result<(), Error> {
    sse::helios::serve(Announced::bind().await?, commands()?, other_topics).await
}

fn serve_bare(runtime: &Runtime) -> Result<(), Error> {
    let _runtime = runtime.enter();
    let listener = runtime.block_on(announced())?.into_std()?;
    Ok(sse::bare::serve(listener, commands()?)?)
}

async fn serve_axum(app: fn() -> axum::Router) -> Result<(), Error> {
    let listener = listen().await?;
    let started = Instant::now();
    let app = app();
    announce(listener.local_addr()?, started.elapsed());
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

async fn serve_hyper() -> Result<(), Error> {
    let listener = listen().await?;
    announce(listener.local_addr()?, Duration::ZERO);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(hello::hyper);
        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(served);
    }
}

async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

/// Binds a listener and prints its address at once. Clients that connect before they are accepted wait.
async fn announced() -> io::Result<TcpListener> {
    let listener = listen().await?;
    announce(listener.local_addr()?, Duration::ZERO);
    Ok(listener)
}

/// Returns the pipe with the commands, which come from the parent process.
fn commands() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

/// Measures the nanoseconds of processor time for one request in process, with equally many requests for each route.
fn walk(runtime: &Runtime, method: &Method, count: usize) -> Result<(), Error> {
    const REQUESTS: usize = 500_000;
    let mut service = routes::app(count).into_service()?;
    let targets = routes::targets(count);
    let walks = REQUESTS / targets.len();
    runtime.block_on(routes::walk(&mut service, method, &targets));
    let before = own_cpu()?;
    runtime.block_on(async {
        for _ in 0..walks {
            routes::walk(&mut service, method, &targets).await;
        }
    });
    let taken = own_cpu()? - before;
    println!("{}", taken.as_nanos() as f64 / REQUESTS as f64);
    Ok(())
}

/// Measures how many events are published per second of processor time.
fn publish_all(runtime: &Runtime, hub: &SseHub) -> Result<(), Error> {
    const EVENTS: usize = 500_000;
    runtime.block_on(publish::publish(hub, EVENTS / 10))?;
    let before = own_cpu()?;
    runtime.block_on(publish::publish(hub, EVENTS))?;
    let taken = own_cpu()? - before;
    println!("{}", EVENTS as f64 / taken.as_secs_f64());
    Ok(())
}
