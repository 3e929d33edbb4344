//! Two options of an app: the history of a topic, and the backlog of a client.

use std::time::Duration;

/// Limits the history of a topic, which is kept for clients that come back. The limit that is reached first counts, and the
/// oldest events go first. A client that comes back to less than it has missed is told by a `helios:reset`.
///
/// ```
/// use helios::sse::HistoryLimits;
/// use helios::prelude::*;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// let app = Helios::new(App).sse_options(|sse| {
///     sse.history = HistoryLimits { events: 500, age: Duration::from_secs(3600) };
///     // The newest price is all that somebody needs.
///     sse.keep_topic("price:*", HistoryLimits { events: 1, ..HistoryLimits::default() });
/// });
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Events. Default: 4,096. The newest one is kept whatever this says.
    pub events: usize,
    /// Age. Default: 5 minutes.
    pub age: Duration,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            events: 4_096,
            age: Duration::from_secs(300),
        }
    }
}

/// Limits the events that wait for one client. The limit that is reached first counts. The option `backlog` counts what is
/// published to the client's topics and what is sent to it alone together.
///
/// ```
/// use helios::sse::BacklogLimits;
/// use helios::prelude::*;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// let app = Helios::new(App).sse_options(|sse| {
///     // Small events, and clients on bad lines: let them be further behind.
///     sse.backlog = BacklogLimits { events: 5_000, ..BacklogLimits::default() };
/// });
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BacklogLimits {
    /// Events. Default: 1,000.
    pub events: usize,
    /// Bytes, encoded. Default: 1 MiB.
    pub bytes: usize,
}

impl Default for BacklogLimits {
    fn default() -> Self {
        Self {
            events: 1_000,
            bytes: 1 << 20,
        }
    }
}
