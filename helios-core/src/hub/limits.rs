//! Limits that an app sets on the history of a topic and on the backlog of a client.

use std::time::Duration;

/// Limits on the history of a topic, which is kept for clients that reconnect. The limit that is reached first counts,
/// and the oldest events are dropped first. A client that has missed more than history holds receives a `helios:reset`.
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
///     // Clients only need the newest price.
///     sse.keep_topic("price:*", HistoryLimits { events: 1, ..HistoryLimits::default() });
/// });
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// The most events. Default: 4,096. The newest event is kept even if this is 0.
    pub events: usize,
    /// The greatest age. Default: 5 minutes.
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

/// Limits on the events that wait for one client. The limit that is reached first counts. The option `backlog` counts
/// the events published to the client's topics together with those sent to it alone.
///
/// ```
/// use helios::sse::BacklogLimits;
/// use helios::prelude::*;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// let app = Helios::new(App).sse_options(|sse| {
///     // Events are small and many clients have bad connections, so let them be further behind.
///     sse.backlog = BacklogLimits { events: 5_000, ..BacklogLimits::default() };
/// });
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BacklogLimits {
    /// The most events. Default: 1,000.
    pub events: usize,
    /// The most bytes, encoded. Default: 1 MiB.
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
