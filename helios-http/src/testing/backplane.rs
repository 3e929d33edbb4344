//! Backplanes for tests, and tests of backplanes.

mod in_memory;
mod proxy;
mod stormy;
mod weather;

pub use in_memory::InMemory;
pub use proxy::{Proxy, Way};
pub use stormy::Stormy;
pub use weather::Weather;
