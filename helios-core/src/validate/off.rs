//! Stubs for validation when the feature `validate` is not enabled.

use crate::call::Call;

/// Imports the rung for whether a type is validated, without a name.
#[cfg(feature = "openapi")]
#[doc(hidden)]
pub mod judged {
    pub use super::judges::Unvalidated as _;
}

#[cfg(feature = "openapi")]
#[allow(missing_docs)]
mod judges {
    use crate::reply::Shape;

    pub trait Unvalidated {
        fn is_validated(&self) -> bool;
    }

    impl<T> Unvalidated for Shape<T> {
        fn is_validated(&self) -> bool {
            false
        }
    }
}

/// Returns the argument.
#[macro_export]
#[doc(hidden)]
macro_rules! __validated {
    ($place:ident, $call:expr, $bound:expr) => {
        $bound
    };
}

/// Returns the argument.
#[doc(hidden)]
pub fn validated_body<T>(_: &mut Call, bound: Option<T>) -> Option<T> {
    bound
}

/// Returns the argument.
#[doc(hidden)]
pub fn validated_whole<T>(_: &mut Call, bound: Option<T>) -> Option<T> {
    bound
}
