//! The SSE hooks of controllers, with their table, arguments and results, and how the controller's type is erased.

use std::sync::Arc;

use helios_core::call::Call;
use helios_core::error::HttpError;
use helios_core::reply::Opened;
use helios_core::sse::{CloseReason, SseError, SseReset, SseSnapshot};

use crate::future::BoxFuture;
use crate::sse::stream::handle::SseStream;
use crate::table::HookNeeds;

/// The hidden function of `#[on_sse_connection]`.
pub type ConnectionHook<C> =
    for<'a> fn(&'a C, &'a mut Call) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden function of `#[on_sse_error]`.
pub type ErrorHook<C> =
    for<'a> fn(&'a C, SseStream, &'a SseError) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden function of `#[on_sse_reset]`.
pub type ResetHook<C> =
    for<'a> fn(&'a C, SseStream, &'a SseReset) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden function of `#[on_sse_snapshot]`.
pub type SnapshotHook<C> =
    for<'a> fn(&'a C, SseStream, &'a SseSnapshot) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden function of `#[on_sse_close]`.
pub type CloseHook<C> =
    for<'a> fn(&'a C, SseStream, CloseReason) -> BoxFuture<'a, Result<(), HttpError>>;

/// The hidden functions of a controller's SSE hooks.
pub struct Hooks<C: 'static> {
    /// `#[on_sse_connection]`
    pub connection: Option<ConnectionHook<C>>,
    /// `#[on_sse_error]`
    pub error: Option<ErrorHook<C>>,
    /// `#[on_sse_reset]`
    pub reset: Option<ResetHook<C>>,
    /// `#[on_sse_snapshot]`
    pub snapshot: Option<SnapshotHook<C>>,
    /// `#[on_sse_close]`
    pub close: Option<CloseHook<C>>,
    /// Needs of the arguments, for the check at start-up.
    pub needs: &'static [HookNeeds],
}

impl<C> Hooks<C> {
    /// A table without hooks.
    pub const NONE: Self = Self {
        connection: None,
        error: None,
        reset: None,
        snapshot: None,
        close: None,
        needs: &[],
    };

    pub(crate) const fn is_none(&self) -> bool {
        // Destructured, so that the compiler reports a new hook. A forgotten one would never run where it is the only
        // hook.
        let Self {
            connection,
            error,
            reset,
            snapshot,
            close,
            needs: _,
        } = self;
        let answers_none = reset.is_none() && snapshot.is_none();
        connection.is_none() && error.is_none() && answers_none && close.is_none()
    }
}

/// An argument of an `#[on_sse_error]`, `#[on_sse_reset]`, `#[on_sse_snapshot]` or `#[on_sse_close]` hook.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of this hook",
    label = "not something this hook is called with",
    note = "`#[on_sse_error]` gets an `SseStream` and an `&SseError`, `#[on_sse_reset]` an `SseStream` and an `&SseReset`, `#[on_sse_snapshot]` an `SseStream` and an `&SseSnapshot`, `#[on_sse_close]` an `SseStream` and a `CloseReason`",
    note = "the request is over by then: keep what you need of it from `#[on_sse_connection]`"
)]
pub trait HookArgument<E> {
    #[doc(hidden)]
    fn of(client: &SseStream, event: &E) -> Self;
}

impl<E> HookArgument<E> for SseStream {
    fn of(client: &SseStream, _: &E) -> Self {
        client.clone()
    }
}

impl HookArgument<SseError> for SseError {
    fn of(_: &SseStream, event: &SseError) -> Self {
        event.clone()
    }
}

impl HookArgument<SseReset> for SseReset {
    fn of(_: &SseStream, event: &SseReset) -> Self {
        event.clone()
    }
}

impl HookArgument<SseSnapshot> for SseSnapshot {
    fn of(_: &SseStream, event: &SseSnapshot) -> Self {
        event.clone()
    }
}

impl HookArgument<CloseReason> for CloseReason {
    fn of(_: &SseStream, event: &CloseReason) -> Self {
        *event
    }
}

/// Binds an argument of a hook that is called with an event.
pub fn hook_argument<E, T: HookArgument<E>>(client: &SseStream, event: &E) -> T {
    T::of(client, event)
}

/// The hooks of one controller in the chain above a route.
pub(crate) trait SseHooks: Send + Sync {
    fn connection<'a>(&'a self, call: &'a mut Call)
    -> Option<BoxFuture<'a, Result<(), HttpError>>>;

    fn error<'a>(
        &'a self,
        client: SseStream,
        error: &'a SseError,
    ) -> Option<BoxFuture<'a, Result<(), HttpError>>>;

    fn reset<'a>(
        &'a self,
        client: SseStream,
        reset: &'a SseReset,
    ) -> Option<BoxFuture<'a, Result<(), HttpError>>>;

    fn snapshot<'a>(
        &'a self,
        client: SseStream,
        snapshot: &'a SseSnapshot,
    ) -> Option<BoxFuture<'a, Result<(), HttpError>>>;

    fn close(
        &self,
        client: SseStream,
        reason: CloseReason,
    ) -> Option<BoxFuture<'_, Result<(), HttpError>>>;

    /// Whether there is a reset hook.
    fn answers_resets(&self) -> bool;

    /// Whether there is a snapshot hook.
    fn sends_snapshots(&self) -> bool;
}

/// The hooks of `C`, and the instance that they run on.
pub(crate) struct ControllerHooks<C: 'static> {
    controller: Arc<C>,
    hooks: &'static Hooks<C>,
}

impl<C: Send + Sync + 'static> ControllerHooks<C> {
    pub(crate) fn of(controller: &Arc<C>, hooks: &'static Hooks<C>) -> Arc<dyn SseHooks> {
        Arc::new(Self {
            controller: Arc::clone(controller),
            hooks,
        })
    }
}

impl<C: Send + Sync + 'static> SseHooks for ControllerHooks<C> {
    fn connection<'a>(
        &'a self,
        call: &'a mut Call,
    ) -> Option<BoxFuture<'a, Result<(), HttpError>>> {
        Some((self.hooks.connection?)(&self.controller, call))
    }

    fn error<'a>(
        &'a self,
        client: SseStream,
        error: &'a SseError,
    ) -> Option<BoxFuture<'a, Result<(), HttpError>>> {
        Some((self.hooks.error?)(&self.controller, client, error))
    }

    fn reset<'a>(
        &'a self,
        client: SseStream,
        reset: &'a SseReset,
    ) -> Option<BoxFuture<'a, Result<(), HttpError>>> {
        Some((self.hooks.reset?)(&self.controller, client, reset))
    }

    fn snapshot<'a>(
        &'a self,
        client: SseStream,
        snapshot: &'a SseSnapshot,
    ) -> Option<BoxFuture<'a, Result<(), HttpError>>> {
        Some((self.hooks.snapshot?)(&self.controller, client, snapshot))
    }

    fn close(
        &self,
        client: SseStream,
        reason: CloseReason,
    ) -> Option<BoxFuture<'_, Result<(), HttpError>>> {
        Some((self.hooks.close?)(&self.controller, client, reason))
    }

    fn answers_resets(&self) -> bool {
        self.hooks.reset.is_some()
    }

    fn sends_snapshots(&self) -> bool {
        self.hooks.snapshot.is_some()
    }
}

/// The return type of a hook.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a hook",
    label = "this value would be lost",
    note = "a hook returns `()` or `Result<(), E>`"
)]
pub trait HookOutput {}

/// Converts a hook's return value, `()` or `Result<(), E>`, to one type.
#[macro_export]
#[doc(hidden)]
macro_rules! __hook_result {
    ($out:expr) => {{
        use $crate::rt::hook_ladder::*;
        use $crate::rt::ladder::*;
        let out = $out;
        let opened = (&&&&$crate::__Shape::of(&out)).open_result(out);
        let opened = opened.map(|out| (&&$crate::__Shape::of(&out)).done(out));
        $crate::rt::hook_result(opened)
    }};
}

/// Brings the rungs into scope without a name.
#[doc(hidden)]
pub mod hook_ladder {
    pub use super::rungs::{HookDone as _, HookOther as _};
}

#[allow(missing_docs)]
mod rungs {
    use helios_core::reply::Shape;

    use super::HookOutput;

    pub trait HookDone {
        fn done(&self, out: ());
    }

    impl HookDone for &Shape<()> {
        fn done(&self, (): ()) {}
    }

    pub trait HookOther<T> {
        fn done(&self, out: T)
        where
            T: HookOutput;
    }

    impl<T> HookOther<T> for Shape<T> {
        fn done(&self, _: T)
        where
            T: HookOutput,
        {
        }
    }
}

/// Converts the result of a hook. A response returned as an error becomes an error with its status.
///
/// # Errors
///
/// The hook's own error.
pub fn hook_result(opened: Opened<()>) -> Result<(), HttpError> {
    opened.map_err(|reply| match *reply {
        Ok(response) => response.status().into(),
        Err(error) => error,
    })
}
