//! The server that gets killed.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use helios::log::Log;
use helios::prelude::*;
use helios::sse::PublishOptions;
use tokio::net::TcpListener;

use crate::Error;
use crate::server::end_with_parent;

/// The argument that makes this program this server. A folder and a port follow.
pub(crate) const SERVE: &str = "serve-log";

#[derive(Injectable)]
struct Logged {
    sse: SseService,
}

#[controller]
impl Logged {
    #[sse("events")]
    async fn events(&self, #[query] topics: String) -> Result<SseStream, SseError> {
        self.sse.subscribe(topics.split(',')).await
    }

    /// Returns the id on a line of its own, so that a truncated id cannot be taken for another.
    #[post("say")]
    async fn say(
        &self,
        #[query] topic: String,
        #[query] text: String,
        #[query] once: bool,
    ) -> Result<String, SseError> {
        let id = match once {
            true => {
                let key = PublishOptions::default().key(text[..text.len().min(40)].to_owned());
                self.sse.publish_with(topic, text, &key).await?
            }
            false => self.sse.publish(topic, text).await?,
        };
        Ok(format!("{id}\n"))
    }
}

#[server(controllers = [Logged], sse(enabled = true, keep_alive = "3s", retry = "100ms"))]
struct App;

/// Prints its address, and serves until it is killed. Clients that connect before the log is open wait.
pub(crate) async fn serve(folder: &str, port: u16) -> Result<(), Error> {
    thread::spawn(end_with_parent);
    let app = Helios::new(App).banner(false);
    let app = match folder {
        "" => app,
        folder => app.backplane(Log::open(folder).wait_for(Duration::from_secs(5))),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    Ok(app.listen_on(listener).await?)
}
