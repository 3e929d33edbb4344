//! The processes of the nodes. A process that ends is started again.

use std::array;
use std::env;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Failure, NODE, redis};

/// How many nodes there are. Their numbers begin with 1.
pub(crate) const COUNT: usize = 3;

/// How long a killed node stays down.
const AWAY: Duration = Duration::from_secs(4);

/// How long a node may take to end by itself.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Nodes {
    nodes: [Node; COUNT],
    turn: AtomicUsize,
}

#[derive(Default)]
struct Node {
    /// The address it listens on, if any.
    addr: Mutex<Option<SocketAddr>>,
    kill: Notify,
}

/// How a process ended.
enum End {
    /// It never listened.
    Unstarted,
    Ended,
    Told,
}

impl Nodes {
    /// Returns the addresses of the nodes that listen, beginning with a different one each time.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = SocketAddr> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..COUNT).filter_map(move |n| self.nodes[(first + n) % COUNT].addr())
    }

    /// Keeps all nodes running until `stop` is cancelled or a node does not start.
    pub(crate) async fn keep(&self, redis: &str, stop: &CancellationToken) -> Result<(), Failure> {
        let [one, two, three] = array::from_fn(|n| self.keep_one(n, redis, stop));
        tokio::try_join!(one, two, three).map(drop)
    }

    async fn keep_one(
        &self,
        n: usize,
        redis: &str,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let number = n + 1;
        while !stop.is_cancelled() {
            let mut child = start(number, redis)?;
            let out = child.stdout.take().ok_or("no standard output")?;
            let end = tokio::select! {
                end = self.listen_to(n, out) => end,
                () = self.nodes[n].kill.notified() => End::Ended,
                () = stop.cancelled() => End::Told,
            };
            self.nodes[n].set_addr(None);
            match end {
                // Its input ends, so it ends too.
                End::Told => timeout(DRAIN, child.wait())
                    .await
                    .map_or(Ok(()), |ended| ended.map(drop))?,
                End::Ended => {
                    child.kill().await?;
                    println!("node {number} has ended");
                    stop.run_until_cancelled(sleep(AWAY)).await;
                }
                End::Unstarted => {
                    return Err(
                        format!("node {number} does not start: {}", child.wait().await?).into(),
                    );
                }
            }
        }
        Ok(())
    }

    /// Does what a node requests on its output, until the node ends.
    async fn listen_to(&self, n: usize, out: ChildStdout) -> End {
        let mut lines = BufReader::new(out).lines();
        let mut end = End::Unstarted;
        while let Ok(Some(line)) = lines.next_line().await {
            match line.split_once(' ') {
                Some(("at", addr)) => {
                    println!("node {} listens on {addr}", n + 1);
                    self.nodes[n].set_addr(addr.parse().ok());
                    end = End::Ended;
                }
                Some(("kill", number)) => {
                    let node = number
                        .parse::<usize>()
                        .ok()
                        .and_then(|number| self.nodes.get(number.checked_sub(1)?));
                    if let Some(node) = node {
                        node.kill.notify_one();
                    }
                }
                _ => println!("{line}"),
            }
        }
        end
    }
}

impl Node {
    fn addr(&self) -> Option<SocketAddr> {
        *self.addr.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_addr(&self, addr: Option<SocketAddr>) {
        *self.addr.lock().unwrap_or_else(PoisonError::into_inner) = addr;
    }
}

/// Starts another process of this program, as a node.
fn start(number: usize, redis: &str) -> Result<Child, Failure> {
    let mut command = Command::new(env::current_exe()?);
    command.env(NODE, number.to_string()).env(redis::URL, redis);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    apart(&mut command);
    Ok(command.spawn()?)
}

/// Keeps Ctrl-C from the child. This process ends its children itself, in order, or kills them when it exits.
pub(crate) fn apart(command: &mut Command) {
    command.kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
}
