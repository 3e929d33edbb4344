//! The parts of the generated tables that name no type of the runtime: what an endpoint needs from the container, and what
//! stands around it.

use std::fmt;
use std::sync::Arc;

use helios_core::bind::check::ArgumentCheck;
use helios_core::container::Resolver;
use helios_core::filter::DynFilter;
use helios_core::guard::DynGuard;
use helios_core::interceptor::{DynInterceptor, MapData};
use helios_core::route::PathParam;

/// What stands around handlers, outer to inner.
#[derive(Clone, Copy)]
pub struct PipelineTable {
    /// Who may call.
    pub guards: &'static [Entry<dyn DynGuard>],
    /// What wraps binding and the handler.
    pub interceptors: &'static [Entry<dyn DynInterceptor>],
    /// What maps the JSON data that handlers give.
    pub mappers: &'static [&'static dyn MapData],
    /// What answers errors.
    pub filters: &'static [Entry<dyn DynFilter>],
}

impl PipelineTable {
    /// Nothing.
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
    /// What `guards!` writes down.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(guards: &'static [Entry<dyn DynGuard>]) -> Self {
        Self(guards)
    }

    /// What stands before a mount: nothing but its guards.
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

/// A guard, interceptor or filter in a list, its type forgotten.
pub struct Entry<T: ?Sized + 'static> {
    /// The type's name.
    pub name: &'static str,
    /// Takes it from the container, or builds it.
    pub resolve: fn(&mut Resolver<'_>) -> Option<Arc<T>>,
}

/// A singleton that a handler's `#[inject]` argument needs.
#[derive(Clone, Copy)]
pub struct InjectEntry {
    /// The argument's name.
    pub name: &'static str,
    /// Whether the container has it or can build it; notes in the resolver what is missing.
    pub check: fn(&mut Resolver<'_>) -> bool,
}

/// What the arguments of a hook need.
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
