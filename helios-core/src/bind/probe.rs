//! Facts about the types of arguments for the OpenAPI document. No trait states them, so the types are made to read
//! something.

use super::values::Rule;
use super::{FromBody, FromValue};

/// Returns whether a value may be missing. That is so for an `Option`, a `Vec`, and every type that serde can read from
/// nothing.
#[must_use]
pub fn may_be_absent<T: FromValue>() -> bool {
    T::from_texts(&[], Rule::One).is_ok()
}

/// Returns whether the type accepts every text. The text tried here is one that other types almost certainly refuse.
#[must_use]
pub fn takes_any_text<T: FromValue>() -> bool {
    T::from_texts(&[Some("{ any text? }")], Rule::One).is_ok()
}

/// Returns whether the body may be missing.
#[must_use]
pub fn may_have_no_body<T: FromBody>() -> bool {
    T::from_nothing().is_some()
}
