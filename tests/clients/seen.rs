//! Everything that a client has received of a stream.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Longer than a browser takes to start on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code)] // the texts are for the output of a failed test
pub(crate) enum Sight {
    Event(Event),
    /// It has stopped, and will not reconnect.
    Closed {
        closed: String,
    },
    /// It has lost the connection, or could not open one.
    Error {
        error: String,
    },
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Event {
    #[serde(rename = "event")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    pub(crate) fn number(&self) -> u64 {
        self.data.parse().unwrap()
    }
}

/// Observations of one client. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    sights: Arc<Mutex<Vec<Sight>>>,
    /// Killed with the last clone that has it.
    _program: Option<Arc<Child>>,
}

impl Seen {
    /// Runs a program that writes a line of JSON for each observation.
    pub(crate) fn by(mut program: Command) -> Self {
        let program = program.stdout(Stdio::piped()).kill_on_drop(true);
        let mut program = program.spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let seen = Self::default();
        let noted = seen.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                noted.note(&line);
            }
        });
        let _program = Some(Arc::new(program));
        Self { _program, ..seen }
    }

    /// Records a line of JSON from the client.
    pub(crate) fn note(&self, line: &str) {
        let sight = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.sights.lock().unwrap().push(sight);
    }

    fn sights(&self) -> Vec<Sight> {
        self.sights.lock().unwrap().clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let events = self.sights().into_iter().filter_map(|sight| match sight {
            Sight::Event(event) => Some(event),
            Sight::Closed { .. } | Sight::Error { .. } => None,
        });
        events.collect()
    }

    pub(crate) fn named(&self, name: &str) -> Vec<Event> {
        let events = self.events().into_iter();
        events.filter(|event| event.name == name).collect()
    }

    pub(crate) fn has_closed(&self) -> bool {
        let mut sights = self.sights().into_iter();
        sights.any(|sight| matches!(sight, Sight::Closed { .. }))
    }

    fn errors(&self) -> usize {
        let errors = self.sights().into_iter();
        let errors = errors.filter(|sight| matches!(sight, Sight::Error { .. }));
        errors.count()
    }

    /// Waits until it has received `count` events of this name.
    pub(crate) async fn wait_for(&self, name: &str, count: usize) {
        let what = format!("{count} x {name}");
        self.until(&what, || self.named(name).len() >= count).await;
    }

    /// Waits until it has received this number.
    pub(crate) async fn wait_for_news(&self, number: u64) {
        let is_there = || {
            self.named("news")
                .iter()
                .any(|news| news.number() == number)
        };
        self.until(&format!("news {number}"), is_there).await;
    }

    /// Waits until a `helios:ready` has brought another position.
    pub(crate) async fn wait_for_a_position_other_than(&self, id: &str) {
        let is_there = || {
            let ready = self.named("helios:ready");
            ready.len() > 1 && ready.last().is_some_and(|ready| ready.id() != id)
        };
        self.until(&format!("a position other than {id}"), is_there)
            .await;
    }

    pub(crate) async fn wait_until_closed(&self) {
        self.until("the end", || self.has_closed()).await;
    }

    /// Waits until it has lost the connection, and could not open a new one.
    pub(crate) async fn wait_until_refused(&self) {
        self.until("refused", || self.errors() >= 2).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        if !patiently(is_so).await {
            let sights = self.sights();
            let sights: Vec<_> = sights.iter().map(|sight| format!("{sight:?}")).collect();
            panic!("waiting for {what}:\n{}", sights.join("\n"));
        }
    }
}

/// Waits until the condition holds. Returns whether it does in time.
pub(crate) async fn patiently(is_so: impl Fn() -> bool) -> bool {
    let waited = timeout(PATIENCE, async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.is_ok()
}
