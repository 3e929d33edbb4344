//! The payload format of the backplane.
//!
//! A magic byte and a version come first, because two versions of Helios share a backplane while servers are replaced
//! one after the other. A payload of another version or origin is not interpreted. It counts as lost, and readers reset
//! their clients.
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | [`MAGIC`] |
//! | 1 | [`VERSION`] |
//! | 1 | flags |
//! | 16 | the only client that it is for, or that it is not for, if a flag is set |
//! | 4 | the place for the event's id, if there is an event |
//! | rest | the event, without its id |

use bytes::{Buf, BufMut, Bytes, BytesMut};
use helios_core::hub::UnnumberedEvent;
use helios_core::sse::ClientId;

use crate::sse::hub::{Audience, Publication};

const MAGIC: u8 = 0xE5;
const VERSION: u8 = 1;

/// The greatest length of the head before an event's bytes.
pub(super) const LONGEST_HEAD: usize = 3 + 16 + 4;

/// The place of the id in an event that has none, such as a comment.
const NOWHERE: u32 = u32::MAX;

mod flags {
    /// The client that the event is not for follows.
    pub(super) const EXCEPT: u8 = 1;
    /// It ends its topic.
    pub(super) const FINISHES: u8 = 1 << 1;
    /// There is no event.
    pub(super) const EMPTY: u8 = 1 << 2;
    /// The only client that the event is for follows.
    pub(super) const ONLY: u8 = 1 << 3;
    /// It is for the servers themselves.
    pub(super) const SERVERS: u8 = 1 << 4;
    pub(super) const ALL: u8 = EXCEPT | FINISHES | EMPTY | ONLY | SERVERS;
}

/// Why a payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PayloadError {
    #[error(
        "another version of Helios has published it (version {0}, but this server reads version {VERSION})"
    )]
    Version(u8),
    #[error("it was not published by Helios")]
    Foreign,
}

pub(super) fn pack(publication: &Publication) -> Bytes {
    let Publication {
        event,
        audience,
        finishes,
    } = publication;
    let (audience, client) = match audience {
        Audience::All => (0, None),
        Audience::Except(client) => (flags::EXCEPT, Some(client)),
        Audience::Only(client) => (flags::ONLY, Some(client)),
        Audience::Servers => (flags::SERVERS, None),
    };
    let set = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
    let flags = audience | set(flags::FINISHES, *finishes) | set(flags::EMPTY, event.is_none());
    let length = event.as_ref().map_or(0, |event| event.parts().0.len());
    let mut packed = BytesMut::with_capacity(LONGEST_HEAD + length);
    packed.put_slice(&[MAGIC, VERSION, flags]);
    if let Some(client) = client {
        packed.put_slice(client.as_bytes());
    }
    if let Some(event) = event {
        let (bytes, id_at) = event.parts();
        let id_at = id_at.and_then(|at| u32::try_from(at).ok());
        packed.put_u32(id_at.unwrap_or(NOWHERE));
        packed.put_slice(bytes);
    }
    packed.freeze()
}

/// # Errors
///
/// [`PayloadError`] if this version has not packed it.
pub(super) fn unpack(packed: &Bytes) -> Result<Publication, PayloadError> {
    match packed.as_ref() {
        [MAGIC, VERSION, flags, ..] if flags & !flags::ALL == 0 => {
            unpack_rest(*flags, packed.slice(3..)).ok_or(PayloadError::Foreign)
        }
        [MAGIC, version, ..] if *version != VERSION => Err(PayloadError::Version(*version)),
        _ => Err(PayloadError::Foreign),
    }
}

fn unpack_rest(flags: u8, mut rest: Bytes) -> Option<Publication> {
    let has = |flag: u8| flags & flag != 0;
    let audience = match flags & (flags::EXCEPT | flags::ONLY | flags::SERVERS) {
        0 => Audience::All,
        flags::EXCEPT => Audience::Except(unpack_client(&mut rest)?),
        flags::ONLY => Audience::Only(unpack_client(&mut rest)?),
        flags::SERVERS => Audience::Servers,
        _ => return None,
    };
    let is_for_few = has(flags::ONLY) || has(flags::SERVERS);
    let is_whole = match (has(flags::EMPTY), has(flags::FINISHES), is_for_few) {
        // An empty publication can only end a topic, and a topic is not ended for one client or for servers.
        (true, false, _) | (_, true, true) => false,
        _ => true,
    };
    if !is_whole {
        return None;
    }
    let event = match has(flags::EMPTY) {
        true if rest.is_empty() => None,
        true => return None,
        false => Some(unpack_event(rest)?),
    };
    Some(Publication {
        event,
        audience,
        finishes: has(flags::FINISHES),
    })
}

fn unpack_client(rest: &mut Bytes) -> Option<ClientId> {
    let mut id = [0; 16];
    rest.try_copy_to_slice(&mut id).ok()?;
    Some(ClientId::from_bytes(id))
}

fn unpack_event(mut rest: Bytes) -> Option<UnnumberedEvent> {
    let id_at = match rest.try_get_u32().ok()? {
        NOWHERE => None,
        at => Some(usize::try_from(at).ok()?),
    };
    UnnumberedEvent::from_parts(rest, id_at)
}

#[cfg(test)]
mod tests {
    use helios_core::event::SseEvent;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_survives_the_journey() {
        let client = ClientId::from_random_bytes([7; 16]);
        let event = UnnumberedEvent::new(&SseEvent::text("x").event("n")).unwrap();
        let comment = UnnumberedEvent::new(&SseEvent::default().comment("c")).unwrap();
        for event in [Some(event), Some(comment), None] {
            for (audience, finishes) in [
                (Audience::All, true),
                (Audience::All, false),
                (Audience::Except(client), false),
                (Audience::Only(client), false),
                (Audience::Servers, false),
            ] {
                if event.is_none() && !finishes {
                    continue;
                }
                let packed = pack(&Publication {
                    event: event.clone(),
                    audience,
                    finishes,
                });
                assert!(packed.len() <= LONGEST_HEAD + 64);
                let unpacked = unpack(&packed).unwrap();
                assert_eq!((unpacked.audience, unpacked.finishes), (audience, finishes));
                let parts = |event: &Option<UnnumberedEvent>| {
                    event.as_ref().map(|event| {
                        let (bytes, id_at) = event.parts();
                        (bytes.clone(), id_at)
                    })
                };
                assert_eq!(parts(&unpacked.event), parts(&event));
            }
        }
    }

    #[test]
    fn payloads_of_another_version_or_origin_are_refused() {
        let refused = |bytes: &[u8]| unpack(&Bytes::copy_from_slice(bytes)).err();
        assert_eq!(refused(&[MAGIC, 2, 0]), Some(PayloadError::Version(2)));
        let event = UnnumberedEvent::new(&SseEvent::text("x")).unwrap();
        let whole = pack(&Publication::event(event, None));
        for bad in [
            &[][..],
            &[MAGIC],
            &[MAGIC, VERSION],
            &[MAGIC, VERSION, 32],
            &[MAGIC, VERSION, flags::SERVERS],
            &[MAGIC, VERSION, flags::SERVERS | flags::EMPTY],
            &[MAGIC, VERSION, flags::EMPTY],
            &[MAGIC, VERSION, flags::EMPTY | flags::FINISHES, 0],
            &[MAGIC, VERSION, flags::ONLY | flags::EMPTY],
            &[[MAGIC, VERSION, flags::ALL].as_slice(), &[7; 40]].concat(),
            &[0, VERSION, 0, 0, 0, 0, 0],
            &whole[..5],
            &[MAGIC, VERSION, 0, 0, 0, 0, 9, b'x'],
        ] {
            assert_eq!(refused(bad), Some(PayloadError::Foreign), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(flags: u8, rest: Vec<u8>) {
            let packed = [&[MAGIC, VERSION, flags], &rest[..]].concat();
            let _ = unpack(&Bytes::from(packed));
            let _ = unpack(&Bytes::from(rest));
        }
    }
}
