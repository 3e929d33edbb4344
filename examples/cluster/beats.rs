//! A node reports once a second that it is alive. The reports are numbered, so that a page sees whether one is missing.

use std::net::SocketAddr;

use helios::prelude::*;
use helios::sse::PublishOptions;
use serde::Serialize;
use tokio::task::AbortHandle;

use super::node::Live;

/// The topic for the beats of all nodes, and for kills.
pub(crate) const TOPIC: &str = "nodes";

const EVERY: Duration = Duration::from_secs(1);

/// This node, as pages see it.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct Node {
    pub(crate) node: usize,
    pub(crate) pid: u32,
    #[serde(skip)]
    pub(crate) addr: SocketAddr,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Beat {
    #[serde(flatten)]
    node: Node,
    n: u64,
}

#[derive(Injectable)]
#[inject(on_start = start, on_stop = stop)]
pub(crate) struct Beats {
    node: Arc<Node>,
    sse: SseService,
    #[inject(default)]
    task: std::sync::Mutex<Option<AbortHandle>>,
}

impl Beats {
    async fn start(&self) -> Result<(), SseError> {
        let (node, sse) = (Node::clone(&self.node), self.sse.clone());
        beat(&node, &sse, 1).await?;
        // The node is ready, so the proxy may send it connections.
        println!("at {}", node.addr);
        let beating = tokio::spawn(async move {
            for n in 2.. {
                sleep(EVERY).await;
                // Retries until the beat is published. The key keeps retries from publishing it twice.
                while beat(&node, &sse, n).await.is_err() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        });
        let mut task = self
            .task
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *task = Some(beating.abort_handle());
        Ok(())
    }

    async fn stop(&self) {
        let mut task = self
            .task
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

async fn beat(node: &Node, sse: &SseService, n: u64) -> Result<(), SseError> {
    let once = PublishOptions::default().key(format!("{}-{n}", node.pid));
    let beat = Beat {
        node: node.clone(),
        n,
    };
    sse.publish_with(TOPIC, Live::Beat(beat), &once).await?;
    Ok(())
}
