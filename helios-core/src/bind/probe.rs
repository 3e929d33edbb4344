//! Facts about the types of arguments for the OpenAPI document. No trait states them, so the types are made to read
//! something.

use super::values::{Rule, Text};
use super::{FromBody, FromValue};
use crate::error::Location;

/// Returns whether a value may be missing. That is so for an `Option`, a `Vec`, and every type that serde can read from
/// nothing.
#[must_use]
pub fn may_be_absent<T: FromValue>() -> bool {
    T::from_texts(&[], Rule::One).is_ok()
}

/// Returns whether a value that is there may be refused. The text tried here is one that most types refuse. In a query
/// it may also be repeated or not UTF-8, and in the head repeated. The first of several cookies counts.
#[must_use]
pub fn may_be_refused<T: FromValue>(location: Location) -> bool {
    const ODD: Text<'static> = Some("{ any text? }");
    let tried: &[&[Text<'_>]] = match location {
        Location::Query => &[&[ODD], &[ODD, ODD], &[None]],
        Location::Header => &[&[ODD], &[ODD, ODD]],
        _ => &[&[ODD]],
    };
    let mut tried = tried.iter();
    tried.any(|texts| T::from_texts(texts, Rule::One).is_err())
}

/// Returns whether the body may be missing.
#[must_use]
pub fn may_have_no_body<T: FromBody>() -> bool {
    T::from_nothing().is_some()
}
