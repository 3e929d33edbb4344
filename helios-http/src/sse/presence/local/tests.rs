//! Streams of one member that change while their row is on its way.

use helios_core::sse::NodeId;
use tokio::sync::oneshot::Receiver;

use super::*;

type Answer = Receiver<Result<(), SseError>>;

fn lease() -> Lease {
    Lease::new(NodeId::new(7).unwrap(), 1)
}

fn ann() -> Name {
    ("room:tea".into(), "ann".into())
}

fn appear(local: &mut Local, stream: ClientId, data: &str) -> Answer {
    let (waiter, answer) = oneshot::channel();
    let changed = local.appear(stream, ("room:tea", "ann"), data, 10, waiter);
    assert_eq!(changed.unwrap(), [ann()]);
    answer
}

/// Returns the data and the version of the row to put.
fn put(local: &mut Local) -> (Arc<str>, u64) {
    match local.next(&ann(), lease()) {
        Some(Step::Put { data, version, .. }) => (data, version),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_that_appears_twice_in_a_full_topic_is_refused_twice() {
    let (mut local, stream) = (Local::default(), ClientId::from_random_bytes([7; 16]));
    let mut first = appear(&mut local, stream, "1");
    assert!(local.begin(&ann()));
    let (_, version) = put(&mut local);
    let mut second = appear(&mut local, stream, "2");
    let refused = || Outcome::Refused(too_many(1));
    assert!(local.put(&ann(), lease(), version, refused()));
    assert!(first.try_recv().unwrap().is_err());
    assert!(second.try_recv().is_err(), "it has no answer yet");
    let (data, version) = put(&mut local);
    assert_eq!(&*data, "2");
    local.put(&ann(), lease(), version, refused());
    assert_eq!(local.next(&ann(), lease()), None);
    assert!(second.try_recv().unwrap().is_err());
    assert!(local.slots.is_empty() && local.by_stream.is_empty());
}

#[test]
fn a_failed_update_leaves_the_data_from_before_all_updates() {
    let (mut local, stream) = (Local::default(), ClientId::from_random_bytes([7; 16]));
    let _first = appear(&mut local, stream, "1");
    assert!(local.begin(&ann()));
    let (_, version) = put(&mut local);
    assert!(local.put(&ann(), lease(), version, Outcome::Kept));
    let _second = appear(&mut local, stream, "2");
    let (_, version) = put(&mut local);
    let _third = appear(&mut local, stream, "3");
    let refused = || Outcome::Refused(too_many(1));
    assert!(local.put(&ann(), lease(), version, refused()));
    let (data, version) = put(&mut local);
    assert_eq!(&*data, "3");
    local.put(&ann(), lease(), version, refused());
    assert_eq!(&*put(&mut local).0, "1");
}
