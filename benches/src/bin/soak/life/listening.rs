//! How a client handles what it receives.

use std::sync::Arc;
use std::time::Duration;

use helios::sse::{Decoded, DecodedEvent, EventId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::Life;
use crate::ledger::{Fault, other};
use crate::post::{LAST, Post, SNAPSHOT, TOLD, Told, now};
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
    /// Reads until the phase or the given time ends.
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
            Decoded::Retry(_) if self.kind.plain => {
                self.fault(&other("a plain stream has a retry time"));
            }
            _ => {}
        }
    }

    fn take_event(&mut self, event: &DecodedEvent) -> Result<(), Fault> {
        let id = event.id.parse().ok().or(self.position);
        match &*event.event {
            "message" | LAST => self.take_post(event, id),
            TOLD => {
                self.world.tally.lock().private += 1;
                let told = Told::parse(&event.data).ok_or_else(|| damaged(event))?;
                self.ledger.take_private(told, id)
            }
            SNAPSHOT => self.take_snapshot(event),
            control => {
                self.note(format_args!("{control} {} {}", event.id, event.data));
                match self.kind.plain {
                    true => Err(damaged(event)),
                    false => self.take_control(event, id),
                }
            }
        }
    }

    fn take_post(&mut self, event: &DecodedEvent, id: Option<EventId>) -> Result<(), Fault> {
        let (Some(post), Some(id)) = (Post::parse(&event.data), id) else {
            return Err(damaged(event));
        };
        self.last_age = Duration::from_micros(now().saturating_sub(post.at));
        self.count(|counts| counts.received += 1);
        if self.fluent_from <= Instant::now() {
            let is_middle = self.world.is_middle();
            self.world.tally.lock().arrived(self.last_age, is_middle);
        }
        if self.id.is_none() && !self.kind.plain {
            return Err(other("gets events before it is ready"));
        }
        match &*event.event {
            LAST => self.ledger.take_last(&post, id),
            _ => self.ledger.take(&post, id),
        }
    }

    fn take_snapshot(&mut self, event: &DecodedEvent) -> Result<(), Fault> {
        self.note(format_args!("snapshot {}", event.data));
        self.count(|counts| counts.snapshots += 1);
        let (topic, count) = event.data.split_once(' ').ok_or_else(|| damaged(event))?;
        let count = count.parse().map_err(|_| damaged(event))?;
        self.ledger.take_snapshot(topic, count)
    }

    fn take_control(&mut self, event: &DecodedEvent, id: Option<EventId>) -> Result<(), Fault> {
        match &*event.event {
            "helios:ready" => {
                let Ready { client } = parse(event)?;
                let is_first = self.id.replace(client).is_none();
                self.take_ready(id, is_first)
            }
            "helios:reset" => {
                let Reset { reason, topics } = parse(event)?;
                self.world.tally.lock().reset(reason);
                let id = id.ok_or_else(|| damaged(event))?;
                // The client does not read while the hook runs, and history may move on without it.
                self.was_slow();
                self.ledger.reset(&topics, id, now())
            }
            "helios:end" => {
                self.reason = Some("end".to_owned());
                self.told_end();
                Ok(())
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

impl Life {
    fn take_ready(&mut self, id: Option<EventId>, is_first: bool) -> Result<(), Fault> {
        let is_fresh = self.ledger.last_id().is_none();
        let awaits_snapshot = self.kind.snapshots && is_fresh && is_first;
        match id {
            Some(_) if awaits_snapshot => Err(other("is ready before its snapshot")),
            Some(id) if is_first || is_fresh => self.ledger.ready(id, now()),
            Some(id) => self.ledger.ready_again(id, now()),
            None if is_first => self.ledger.ready_for_snapshot(),
            None => Err(other("is ready again without a position")),
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
