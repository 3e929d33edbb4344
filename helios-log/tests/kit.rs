//! Runs the kit for backplanes over a log. A log has one hub. Here several share it, so that clients can move between
//! them.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use helios::backplane::{
    Ask, Backplane, BackplaneError, BackplaneErrorKind, BackplaneEvent, BackplaneSink, BoxFuture,
    History, NodeId, Publish, Started, Startup, Status, Watched,
};
use helios::log::Log;
use helios::sse::EventId;
use helios::testing::backplane::{Kit, Rig};
use tempfile::TempDir;
use tokio::sync::OnceCell;

const LEASE: Duration = Duration::from_secs(15);

/// A log that several hubs share.
struct Shared {
    log: Log,
    started: OnceCell<Started>,
    links: Mutex<HashMap<usize, Link>>,
    leases: Mutex<HashMap<NodeId, Instant>>,
}

/// The state of one hub.
struct Link {
    sink: BackplaneSink,
    watched: HashSet<String>,
}

impl Shared {
    /// Hands the event over to all hubs that watch its topic, in the order of the log.
    fn hand(&self, event: &BackplaneEvent<'_>) {
        let mut links = self.links.lock().unwrap();
        links.retain(|_, link| match event {
            BackplaneEvent::Event { topic, .. } if !link.watched.contains(*topic) => true,
            event => link.sink.accept(event.clone()),
        });
    }

    async fn start(self: &Arc<Self>, startup: Startup) -> Result<Started, BackplaneError> {
        let shared = Arc::downgrade(self);
        let start = || async {
            let sink = BackplaneSink::new(move |event| match shared.upgrade() {
                Some(shared) => {
                    shared.hand(&event);
                    true
                }
                None => false,
            });
            let mut of_all = startup.clone();
            of_all.sink = sink;
            self.log.start(of_all).await
        };
        self.started.get_or_try_init(start).await.copied()
    }
}

/// A folder with a log that several hubs share.
struct Folder {
    shared: Arc<Shared>,
    _folder: TempDir,
}

impl Rig for Folder {
    type Link = Node;

    fn node(&self, number: usize) -> Node {
        Node {
            shared: Arc::clone(&self.shared),
            number,
            id: Mutex::new(None),
        }
    }
}

struct Node {
    shared: Arc<Shared>,
    number: usize,
    id: Mutex<Option<NodeId>>,
}

impl Node {
    fn renew_lease(&self) {
        if let Some(node) = *self.id.lock().unwrap() {
            let mut leases = self.shared.leases.lock().unwrap();
            leases.insert(node, Instant::now() + LEASE);
        }
    }
}

impl Backplane for Node {
    fn name(&self) -> &'static str {
        self.shared.log.name()
    }

    fn start(&self, startup: Startup) -> BoxFuture<'_, Result<Started, BackplaneError>> {
        Box::pin(async move {
            let started = self.shared.start(startup.clone()).await?;
            *self.id.lock().unwrap() = Some(startup.node);
            self.renew_lease();
            let link = Link {
                sink: startup.sink,
                watched: HashSet::new(),
            };
            self.shared.links.lock().unwrap().insert(self.number, link);
            // The newest id that the first node received is old by now, but this one is not.
            let now = self.shared.log.watch(&["*"]).await?;
            let newest = now.newest;
            Ok(if newest.is_after(started.newest) == Some(true) {
                Started::at(newest)
            } else {
                started
            })
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.shared.links.lock().unwrap().remove(&self.number);
            if let Some(node) = *self.id.lock().unwrap() {
                self.shared.leases.lock().unwrap().remove(&node);
            }
        })
    }

    fn publish<'a>(&'a self, event: Publish<'a>) -> BoxFuture<'a, Result<EventId, BackplaneError>> {
        self.shared.log.publish(event)
    }

    fn publish_all<'a>(
        &'a self,
        events: Vec<Publish<'a>>,
    ) -> BoxFuture<'a, Vec<Result<EventId, BackplaneError>>> {
        self.shared.log.publish_all(events)
    }

    fn history<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Result<History, BackplaneError>> {
        self.shared.log.history(ask)
    }

    fn watch<'a>(
        &'a self,
        topics: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Watched, BackplaneError>> {
        Box::pin(async move {
            {
                let mut links = self.shared.links.lock().unwrap();
                let link = links.get_mut(&self.number);
                let link = link.ok_or(BackplaneErrorKind::Down)?;
                let topics = topics.iter().map(|topic| (*topic).to_owned());
                link.watched.extend(topics);
            }
            self.shared.log.watch(topics).await
        })
    }

    fn unwatch<'a>(&'a self, topics: &'a [&'a str]) -> BoxFuture<'a, Result<(), BackplaneError>> {
        Box::pin(async move {
            let mut links = self.shared.links.lock().unwrap();
            if let Some(link) = links.get_mut(&self.number) {
                link.watched.retain(|topic| !topics.contains(&&**topic));
            }
            Ok(())
        })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), BackplaneError>> {
        Box::pin(async {
            self.renew_lease();
            Ok(())
        })
    }

    fn is_alive(&self, node: NodeId) -> BoxFuture<'_, Result<bool, BackplaneError>> {
        let leases = self.shared.leases.lock().unwrap();
        let is_alive = leases
            .get(&node)
            .is_some_and(|until| Instant::now() < *until);
        Box::pin(async move { Ok(is_alive) })
    }

    fn status(&self) -> Status {
        match self.shared.started.initialized() {
            true => self.shared.log.status(),
            false => Status::Down,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_minute_every_client_sees_every_event_or_resets() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path().join("sse"));
    let rig = Folder {
        shared: Arc::new(Shared {
            log,
            started: OnceCell::new(),
            links: Mutex::default(),
            leases: Mutex::default(),
        }),
        _folder: folder,
    };
    let seconds = std::env::var("HELIOS_KIT_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let kit = Kit::from_env().lasting(Duration::from_secs(seconds.unwrap_or(60)));
    println!("seed {}", kit.seed());
    let report = kit.run(rig).await;
    println!("{report}");
    report.assert_clean();
}
