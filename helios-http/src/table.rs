//! Parts of the generated tables without types of the runtime: the dependencies of an endpoint, and the pipeline around
//! it.

use std::fmt;
use std::sync::Arc;

use helios_core::bind::check::ArgumentCheck;
use helios_core::container::Resolver;
use helios_core::filter::DynFilter;
use helios_core::guard::DynGuard;
use helios_core::interceptor::{DynInterceptor, MapData};
use helios_core::route::PathParam;

/// Guards, interceptors, mappers and filters around handlers, each list from outer to inner.
#[derive(Clone, Copy)]
pub struct PipelineTable {
    /// Decide who may call.
    pub guards: &'static [Entry<dyn DynGuard>],
    /// Wrap binding and the handler.
    pub interceptors: &'static [Entry<dyn DynInterceptor>],
    /// Map the JSON data that handlers return.
    pub mappers: &'static [&'static dyn MapData],
    /// Answer errors.
    pub filters: &'static [Entry<dyn DynFilter>],
}

impl PipelineTable {
    /// A pipeline without entries.
    pub const EMPTY: Self = Self {
        guards: &[],
        interceptors: &[],
        mappers: &[],
        filters: &[],
    };
}

/// The guards of a mount, as `guards!` lists them, for [`Helios::mount_guarded`](crate::Helios::mount_guarded).
///
/// ```
/// use helios::http::Guards;
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct SignedIn;
///
/// impl Guard for SignedIn {
///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
///         match request.cookie("session") {
///             Some(_) => Ok(()),
///             None => Err(HttpError::unauthorized("sign in first")),
///         }
///     }
/// }
///
/// const STAFF: Guards = guards![SignedIn];
/// ```
#[derive(Clone, Copy)]
pub struct Guards(&'static [Entry<dyn DynGuard>]);

impl Guards {
    /// Creates the guards that `guards!` lists.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(guards: &'static [Entry<dyn DynGuard>]) -> Self {
        Self(guards)
    }

    /// Returns the pipeline of a mount, which consists of its guards only.
    pub(crate) const fn pipeline(self) -> PipelineTable {
        PipelineTable {
            guards: self.0,
            ..PipelineTable::EMPTY
        }
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|guard| guard.name);
        f.debug_list().entries(names).finish()
    }
}

/// A guard, interceptor or filter in a list, with its type erased.
pub struct Entry<T: ?Sized + 'static> {
    /// The type's name.
    pub name: &'static str,
    /// Takes the instance from the container, or builds it.
    pub resolve: fn(&mut Resolver<'_>) -> Option<Arc<T>>,
}

/// A singleton that a handler's `#[inject]` argument needs.
#[derive(Clone, Copy)]
pub struct InjectEntry {
    /// The argument's name.
    pub name: &'static str,
    /// Whether the container has it or can build it. Records in the resolver what is missing.
    pub check: fn(&mut Resolver<'_>) -> bool,
}

/// The dependencies of a hook's arguments.
#[derive(Clone, Copy)]
pub struct HookNeeds {
    /// The method's name.
    pub handler: &'static str,
    /// Parameters of the path.
    pub params: &'static [PathParam],
    /// Singletons.
    pub injects: &'static [InjectEntry],
    /// The arguments that bind a part of the request.
    pub arguments: &'static [ArgumentCheck],
}
