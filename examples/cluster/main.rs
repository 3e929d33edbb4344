//! A cluster on one machine: three servers of one app behind a proxy, which are one hub on Redis.
//!
//! ```text
//! cargo run -p helios-example-cluster       # open it in two windows, and kill the server of one
//! curl -N http://127.0.0.1:3000/live        # each time from another server
//! kill -9 PID                               # the page shows the numbers
//! ```
//!
//! A page whose server is killed comes back at another one, with the id of the last event that it has seen, and is given what it has
//! missed: nothing is lost or shown twice, and it is not reset. The one that was killed is back a few seconds later.
//!
//! A `redis-server` is started for as long as this runs. `HELIOS_REDIS_URL` names another Redis instead. Whoever can open the page can
//! kill a server: it is for a machine of your own.
//!
//! | file | purpose |
//! | --- | --- |
//! | `node.rs` | the app: nothing in it knows of Redis or of other servers |
//! | `beats.rs` | a server says that it is alive, once a second |
//! | `nodes.rs` | the processes: started, killed, started again |
//! | `proxy.rs` | the one address of all: each connection goes to the next server |
//! | `redis.rs` | a Redis of one's own |
//! | `page.html` | the page |

mod beats;
mod node;
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

/// Tells a process that it is a node, and which.
const NODE: &str = "HELIOS_CLUSTER_NODE";

/// Where the proxy listens: the servers themselves are at ports that the system chooses.
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
        eprintln!("signals cannot be listened to: {error}");
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
