//! Backplanes for tests, and tests of backplanes.

mod in_memory;
mod kit;
mod proxy;
mod rig;
mod stormy;
mod weather;

pub use in_memory::InMemory;
pub use kit::{Fault, FaultKind, Kit, Report};
pub use proxy::{Proxy, Way};
pub use rig::Rig;
pub use stormy::Stormy;
pub use weather::Weather;
