//! Validation, turned off: the feature `validate` is not enabled.

use crate::call::Call;

/// Passes the argument.
#[macro_export]
#[doc(hidden)]
macro_rules! __validated {
    ($place:ident, $call:expr, $bound:expr) => {
        $bound
    };
}

/// Passes the argument.
#[doc(hidden)]
pub fn validated_body<T>(_: &mut Call, bound: Option<T>) -> Option<T> {
    bound
}

/// Passes the argument.
#[doc(hidden)]
pub fn validated_whole<T>(_: &mut Call, bound: Option<T>) -> Option<T> {
    bound
}
