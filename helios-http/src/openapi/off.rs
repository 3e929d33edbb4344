//! The OpenAPI document without the feature `openapi`. Descriptions that the macros generate are dropped.

/// The description of a route.
pub type Describe = ();

/// A type with a JSON schema, for the feature `openapi`. Without it, every type meets this bound.
pub trait JsonSchema {}

impl<T: ?Sized> JsonSchema for T {}

/// The descriptions of hooks.
pub type DescribeHooks = ();

/// The text of a doc comment.
pub type Docs = ();

/// The name and version of the app's package.
pub type About = ();

/// Drops items.
#[macro_export]
#[doc(hidden)]
macro_rules! __described {
    ($($dropped:tt)*) => {};
}

/// Drops a value.
#[macro_export]
#[doc(hidden)]
macro_rules! __describe {
    ($($dropped:tt)*) => {
        ()
    };
}

/// Drops the package.
#[macro_export]
#[doc(hidden)]
macro_rules! __about {
    () => {
        ()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::__described! { nothing of this is read, since it is no item }

    #[test]
    fn nothing_is_left_of_what_a_table_says_of_types() {
        let (): Describe = crate::__describe!(nor this, since it is no value);
        let all = [size_of::<Describe>(), size_of::<Docs>(), size_of::<About>()];
        assert_eq!(all, [0; 3]);
    }
}
