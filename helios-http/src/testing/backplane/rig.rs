//! The backplane that a kit tests.

use super::in_memory::InMemory;
use crate::future::BoxFuture;
use crate::sse::backplane::Backplane;

/// A backplane under test, and the trouble that can be made for it. A [`Kit`](super::Kit) runs on a rig.
///
/// ```
/// use helios::backplane::BoxFuture;
/// use helios::testing::backplane::{InMemory, Rig};
///
/// /// A store that is replaced by an empty one now and then.
/// struct Forgetful(InMemory);
///
/// impl Rig for Forgetful {
///     type Link = InMemory;
///
///     fn node(&self, _: usize) -> InMemory { self.0.node() }
///
///     fn trouble(&self, number: u64) -> BoxFuture<'_, ()> {
///         Box::pin(async move {
///             if number % 8 == 0 {
///                 self.0.forget_all();
///             }
///         })
///     }
///
///     fn begins_anew(&self) -> bool { true }
/// }
/// ```
pub trait Rig: Send + Sync + 'static {
    /// The link of one node.
    type Link: Backplane;

    /// Creates the link of node number `n`, without starting it. All links share one sequence. Each number is used
    /// once.
    fn node(&self, n: usize) -> Self::Link;

    /// Makes some trouble that the backplane has to survive. The random number chooses which. Called now and then, and
    /// never twice at the same time. The trouble may last until [`heal`](Self::heal). The default makes none.
    fn trouble(&self, _number: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Ends all trouble.
    fn heal(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Whether the trouble may make another sequence begin. The default is false.
    fn begins_anew(&self) -> bool {
        false
    }

    /// Whether the trouble may lose events, without notice or from history, so that clients need resets. The default is
    /// false.
    fn may_lose(&self) -> bool {
        false
    }
}

impl Rig for InMemory {
    type Link = Self;

    fn node(&self, _: usize) -> Self {
        self.node()
    }
}
