//! A dashboard: live figures of the server, a job queue, a chat and notifications, on one page over one stream.
//!
//! ```text
//! cargo run -p helios-example-dashboard                  # open it in two windows, start jobs, chat
//! cargo run -p helios-example-dashboard -- some/folder   # keeps its state there
//! curl -N http://127.0.0.1:3000/live
//! curl http://127.0.0.1:3000/openapi.json                # its routes and events
//! ```
//!
//! Kill the server in the middle of a job, with `kill -9` if you like, and start it again. The pages reconnect by themselves and go on
//! where they were, and so does the job. No message is missing, and none is there twice. The events are in a log on the disk, so to a
//! page a restart is no more than a short break of the network.
//!
//! | file | purpose |
//! | --- | --- |
//! | `live.rs` | the stream of a page |
//! | `metrics.rs`, `process.rs` | figures of the server, once a second |
//! | `jobs.rs`, `workers.rs`, `primes.rs` | the routes of jobs, the workers, the work |
//! | `board.rs`, `store.rs` | the rules of the queue; its state, which survives a restart and publishes its changes |
//! | `chat.rs`, `notifications.rs` | the chat and the notifications, kept in the history of their topics alone |
//! | `background.rs`, `clock.rs` | small helpers |
//! | `news.rs` | every event, by name and data. The document and the types of the page come from it |
//! | `page.rs`, `page/` | the page |

mod background;
mod board;
mod chat;
mod clock;
mod jobs;
mod live;
mod metrics;
mod news;
mod notifications;
mod page;
mod primes;
mod process;
mod store;
mod workers;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use helios::log::Log;
use helios::prelude::{Helios, server};

use store::Store;

#[server(
    controllers = [live::Live, jobs::Jobs, chat::Chat, page::Page],
    body_limit = 8_192,
    sse(enabled = true, retry = "1s"),
    port = 3000,
)]
pub(crate) struct App;

/// Creates the app with its jobs in this folder and its events in memory.
pub(crate) fn app(folder: &Path) -> io::Result<Helios> {
    fs::create_dir_all(folder)?;
    let app = Helios::new(App)
        .openapi("/openapi.json")
        .sse_options(|sse| {
            sse.keep_topic(metrics::TOPIC, metrics::KEPT);
            sse.keep_topic(chat::TOPIC, chat::KEPT);
            sse.keep_topic(notifications::TOPIC, notifications::KEPT);
            sse.keep_keys = chat::SENT_AGAIN;
            sse.connections.total = 1_000;
            sse.connections.per_address = Some(100);
        });
    let store = Store::open(folder, &app.sse())?;
    Ok(app.provide(store))
}

/// Creates the app with its events in this folder too.
pub(crate) fn lasting(folder: &Path) -> io::Result<Helios> {
    Ok(app(folder)?.backplane(Log::open(folder.join("events"))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| "dashboard-data".into());
    let app = lasting(&folder)?;
    println!(
        "Jobs and events are kept in {}",
        folder.canonicalize()?.display()
    );
    Ok(app.listen().await?)
}
