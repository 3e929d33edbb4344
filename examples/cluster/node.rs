//! The app, which every node runs. It does not know that there are other nodes.

use std::process;

use garde::Validate;
use helios::prelude::*;
use helios::sse::PublishOptions;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, stdin};
use tokio::net::TcpListener;

use super::Failure;
use super::beats::{self, Beat, Beats, Node};
use super::nodes::COUNT;

/// The topic of messages.
const SAID: &str = "said";

/// How many messages a new page gets.
const SHOWN: usize = 20;

#[server(
    controllers = [Page],
    body_limit = 4_096,
    sse(enabled = true, retry = "2s"),
)]
pub(crate) struct App;

/// Serves until the standard input ends. The cluster closes it at exit.
pub(crate) async fn serve(number: usize) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let node = Node {
        node: number,
        pid: process::id(),
        addr: listener.local_addr()?,
    };
    let app = Helios::new(App).provide(node).banner(false);
    let app = app
        .drain_deadline(Duration::from_secs(2))
        .shutdown_on(async {
            // Nothing is ever written to this pipe.
            let _ = stdin().read(&mut [0]).await;
        });
    Ok(app.listen_on(listener).await?)
}

#[derive(Deserialize, Validate, JsonSchema)]
struct New {
    /// Makes a retry of the same message harmless.
    #[garde(length(min = 1, max = 64))]
    key: String,
    #[garde(length(chars, min = 1, max = 200))]
    text: String,
}

/// The events of the page.
#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
pub(crate) enum Live {
    /// The node that serves this page.
    Served(Node),
    Beat(Beat),
    Said(Message),
    Killed(Kill),
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Message {
    text: String,
    /// The node that has published it.
    node: usize,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Kill {
    node: usize,
    /// The node that was asked to do it.
    by: usize,
}

#[derive(Injectable)]
struct Page {
    node: Arc<Node>,
    sse: SseService,
    _beats: Arc<Beats>,
}

#[controller]
impl Page {
    #[get]
    fn index(&self) -> Html<&str> {
        Html(include_str!("page.html"))
    }

    #[get("look.css")]
    #[header("content-type", "text/css")]
    fn look(&self) -> &str {
        include_str!("../look.css")
    }

    /// Sends the beats and messages of all nodes, after an event that names this node.
    #[sse("live", events = Live)]
    async fn live(&self) -> Result<SseStream, SseError> {
        let stream = self.sse.subscribe([beats::TOPIC]).await?;
        stream.join_from(SAID, Replay::Last(SHOWN)).await?;
        stream.send(Live::Served(Node::clone(&self.node))).await?;
        Ok(stream)
    }

    // Each message gets a connection of its own, so that the proxy spreads messages over all nodes.
    #[post("said")]
    #[header("connection", "close")]
    async fn say(&self, #[body] new: New) -> Result<(), SseError> {
        let once = PublishOptions::default().key(new.key);
        let message = Message {
            text: new.text,
            node: self.node.node,
        };
        self.sse
            .publish_with(SAID, Live::Said(message), &once)
            .await?;
        Ok(())
    }

    /// Asks the cluster to `kill -9` a node, which may be this one.
    #[post("nodes/{number}/kill")]
    #[header("connection", "close")]
    async fn kill(&self, #[param] number: usize) -> Result<(), HttpError> {
        if !(1..=COUNT).contains(&number) {
            return Err(HttpError::not_found(format!("there is no node {number}")));
        }
        let kill = Kill {
            node: number,
            by: self.node.node,
        };
        self.sse.publish(beats::TOPIC, Live::Killed(kill)).await?;
        println!("kill {number}");
        Ok(())
    }
}
