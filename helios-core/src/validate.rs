//! Validation of values that are read whole from a body, the query or the path. If their type implements
//! [`garde::Validate`], they are validated before the handler receives them.
//!
//! As in [`crate::reply`], two rungs find out whether a type implements it. The rung on the value is for types that do,
//! the one on the reference for all others. This does not work for a type that depends on a type parameter, because
//! only its bounds count there. Such a type has to implement [`Validated`].

use std::marker::PhantomData;

use garde::{Report, Validate};

use crate::bind::{Form, Json, Path, Query};
use crate::bounded::bounded;
use crate::call::Call;
use crate::error::{Fault, HttpError, LONGEST_DETAIL, LONGEST_EXPECTED, LONGEST_NAME, Location};

/// The most entries of a report that are read. No more faults than this fit in a response.
const MOST_FAULTS: usize = 100;

/// A type that is known to be validated although it depends on a type parameter.
#[diagnostic::on_unimplemented(
    message = "whether `{Self}` has to be validated cannot be seen here",
    label = "depends on a type parameter of the controller",
    note = "write the bound `{Self}: garde::Validate<Context = ()>` (or another context with a default)",
    note = "or take a body as it is: `#[body(unvalidated)]`"
)]
pub trait Validated {
    #[doc(hidden)]
    fn report(&self) -> Result<(), Report>;
}

#[diagnostic::do_not_recommend]
impl<T: Validate<Context: ValidationContext>> Validated for T {
    fn report(&self) -> Result<(), Report> {
        self.validate()
    }
}

/// The context of a validation. Helios always uses its default.
#[diagnostic::on_unimplemented(
    message = "the validation context `{Self}` has no `Default`",
    label = "Helios cannot validate this",
    note = "derive `Default` on the context, or take the value with `#[body(unvalidated)]` and validate it yourself"
)]
pub trait ValidationContext: Default {}

#[diagnostic::do_not_recommend]
impl<T: Default> ValidationContext for T {}

/// An argument that holds a whole part of the request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one of Helios' own `Json`, `Form`, `Query` and `Path`",
    label = "Helios cannot validate what is in it"
)]
pub trait Whole {
    /// The type of the argument's value.
    type Inner;
    /// The part of the request.
    const LOCATION: Location;
    /// Returns the argument's value, if it could be bound.
    fn inner(&self) -> Option<&Self::Inner>;
}

macro_rules! whole {
    ($($name:ident $location:ident)*) => {
        $(
            impl<T> Whole for $name<T> {
                type Inner = T;
                const LOCATION: Location = Location::$location;

                fn inner(&self) -> Option<&T> {
                    Some(&self.0)
                }
            }
        )*
    };
}

whole! {
    Json Body
    Form Body
    Query Query
    Path Path
}

/// axum-core binds a `Result` of every extractor. An invalid value is refused all the same.
impl<W: Whole, E> Whole for Result<W, E> {
    type Inner = W::Inner;
    const LOCATION: Location = W::LOCATION;

    fn inner(&self) -> Option<&W::Inner> {
        self.as_ref().ok()?.inner()
    }
}

/// An absent body is not validated.
impl<W: Whole> Whole for Option<W> {
    type Inner = W::Inner;
    const LOCATION: Location = W::LOCATION;

    fn inner(&self) -> Option<&W::Inner> {
        self.as_ref()?.inner()
    }
}

/// Validates an argument that was bound at `body` or `argument`, if its type is validated.
#[macro_export]
#[doc(hidden)]
macro_rules! __validated {
    ($place:ident, $call:expr, $bound:expr) => {{
        use $crate::validate::$place::*;
        let bound = $bound;
        let refusal = match &bound {
            ::core::option::Option::Some(value) => {
                (&$crate::validate::Subject::of(value)).check(value)
            }
            ::core::option::Option::None => ::core::option::Option::None,
        };
        $crate::validate::passed($call, bound, refusal)
    }};
}

/// Imports the rungs for `#[body]` without a name.
#[doc(hidden)]
pub mod body {
    pub use super::rungs::{CheckBody as _, CheckNothing as _};
}

/// Imports the rungs for an argument without an attribute, without a name.
#[doc(hidden)]
pub mod argument {
    pub use super::rungs::{CheckNothing as _, CheckWhole as _};
}

/// Carries a type, to select a rung.
#[doc(hidden)]
pub struct Subject<T>(PhantomData<fn(T)>);

impl<T> Subject<T> {
    /// Returns the subject for the type of a value.
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

#[allow(missing_docs)]
mod rungs {
    use garde::Validate;

    use super::{Subject, ValidationContext, Whole, refusal};
    use crate::error::{HttpError, Location};

    pub trait CheckBody<T: Validate> {
        fn check(&self, value: &T) -> Option<HttpError>
        where
            T::Context: ValidationContext;
    }

    impl<T: Validate> CheckBody<T> for Subject<T> {
        fn check(&self, value: &T) -> Option<HttpError>
        where
            T::Context: ValidationContext,
        {
            refusal(Location::Body, value.validate())
        }
    }

    pub trait CheckWhole<W: Whole<Inner: Validate>> {
        fn check(&self, value: &W) -> Option<HttpError>
        where
            <W::Inner as Validate>::Context: ValidationContext;
    }

    impl<W: Whole<Inner: Validate>> CheckWhole<W> for Subject<W> {
        fn check(&self, value: &W) -> Option<HttpError>
        where
            <W::Inner as Validate>::Context: ValidationContext,
        {
            refusal(W::LOCATION, value.inner()?.validate())
        }
    }

    pub trait CheckNothing<T> {
        fn check(&self, value: &T) -> Option<HttpError>;
    }

    impl<T> CheckNothing<T> for &Subject<T> {
        fn check(&self, _: &T) -> Option<HttpError> {
            None
        }
    }
}

/// Imports the rungs for whether a type is validated, without a name. They are selected on `&Shape<T>`.
#[cfg(feature = "openapi")]
#[doc(hidden)]
pub mod judged {
    pub use super::judges::{Unvalidated as _, WithRules as _};
}

#[cfg(feature = "openapi")]
#[allow(missing_docs)]
mod judges {
    use garde::Validate;

    use crate::reply::Shape;

    pub trait WithRules {
        fn is_validated(&self) -> bool;
    }

    impl<T: Validate> WithRules for &Shape<T> {
        fn is_validated(&self) -> bool {
            true
        }
    }

    pub trait Unvalidated {
        fn is_validated(&self) -> bool;
    }

    impl<T> Unvalidated for Shape<T> {
        fn is_validated(&self) -> bool {
            false
        }
    }
}

/// Validates a `#[body]` whose type depends on a type parameter.
#[doc(hidden)]
pub fn validated_body<T: Validated>(call: &mut Call, bound: Option<T>) -> Option<T> {
    let refusal = bound
        .as_ref()
        .and_then(|value| refusal(Location::Body, value.report()));
    passed(call, bound, refusal)
}

/// Validates a `Json<T>`, `Form<T>`, `Query<T>` or `Path<T>` that depends on a type parameter.
#[doc(hidden)]
pub fn validated_whole<W: Whole<Inner: Validated>>(call: &mut Call, bound: Option<W>) -> Option<W> {
    let refusal = bound
        .as_ref()
        .and_then(|value| refusal(W::LOCATION, value.inner()?.report()));
    passed(call, bound, refusal)
}

/// Notes a refusal, or returns the value.
#[doc(hidden)]
pub fn passed<T>(call: &mut Call, bound: Option<T>, refusal: Option<HttpError>) -> Option<T> {
    match refusal {
        Some(refusal) => {
            call.refuse(refusal);
            None
        }
        None => bound,
    }
}

/// Returns a 422 with a fault for each entry of the report, as far as they fit.
fn refusal(location: Location, report: Result<(), Report>) -> Option<HttpError> {
    let report = report.err()?.into_inner();
    let faults = report.iter().take(MOST_FAULTS).map(|(path, error)| {
        let name = bounded(path, LONGEST_NAME);
        let mut fault = Fault::new(location, name, "");
        fault.message = Some(bounded(error, LONGEST_EXPECTED));
        fault
    });
    let faults: Vec<_> = faults.collect();
    let texts: Vec<_> = faults.iter().map(Fault::to_string).collect();
    let refusal = HttpError::unprocessable(bounded(texts.join("; "), LONGEST_DETAIL));
    let refusal = faults.into_iter().fold(refusal, HttpError::with_fault);
    Some(refusal.omitting(report.len().saturating_sub(MOST_FAULTS)))
}
