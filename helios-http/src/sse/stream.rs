//! One stream: its handle, its state, and what runs it.

pub(super) mod handle;
pub(crate) mod running;
pub(crate) mod state;
