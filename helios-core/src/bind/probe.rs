//! What a document asks of the types of arguments. They are asked to read something, as no trait says it of them.

use super::values::Rule;
use super::{FromBody, FromValue};

/// Whether a value may be missing: one of an `Option`, a `Vec`, or a type that serde reads from nothing.
#[must_use]
pub fn may_be_absent<T: FromValue>() -> bool {
    T::from_texts(&[], Rule::One).is_ok()
}

/// Whether every text is such a value. Of no other type is there one that is this text, as good as surely.
#[must_use]
pub fn takes_any_text<T: FromValue>() -> bool {
    T::from_texts(&[Some("{ any text? }")], Rule::One).is_ok()
}

/// Whether there need be no body.
#[must_use]
pub fn may_have_no_body<T: FromBody>() -> bool {
    T::from_nothing().is_some()
}
