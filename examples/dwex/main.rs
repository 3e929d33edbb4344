//! Dwex' "Server-Sent Events", with a file for each part of its page: both approaches, countdown and reconnection
//! (`events`), live metrics (`monitoring`), dependency injection (`notifications`), event-driven updates (`activity`),
//! job progress (`jobs`), a guard (`private`), errors and cleanup (`data`).
//!
//! ```text
//! cargo run --example dwex
//! curl -N http://127.0.0.1:3000/events/updates
//! curl -N http://127.0.0.1:3000/events/time
//! curl -N http://127.0.0.1:3000/events/countdown
//! curl -N http://127.0.0.1:3000/events/feed -H 'Last-Event-ID: 95'
//! curl -N http://127.0.0.1:3000/monitoring/metrics
//! curl -N 'http://127.0.0.1:3000/notifications/stream?userId=ann'
//! curl -N http://127.0.0.1:3000/activity/stream & curl http://127.0.0.1:3000/activity/ann --json '"sign in"'
//! curl -N http://127.0.0.1:3000/jobs/progress/7
//! curl -N http://127.0.0.1:3000/private/notifications -H 'Authorization: Bearer token'
//! curl -N http://127.0.0.1:3000/data/stream
//! ```

mod activity;
mod data;
mod events;
mod jobs;
mod monitoring;
mod notifications;
mod private;

use activity::Activity;
use data::Data;
use events::Events;
use helios::prelude::*;
use jobs::Jobs;
use monitoring::Monitoring;
use notifications::Notifications;
use private::PrivateEvents;

/// Helios sends a comment every 15 s to keep a silent stream alive. Nothing has to be configured or sent for that.
#[server(
    controllers = [Events, Monitoring, Notifications, Activity, Jobs, PrivateEvents, Data],
    sse(enabled = true),
)]
pub(crate) struct App;

#[tokio::main]
async fn main() -> Result<(), helios::Error> {
    Helios::new(App).listen().await
}
