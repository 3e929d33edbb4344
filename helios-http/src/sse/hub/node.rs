//! The node of a stream. A handle may be created before any hub knows it.

use std::sync::atomic::{AtomicU64, Ordering};

use helios_core::sse::NodeId;

/// The node of the only hub that this process has created. 0 if it has created none.
static ONLY: AtomicU64 = AtomicU64::new(0);

/// Set if there are several hubs. A handle may then belong to any of them, so other nodes do not find its stream.
const SEVERAL: u64 = u64::MAX;

/// Returns the node of a new hub.
pub(crate) fn of_new_hub() -> NodeId {
    let node = random();
    let number = u64::from(node.number());
    let first = ONLY.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire);
    if first.is_err() {
        ONLY.store(SEVERAL, Ordering::Release);
    }
    node
}

/// Returns the node of a stream that no hub knows yet.
pub(crate) fn of_new_stream() -> Option<NodeId> {
    let number = u32::try_from(ONLY.load(Ordering::Acquire)).ok()?;
    NodeId::new(number)
}

fn random() -> NodeId {
    loop {
        if let Some(node) = NodeId::new(fastrand::u32(1..)) {
            return node;
        }
    }
}
