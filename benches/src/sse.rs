//! A server of events: everyone who asks for `/events/{topic}` gets what is published to that topic. The same in
//! Helios, in its peers, by hand on hyper, and as a bare loop over sockets.
//!
//! What to publish comes in through a pipe, one [`Command`] after the other, so that all of them publish the same at the
//! same time.

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

/// What every generator that writes flat out yields: one [`MARK`], and 64 bytes in all.
pub const FLAT_OUT: &str = "~xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
