//! Validation, turned off: the feature `validate` is not enabled.

use crate::call::Call;

/// Brings the rung for whether a type is validated into scope without a name.
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
