//! A dashboard: live figures of the server, a job queue, a chat and notifications, on one page over one `EventSource`.
//!
//! ```text
//! cargo run --example dashboard                  # open it in two windows, start jobs, chat
//! cargo run --example dashboard -- some/folder   # keeps its state there
//! curl -N http://127.0.0.1:3000/live
//! ```
//!
//! Kill the server in the middle of a job and start it again: the pages come back by themselves, the job goes on where it
//! was, and no message is missing or there twice.
//!
//! | file | purpose |
//! | --- | --- |
//! | `live.rs` | the one stream that a page opens |
//! | `store.rs` | state that survives a restart, and whose changes are published |
//! | `metrics.rs`, `process.rs` | what the server is doing, once a second |
//! | `jobs.rs`, `board.rs`, `workers.rs`, `primes.rs` | orders, the rules of the queue, who does the work, the work |
//! | `chat.rs`, `notifications.rs` | as they say |
//! | `recent.rs`, `background.rs`, `clock.rs` | small helpers |
//! | `page.rs`, `page/` | the page |

mod background;
mod board;
mod chat;
mod clock;
mod jobs;
mod live;
mod metrics;
mod notifications;
mod page;
mod primes;
mod process;
mod recent;
mod store;
mod workers;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use helios::prelude::{Duration, Helios, server};
use helios::sse::HistoryLimits;

use board::Board;
use chat::Messages;
use notifications::Notices;
use store::Store;

#[server(
    controllers = [live::Live, jobs::Jobs, chat::Chat, page::Page],
    body_limit = 8_192,
    sse(enabled = true, retry = "1s"),
    port = 3000,
)]
pub(crate) struct App;

/// The app, with its state in this folder.
pub(crate) fn app(folder: &Path) -> io::Result<Helios> {
    fs::create_dir_all(folder)?;
    let app = Helios::new(App).sse_options(|sse| {
        // The newest figures are all that a page shows; a page that was away for longer is given those.
        let events = metrics::KEPT;
        let age = Duration::from_secs(120);
        sse.keep_topic(metrics::TOPIC, HistoryLimits { events, age });
        sse.connections.total = 1_000;
        sse.connections.per_address = Some(100);
    });
    let sse = app.sse();
    Ok(app
        .provide(Store::<Board>::open(folder, &sse)?)
        .provide(Store::<Messages>::open(folder, &sse)?)
        .provide(Store::<Notices>::open(folder, &sse)?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| "dashboard-data".into());
    Ok(app(&folder)?.listen().await?)
}
