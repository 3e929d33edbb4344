//! Reports what a client library receives of a stream, one line of JSON for each observation: `NAME URL`.

use std::env;
use std::error::Error;
use std::future::ready;

use eventsource_client::{Client, ClientBuilder, SSE};
use futures_util::StreamExt;
use launchdarkly_sdk_transport::HyperTransport;
use log::{LevelFilter, Log, Metadata, Record};
use reqwest_eventsource::{Event, EventSource};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    log::set_logger(&Refusals)?;
    log::set_max_level(LevelFilter::Warn);
    let mut args = env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("eventsource-client"), Some(url)) => eventsource_client(&url).await?,
        (Some("reqwest-eventsource"), Some(url)) => reqwest_eventsource(url).await,
        _ => return Err("usage: (eventsource-client|reqwest-eventsource) URL".into()),
    }
    tell(json!({ "closed": "the stream is over" }));
    Ok(())
}

/// `eventsource-client` reports only to the log that a connection failed.
struct Refusals;

impl Log for Refusals {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("eventsource_client")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            tell(json!({ "error": record.args().to_string() }));
        }
    }

    fn flush(&self) {}
}

fn tell(seen: Value) {
    println!("{seen}");
}

async fn eventsource_client(url: &str) -> Result<(), Box<dyn Error>> {
    let transport = HyperTransport::builder().build_http()?;
    let client = ClientBuilder::for_url(url)?.build_with_transport(transport);
    let seen = client.stream().for_each(|next| {
        match next {
            Ok(SSE::Event(event)) => {
                tell(json!({ "event": event.event_type, "id": event.id, "data": event.data }));
            }
            Ok(SSE::Connected(_) | SSE::Comment(_)) => {}
            Err(error) => tell(json!({ "error": error.to_string() })),
        }
        ready(())
    });
    seen.await;
    Ok(())
}

async fn reqwest_eventsource(url: String) {
    let seen = EventSource::get(url).for_each(|next| {
        match next {
            Ok(Event::Message(event)) => {
                tell(json!({ "event": event.event, "id": event.id, "data": event.data }));
            }
            Ok(Event::Open) => {}
            Err(error) => tell(json!({ "error": error.to_string() })),
        }
        ready(())
    });
    seen.await;
}
