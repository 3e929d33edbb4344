//! What Redis' errors mean for whoever has asked.

use std::error::Error;

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use redis::{ErrorKind, RedisError};

/// What an error says of a publish that has been sent.
fn kind_of(error: &RedisError) -> BackplaneErrorKind {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return BackplaneErrorKind::Refused;
    }
    // Of what a script may not do, Redis says so only in its words.
    let detail = error.detail().unwrap_or_default();
    if detail.contains("user executing the script") {
        return BackplaneErrorKind::Refused;
    }
    match error.code() {
        Some("OOM") => BackplaneErrorKind::Full,
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => BackplaneErrorKind::Refused,
        // It has said no before the script has written anything.
        Some(
            "ASK" | "BUSY" | "CLUSTERDOWN" | "CROSSSLOT" | "LOADING" | "MASTERDOWN" | "MISCONF"
            | "MOVED" | "NOREPLICAS" | "NOSCRIPT" | "READONLY" | "TRYAGAIN",
        ) => BackplaneErrorKind::NotPublished,
        None if error.is_connection_refusal() => BackplaneErrorKind::Down,
        // The answer was lost, or has not come in time, or the script has ended half-way.
        _ => BackplaneErrorKind::Unknown,
    }
}

/// Whether what is asked for has to be asked of another server.
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(
        error.code(),
        Some("ASK" | "CLUSTERDOWN" | "MASTERDOWN" | "MOVED" | "READONLY")
    )
}

/// A cluster's node has said so to somebody who does not know of the cluster.
#[derive(Debug, thiserror::Error)]
#[error("another node of a cluster has the keys: name its nodes with `Redis::cluster`")]
struct Moved(#[source] RedisError);

fn explained(kind: BackplaneErrorKind, error: RedisError) -> BackplaneError {
    match error.code() {
        Some("MOVED") => BackplaneError::new(kind, Moved(error)),
        _ => BackplaneError::new(kind, error),
    }
}

pub(crate) fn not_published(error: RedisError) -> BackplaneError {
    explained(kind_of(&error), error)
}

/// The same of a question that publishes nothing.
pub(crate) fn not_answered(error: RedisError) -> BackplaneError {
    let kind = match kind_of(&error) {
        BackplaneErrorKind::Unknown => BackplaneErrorKind::Down,
        kind => kind,
    };
    explained(kind, error)
}

pub(crate) fn down(source: impl Into<Box<dyn Error + Send + Sync>>) -> BackplaneError {
    BackplaneError::new(BackplaneErrorKind::Down, source)
}

/// An error as a text, with what has caused it.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
