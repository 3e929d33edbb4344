//! How a client connects, and how it handles the response.

use std::io;
use std::time::Duration;

use helios::sse::EventId;
use tokio::time::{Instant, sleep, timeout};

use super::Life;
use crate::ledger::{Fault, Start, other};
use crate::post::now;
use crate::stream::{Answer, Request, Stream};
use crate::topics;
use crate::world::Phase;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A connection's first events may be old.
const CAUGHT_UP_AFTER: Duration = Duration::from_secs(2);
/// The id of `helios:end`.
const END_MARK: &str = "helios:end";

impl Life {
    /// Connects, either anew or to resume.
    pub(super) async fn arrive(&mut self) -> Option<Stream> {
        match self.kind.jobs {
            true => self.choose_jobs().await,
            false => self.choose_topics(),
        }
        if self.ledger.topics().is_empty() {
            // There is no job, or none that can still be followed.
            sleep(Duration::from_millis(100)).await;
            return None;
        }
        let opened = timeout(ANSWER_WITHIN, self.ask()).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match opened {
            Ok(stream) => {
                self.excused_until = Instant::now();
                self.arrived = Instant::now();
                self.fluent_from = Instant::now() + CAUGHT_UP_AFTER;
                stream
            }
            Err(error) => {
                self.fault(&other(format!("could not connect: {error}")));
                sleep(Duration::from_secs(1)).await;
                None
            }
        }
    }

    fn choose_topics(&mut self) {
        // A client that waits for its snapshot must get it for the same topics.
        let is_new = self.ledger.last_id().is_none() && !self.kind.snapshots;
        let anew = is_new || self.rng.u32(..5) == 0;
        if anew && self.world.phase() == Phase::Unruly || self.ledger.topics().is_empty() {
            let begins = match self.kind.snapshots {
                true => Start::Snapshot,
                false => Start::Position,
            };
            self.ledger.begin_with(topics::some(&mut self.rng), begins);
        }
    }

    /// Requests a stream. Now and then it does not wait for the response.
    async fn ask(&mut self) -> io::Result<Option<Stream>> {
        self.ledger.asks(now());
        let last = self.ledger.last_id();
        self.count(|counts| {
            counts.connections += 1;
            counts.resumes += u64::from(last.is_some());
        });
        self.id = None;
        self.position = None;
        self.reason = None;
        let last = last.map(|id| id.to_string());
        let after = last.as_deref().unwrap_or("the start");
        let comes = format!("comes after {after} to {:?}", self.ledger.topics());
        self.note(comes);
        let mut stream = self.request(last).await?;
        if self.rng.u32(..30) == 0 {
            self.act("left before the answer");
            stream.reset();
            return Ok(None);
        }
        let answer = stream.head().await?;
        self.note(format_args!("{answer:?}"));
        Ok(self.take_answer(answer).await.then_some(stream))
    }

    async fn request(&mut self, last: Option<String>) -> io::Result<Stream> {
        let request = Request {
            kind: self.kind,
            topics: &self.ledger.topics(),
            earliest: self.ledger.begins() == Start::Earliest,
            wait: (self.rng.u32(..4) == 0).then(|| self.rng.u64(1..200)),
            last_event_id: match self.is_over && !self.kind.plain {
                true => Some(END_MARK.to_owned()),
                false => last,
            },
        };
        Stream::ask(self.world.server, &request).await
    }

    /// Returns whether the stream is open.
    async fn take_answer(&mut self, answer: Answer) -> bool {
        let judged = match answer {
            Answer::Open(position) => self.take_head(position),
            Answer::Over => self.take_over(),
            Answer::Gone => {
                self.count(|counts| counts.gone += 1);
                self.gone()
            }
            Answer::Busy(time) => {
                self.count(|counts| counts.busy += 1);
                self.pause(time).await;
                Ok(())
            }
        };
        if let Err(fault) = judged {
            self.fault(&fault);
        }
        matches!(answer, Answer::Open(_))
    }

    fn take_head(&mut self, position: Option<EventId>) -> Result<(), Fault> {
        self.position = position;
        if self.is_over || self.kind.plain && self.ledger.has_all() {
            return Err(other("was opened, although its topics have ended"));
        }
        match position {
            Some(id) if self.kind.plain => self.ledger.ready(id, now()),
            None if !self.kind.plain => Ok(()),
            _ => Err(other(format!("opened at the position {position:?}"))),
        }
    }

    fn take_over(&mut self) -> Result<(), Fault> {
        self.count(|counts| counts.over += 1);
        let faults = self.ledger.over();
        let was_told = self.is_over || self.kind.plain;
        self.forget();
        match faults.into_iter().next() {
            Some(fault) => Err(fault),
            None if was_told => Ok(()),
            None => Err(other("is over, but did not receive its end")),
        }
    }

    fn gone(&mut self) -> Result<(), Fault> {
        let judged = self.ledger.gone(now());
        self.forget();
        match self.kind.plain {
            true => judged,
            false => Err(other("a full stream got a 410")),
        }
    }
}
