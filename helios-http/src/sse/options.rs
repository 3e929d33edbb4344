//! Settings of the SSE side of a server.

use std::time::Duration;

use helios_core::hub::{OutboxLimits, RingLimits};

use crate::controller::SseTable;

/// How connections are kept, bounded and ended. [`SseOptions::default`] gives the documented defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SseOptions {
    /// A comment is sent after this much silence, so that proxies keep the connection and vanished peers are
    /// noticed. Default: 15 s. `None` turns it off.
    pub keep_alive: Option<Duration>,
    /// How long a client waits before it reconnects, told at the start of every connection. Default: 3 s.
    pub retry: Duration,
    /// Starts every connection with `event: welcome` and `{"uuid": ".."}`. Default: off.
    pub welcome: bool,
    /// What the names of control events begin with; no other event may use it. Default: `helios:`.
    pub control_prefix: String,
    /// The largest event, encoded. Default: 256 KiB.
    pub max_event_bytes: usize,
    /// How much may wait for one connection. Default: 1,000 events or 1 MiB.
    pub backlog: OutboxLimits,
    /// How much of a topic is kept.
    pub history: RingLimits,
    /// A client that has something to read and does not for this long is closed. Default: 30 s.
    pub stuck_after: Duration,
    /// A close or error hook that runs longer than this is dropped. Default: 30 s.
    pub hook_timeout: Duration,
}

impl Default for SseOptions {
    fn default() -> Self {
        Self {
            keep_alive: Some(Duration::from_secs(15)),
            retry: Duration::from_secs(3),
            welcome: false,
            control_prefix: "helios:".to_owned(),
            max_event_bytes: 256 * 1024,
            backlog: OutboxLimits::default(),
            history: RingLimits::default(),
            stuck_after: Duration::from_secs(30),
            hook_timeout: Duration::from_secs(30),
        }
    }
}

impl SseOptions {
    /// The defaults with what `sse(..)` of `#[server]` sets.
    pub(crate) fn from_table(table: &SseTable) -> Self {
        let mut options = Self::default();
        if let Some(millis) = table.keep_alive {
            options.keep_alive = (millis > 0).then(|| Duration::from_millis(millis));
        }
        if let Some(millis) = table.retry {
            options.retry = Duration::from_millis(millis);
        }
        if let Some(prefix) = table.control_prefix {
            prefix.clone_into(&mut options.control_prefix);
        }
        options.welcome = table.welcome;
        options
    }
}
