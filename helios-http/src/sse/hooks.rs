//! A controller's SSE hooks, its type forgotten.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use helios_core::bind::{OnClose, OnError, OnReset};
use helios_core::call::Call;
use helios_core::error::HttpError;
use helios_core::reply::Opened;
use helios_core::sse::{CloseReason, SseError, SseReset};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::future::BoxFuture;
use crate::panics::caught_in;
use crate::sse::hub::Hub;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::state::Attachment;
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
    /// `#[on_sse_close]`
    pub close: Option<CloseHook<C>>,
    /// What their arguments need, for the check at start-up.
    pub needs: &'static [HookNeeds],
}

impl<C> Hooks<C> {
    /// No hooks at all.
    pub const NONE: Self = Self {
        connection: None,
        error: None,
        reset: None,
        close: None,
        needs: &[],
    };

    pub(crate) const fn is_none(&self) -> bool {
        let closing = self.error.is_none() && self.reset.is_none() && self.close.is_none();
        self.connection.is_none() && closing
    }
}

/// A hook that runs when the request is long over, and what it is told.
pub trait HookPlace {
    /// The error or the reason.
    type Event;
}

impl HookPlace for OnError {
    type Event = SseError;
}

impl HookPlace for OnClose {
    type Event = CloseReason;
}

impl HookPlace for OnReset {
    type Event = SseReset;
}

/// An argument of an `#[on_sse_error]`, `#[on_sse_reset]` or `#[on_sse_close]` hook.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of this hook",
    label = "not something this hook is called with",
    note = "`#[on_sse_error]` gets an `SseStream` and an `&SseError`, `#[on_sse_reset]` an `SseStream` and an `&SseReset`, `#[on_sse_close]` an `SseStream` and a `CloseReason`",
    note = "the request is over by then: keep what you need of it from `#[on_sse_connection]`"
)]
pub trait HookArgument<P: HookPlace> {
    #[doc(hidden)]
    fn of(client: &SseStream, event: &P::Event) -> Self;
}

impl<P: HookPlace> HookArgument<P> for SseStream {
    fn of(client: &SseStream, _: &P::Event) -> Self {
        client.clone()
    }
}

impl HookArgument<OnError> for SseError {
    fn of(_: &SseStream, event: &SseError) -> Self {
        event.clone()
    }
}

impl HookArgument<OnReset> for SseReset {
    fn of(_: &SseStream, event: &SseReset) -> Self {
        event.clone()
    }
}

impl HookArgument<OnClose> for CloseReason {
    fn of(_: &SseStream, event: &CloseReason) -> Self {
        *event
    }
}

/// Binds an argument of an error or close hook.
pub fn hook_argument<P: HookPlace, T: HookArgument<P>>(client: &SseStream, event: &P::Event) -> T {
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

    fn close(
        &self,
        client: SseStream,
        reason: CloseReason,
    ) -> Option<BoxFuture<'_, Result<(), HttpError>>>;

    /// Whether there is a reset hook.
    fn answers_resets(&self) -> bool;
}

/// The hooks of `C`, with the instance that they run on.
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
}

/// Runs the close hooks of the controllers that accepted the connection, innermost first, in a task of their own: the
/// connection's may be gone with its client.
pub(crate) fn spawn_close(client: SseStream, attachment: &Attachment, reason: CloseReason) {
    let accepted = attachment.accepted.load(Ordering::Acquire);
    let hooks: Vec<_> = attachment.hooks.iter().take(accepted).cloned().collect();
    let (Some(runtime), false) = (attachment.hub.runtime(), hooks.is_empty()) else {
        return;
    };
    let hub = Arc::clone(&attachment.hub);
    let tasks = hub.hook_tasks.clone();
    tasks.spawn_on(
        async move {
            for hook in hooks.into_iter().rev() {
                let client = client.clone();
                let call = async move {
                    match hook.close(client, reason) {
                        Some(hook) => hook.await,
                        None => Ok(()),
                    }
                };
                run(&hub, "on_sse_close", call).await;
            }
        },
        &runtime,
    );
}

/// Runs the error hooks, innermost first, and waits for them.
pub(crate) async fn run_error(client: &SseStream, attachment: &Attachment, error: &SseError) {
    for hook in attachment.hooks.iter().rev() {
        let (hook, client, error) = (Arc::clone(hook), client.clone(), error.clone());
        let call = async move {
            match hook.error(client, &error) {
                Some(hook) => hook.await,
                None => Ok(()),
            }
        };
        run(&attachment.hub, "on_sse_error", call).await;
    }
}

/// Runs the reset hooks, innermost first, in a task of their own that ends with the connection, and then lets the client
/// read on.
pub(crate) fn spawn_reset(client: SseStream, attachment: &Attachment, reset: SseReset) {
    let Some(runtime) = attachment.hub.runtime() else {
        client.client.reset_failed();
        return;
    };
    let hooks = Arc::clone(&attachment.hooks);
    let hub = Arc::clone(&attachment.hub);
    let tasks = hub.hook_tasks.clone();
    tasks.spawn_on(
        async move {
            tokio::select! {
                _ = client.closed() => {}
                answered = answer_reset(&hub, &hooks, &client, &reset) => match answered {
                    true => client.client.reset_answered(),
                    false => client.client.reset_failed(),
                },
            }
        },
        &runtime,
    );
}

/// False if a hook failed.
async fn answer_reset(
    hub: &Hub,
    hooks: &[Arc<dyn SseHooks>],
    client: &SseStream,
    reset: &SseReset,
) -> bool {
    for hook in hooks.iter().rev() {
        if let Some(hook) = hook.reset(client.clone(), reset) {
            let limit = hub.options().hook_timeout;
            let result = caught_in("on_sse_reset", timeout(limit, hook)).await;
            if !succeeded("on_sse_reset", limit, result) {
                return false;
            }
        }
    }
    true
}

/// A hook runs in its own task: it ends even if the connection is dropped meanwhile, and its panic stays its own.
async fn run(
    hub: &Hub,
    name: &'static str,
    hook: impl Future<Output = Result<(), HttpError>> + Send + 'static,
) {
    let Some(runtime) = hub.runtime() else { return };
    let limit = hub.options().hook_timeout;
    let task = hub
        .hook_tasks
        .spawn_on(caught_in(name, timeout(limit, hook)), &runtime);
    // A task is cancelled only when its runtime is.
    if let Ok(result) = task.await {
        succeeded(name, limit, result);
    }
}

/// Whether a hook did what it was to do; if not, it is in the log.
fn succeeded(
    name: &'static str,
    limit: Duration,
    result: Option<Result<Result<(), HttpError>, Elapsed>>,
) -> bool {
    match result {
        Some(Ok(Ok(()))) => return true,
        Some(Ok(Err(error))) => {
            let source = Error::source(&error);
            tracing::warn!(hook = name, %error, source, "an SSE hook failed");
        }
        Some(Err(_)) => tracing::error!(hook = name, ?limit, "an SSE hook was given up"),
        // Its panic is in the log.
        None => {}
    }
    false
}

/// What a hook may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a hook",
    label = "nobody would receive it",
    note = "a hook returns `()` or `Result<(), E>`"
)]
pub trait HookOutput {}

/// What a hook returned, `()` or `Result<(), E>`, as one type.
#[macro_export]
#[doc(hidden)]
macro_rules! __hook_result {
    ($out:expr) => {{
        use $crate::sse::hook_ladder::*;
        use $crate::sse::ladder::*;
        let out = $out;
        let opened = (&&&&$crate::__Shape::of(&out)).open_result(out);
        let opened = opened.map(|out| (&&$crate::__Shape::of(&out)).done(out));
        $crate::sse::hook_result(opened)
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

/// A foreign error response becomes an error with its status.
///
/// # Errors
///
/// The hook's own.
pub fn hook_result(opened: Opened<()>) -> Result<(), HttpError> {
    opened.map_err(|reply| match *reply {
        Ok(response) => response.status().into(),
        Err(error) => error,
    })
}
