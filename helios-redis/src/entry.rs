//! The binary form of events in lists and channels.

use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use helios_core::hub::EventId;
use helios_http::sse::backplane::PastEvent;

/// An event and the id before it in its topic.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) event: PastEvent,
    pub(crate) prev: Option<EventId>,
}

/// Reads an entry of a list. Returns `None` if no script has written it.
pub(crate) fn of_list(epoch: u64, mut bytes: Bytes) -> Option<Entry> {
    let seq = bytes.try_get_u64().ok()?;
    let prev = bytes.try_get_u64().ok()?;
    if prev >= seq {
        return None;
    }
    let millis = bytes.try_get_u64().ok()?;
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))?;
    let id = |seq| EventId::new(epoch, seq);
    Some(Entry {
        event: PastEvent::new(id(seq), at, bytes),
        prev: (prev > 0).then(|| id(prev)),
    })
}

/// Reads a message of a channel, which is an entry behind its epoch.
pub(crate) fn of_message(mut bytes: Bytes) -> Option<Entry> {
    let epoch = bytes.try_get_u64().ok()?;
    of_list(epoch, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_a_script_packs_it() {
        let numbers = [7_u64, 9, 4, 1_000].map(u64::to_be_bytes).concat();
        let entry = of_message([&numbers[..], b"text"].concat().into()).unwrap();
        assert_eq!(entry.event.id, EventId::new(7, 9));
        assert_eq!(entry.prev, Some(EventId::new(7, 4)));
        assert_eq!(
            entry.event.at,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1)
        );
        assert_eq!(entry.event.bytes, "text");
    }

    #[test]
    fn what_no_script_has_written_is_none() {
        for length in 0..32 {
            assert!(of_message(vec![0; length].into()).is_none());
        }
        let follows_itself = [4_u64, 4, 1_000].map(u64::to_be_bytes).concat();
        assert!(of_list(1, follows_itself.into()).is_none());
    }
}
