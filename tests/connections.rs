//! How a connection ends: by its client, after some time, with the server, or through an upgrade.
#![allow(clippy::unwrap_used)]

#[path = "connections/closing.rs"]
mod closing;
#[path = "connections/idle.rs"]
mod idle;
#[path = "connections/leavers.rs"]
mod leavers;
#[path = "connections/shared_room.rs"]
mod shared_room;
#[path = "connections/upgrades.rs"]
mod upgrades;
