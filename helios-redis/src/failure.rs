//! What Redis' errors mean for whoever has asked.

use std::error::Error;

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use redis::RedisError;

/// What an error says of a question that has been sent.
pub(crate) fn kind_of(error: &RedisError) -> BackplaneErrorKind {
    match error.code() {
        Some("OOM") => BackplaneErrorKind::Full,
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => BackplaneErrorKind::Refused,
        // It has said no, for now.
        Some(_) => BackplaneErrorKind::NotPublished,
        None if error.is_connection_refusal() => BackplaneErrorKind::Down,
        // The answer was lost, or has not come in time.
        None => BackplaneErrorKind::Unknown,
    }
}

pub(crate) fn failed(error: RedisError) -> BackplaneError {
    BackplaneError::new(kind_of(&error), error)
}

pub(crate) fn down(source: impl Into<Box<dyn Error + Send + Sync>>) -> BackplaneError {
    BackplaneError::new(BackplaneErrorKind::Down, source)
}
