//! The commands that make a server publish.

use std::fmt::Write;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Begins the data of each event, and occurs nowhere else in what a server sends.
pub const MARK: u8 = b'~';

/// A command to publish a number of events of one size to each of a number of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// How many events for each topic.
    pub events: u32,
    /// How many topics, from `t0` on.
    pub topics: u32,
    /// Bytes of data in each event.
    pub size: u32,
}

impl Command {
    pub(super) const BYTES: usize = 12;

    /// Encodes the command.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let fields = [self.events, self.topics, self.size];
        for (place, field) in bytes.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let field = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            events: field(0),
            topics: field(4),
            size: field(8),
        }
    }

    /// Returns the names of its topics.
    pub fn topics(self) -> impl Iterator<Item = String> {
        (0..self.topics).map(topic)
    }

    /// Returns the data of an event that is published now: the mark, the time, and padding up to its size.
    #[must_use]
    pub fn data(self) -> String {
        let size = self.size as usize;
        // Allocated once, because the allocations of a server are counted.
        let mut data = String::with_capacity(size.max(20));
        let _ = write!(data, "~{:019}", now());
        data.extend(std::iter::repeat_n('x', size.saturating_sub(20)));
        data
    }
}

/// Returns the name of a topic.
#[must_use]
pub fn topic(number: u32) -> String {
    format!("t{number}")
}

/// Returns the nanoseconds since 1970, which are the same in all processes of a machine.
#[must_use]
pub fn now() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH);
    passed.map_or(0, |passed| {
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// Publishes with one of the servers.
pub(super) trait Publisher: Send + Sync + 'static {
    fn publish(&self, topic: &str, data: String) -> impl Future<Output = ()> + Send;
}

/// Publishes each of the commands until their pipe closes.
pub(super) async fn publish(commands: OwnedFd, publisher: impl Publisher) -> io::Result<()> {
    let mut commands = pipe::Receiver::from_owned_fd(commands)?;
    let mut bytes = [0; Command::BYTES];
    while commands.read_exact(&mut bytes).await.is_ok() {
        let command = Command::from_bytes(bytes);
        for topic in command.topics() {
            for _ in 0..command.events {
                publisher.publish(&topic, command.data()).await;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_arrives_as_it_was_given() {
        let command = Command {
            events: 16,
            topics: 70_000,
            size: 64,
        };
        assert_eq!(Command::from_bytes(command.to_bytes()), command);
    }

    #[test]
    fn data_has_the_requested_size_and_begins_with_the_mark() {
        let command = Command {
            events: 1,
            topics: 1,
            size: 64,
        };
        let data = command.data();
        assert_eq!((data.len(), data.as_bytes()[0]), (64, MARK));
        assert!(data[1..20].parse::<u64>().unwrap() <= now());
    }
}
