//! What a client hears, and what it makes of it.

use std::sync::Arc;
use std::time::Duration;

use helios::sse::{Decoded, DecodedEvent, EventId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::Life;
use crate::ledger::{Fault, other};
use crate::post::{Post, TOLD, Told, now};
use crate::server::RETENTION;
use crate::stream::{End, Stream};
use crate::world::Phase;

#[derive(Deserialize)]
struct Ready {
    client: String,
}

#[derive(Deserialize)]
struct Reset {
    reason: String,
    topics: Vec<String>,
}

#[derive(Deserialize)]
struct Reconnect {
    reason: String,
}

impl Life {
    /// Reads for as long as this phase lasts, but no longer than until then.
    pub(super) async fn read_until(
        &mut self,
        stream: &mut Stream,
        until: Instant,
        phase: Phase,
    ) -> Result<(), End> {
        let world = Arc::clone(&self.world);
        let over = world.after(phase);
        let until = sleep_until(until);
        tokio::pin!(over, until);
        loop {
            let item = tokio::select! {
                biased;
                () = &mut over => return Ok(()),
                () = &mut until => return Ok(()),
                item = stream.next() => item?,
            };
            self.take(item);
        }
    }

    pub(super) fn take(&mut self, item: Decoded) {
        match item {
            Decoded::Event(event) => {
                if let Err(fault) = self.take_event(&event) {
                    self.fault(&fault);
                }
            }
            Decoded::Comment(_) => self.world.tally.lock().keep_alives += 1,
            _ => {}
        }
    }

    fn take_event(&mut self, event: &DecodedEvent) -> Result<(), Fault> {
        let id = event.id.parse::<EventId>().ok();
        match &*event.event {
            "message" => self.take_post(event, id),
            TOLD => {
                self.world.tally.lock().private += 1;
                let told = Told::parse(&event.data).ok_or_else(|| damaged(event))?;
                self.ledger.take_private(told, id)
            }
            control => {
                self.note(format_args!("{control} {} {}", event.id, event.data));
                self.take_control(event, id.ok_or_else(|| damaged(event))?)
            }
        }
    }

    fn take_post(&mut self, event: &DecodedEvent, id: Option<EventId>) -> Result<(), Fault> {
        let (Some(post), Some(id)) = (Post::parse(&event.data), id) else {
            return Err(damaged(event));
        };
        self.last_age = Duration::from_micros(now().saturating_sub(post.at));
        {
            let mut counts = self.world.tally.lock();
            counts.received += 1;
            if self.fluent_from <= Instant::now() {
                counts.latency.add(self.last_age);
            }
        }
        if self.id.is_none() {
            return Err(other("gets events before it is ready"));
        }
        self.ledger.take(&post, id)
    }

    fn take_control(&mut self, event: &DecodedEvent, id: EventId) -> Result<(), Fault> {
        match &*event.event {
            "helios:ready" => {
                let Ready { client } = parse(event)?;
                match self.id.replace(client) {
                    None => self.ledger.ready(id),
                    Some(_) => self.ledger.ready_again(id, now()),
                }
            }
            "helios:reset" => {
                let Reset { reason, topics } = parse(event)?;
                self.world.tally.lock().reset(reason);
                self.ledger.reset(&topics, id, now(), RETENTION)
            }
            "helios:reconnect" => {
                let Reconnect { reason } = parse(event)?;
                self.reason = Some(reason);
                Ok(())
            }
            _ => Err(damaged(event)),
        }
    }
}

fn parse<T: DeserializeOwned>(event: &DecodedEvent) -> Result<T, Fault> {
    serde_json::from_str(&event.data).map_err(|_| damaged(event))
}

fn damaged(event: &DecodedEvent) -> Fault {
    let start: String = format!("{event:?}").chars().take(200).collect();
    other(format!("does not understand {start}"))
}
