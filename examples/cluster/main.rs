//! A cluster on one machine: three servers of one app behind a proxy, which share one hub over Redis.
//!
//! ```text
//! cargo run -p helios-example-cluster       # open it in two windows, and kill the server of one
//! curl -N http://127.0.0.1:3000/live        # each time from another server
//! kill -9 PID                               # the page shows the numbers
//! ```
//!
//! If the server of a page is killed, the page reconnects to another one with the id of the last event it has seen, and
//! gets what it has missed. Nothing is lost or shown twice, and the page is not reset. The killed server is back a few
//! seconds later.
//!
//! The example starts a `redis-server` and ends it at exit. To use another Redis, set `HELIOS_REDIS_URL`. Anybody who
//! can open the page can kill a server, so run this on a machine of your own only.
//!
//! | file | purpose |
//! | --- | --- |
//! | `node.rs` | the app, which knows nothing of Redis or of other servers |
//! | `beats.rs` | once a second, a server reports that it is alive |
//! | `nodes.rs` | starts, kills and restarts the processes |
//! | `proxy.rs` | one address for all servers; each connection goes to the next server |
//! | `redis.rs` | starts a private Redis |
//! | `page.html` | the page |

mod beats;
pub(crate) mod node;
mod nodes;
mod proxy;
mod redis;

use std::error::Error;
use std::sync::Arc;
use std::{env, io};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use nodes::Nodes;
use redis::Redis;

/// The environment variable that makes a process a node, and gives its number.
const NODE: &str = "HELIOS_CLUSTER_NODE";

/// The port of the proxy. The servers listen on ports that the system chooses.
const PORT: &str = "HELIOS_PORT";

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match env::var(NODE) {
        Ok(number) => node::serve(number.parse()?).await,
        Err(_) => cluster().await,
    }
}

async fn cluster() -> Result<(), Failure> {
    let port = env::var(PORT).map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let redis = Redis::start().await?;
    let nodes = Arc::new(Nodes::default());
    let stop = CancellationToken::new();
    println!("Open http://{}", listener.local_addr()?);
    tokio::spawn(proxy::run(listener, Arc::clone(&nodes)));
    tokio::spawn(end_when_told(stop.clone()));
    let ended = nodes.keep(redis.url(), &stop).await;
    redis.end().await;
    ended
}

async fn end_when_told(stop: CancellationToken) {
    if let Err(error) = told_to_end().await {
        eprintln!("cannot listen for signals: {error}");
    }
    stop.cancel();
}

#[cfg(unix)]
async fn told_to_end() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut hangup, mut terminate) = (
        signal(SignalKind::hangup())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        done = tokio::signal::ctrl_c() => done,
        _ = hangup.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn told_to_end() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
