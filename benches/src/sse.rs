//! A server of events. Every client of `/events/{topic}` gets the events that are published to that topic. There is one
//! in Helios, one in each peer, one by hand on hyper, and one that is a bare loop over sockets.
//!
//! Each [`Command`] to publish comes in through a pipe, so that all servers publish the same at the same time.

#[cfg(feature = "peers")]
pub mod actix;
pub mod axum;
pub mod bare;
mod channels;
mod command;
pub mod helios;
pub mod hyper;
#[cfg(feature = "peers")]
pub mod salvo;

pub use command::{Command, MARK, now, topic};

/// The item that every generator yields when it never waits: one [`MARK`], and 64 bytes in all.
pub const FLAT_OUT: &str = "~xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
