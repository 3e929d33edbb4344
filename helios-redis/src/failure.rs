//! Translates errors of Redis into errors of a backplane.

use std::error::Error;

use helios_core::backplane::{BackplaneError, BackplaneErrorKind};
use redis::{ErrorKind, RedisError};

/// Returns the kind of an error that answers a publish.
fn kind_of(error: &RedisError) -> BackplaneErrorKind {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return BackplaneErrorKind::Refused;
    }
    // Redis reports a command that the script may not call in the message only.
    let detail = error.detail().unwrap_or_default();
    if detail.contains("user executing the script") {
        return BackplaneErrorKind::Refused;
    }
    match error.code() {
        Some("OOM") => BackplaneErrorKind::Full,
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => BackplaneErrorKind::Refused,
        // Redis refused before the script wrote anything.
        Some(
            "ASK" | "BUSY" | "CLUSTERDOWN" | "CROSSSLOT" | "LOADING" | "MASTERDOWN" | "MISCONF"
            | "MOVED" | "NOREPLICAS" | "NOSCRIPT" | "READONLY" | "TRYAGAIN",
        ) => BackplaneErrorKind::NotPublished,
        None if error.is_connection_refusal() => BackplaneErrorKind::Down,
        // The answer was lost or late, or the script ended half-way.
        _ => BackplaneErrorKind::Unknown,
    }
}

/// Returns whether another server has to be asked.
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(
        error.code(),
        Some("ASK" | "CLUSTERDOWN" | "MASTERDOWN" | "MOVED" | "READONLY")
    )
}

/// Returns whether Redis refuses writes for now, although it answers questions.
pub(crate) fn refuses_writes(error: &RedisError) -> bool {
    matches!(error.code(), Some("MISCONF" | "NOREPLICAS" | "OOM"))
}

/// A node of a cluster redirects a client that was configured for one server.
#[derive(Debug, thiserror::Error)]
#[error(
    "another node of the cluster has the keys: if the app names one server, let it name the nodes with `Redis::cluster`"
)]
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

/// Translates an error that answers a question, which publishes nothing.
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

/// Returns an error and its causes as text.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let mut texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
