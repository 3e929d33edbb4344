//! Turns the return value of a start or stop hook into its future. The shape of its type selects how, as in
//! [`crate::reply`] for handlers. A hook may be async or not, and return `()` or a `Result`.

use std::any::Any;
use std::error::Error;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use crate::panic::message;

/// The result of a lifecycle hook, with any error.
pub type HookResult = Result<(), Box<dyn Error + Send + Sync>>;

/// The future of a lifecycle hook.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = HookResult> + Send + 'a>>;

/// Runs a hook. A panic in it is an error, so that the hooks of other services still run.
///
/// Cancel-safe if the hook is.
pub(super) async fn run<T>(
    hook: Option<for<'a> fn(&'a T) -> HookFuture<'a>>,
    service: &T,
) -> HookResult {
    let Some(hook) = hook else { return Ok(()) };
    let mut running = caught(|| hook(service))?;
    poll_fn(|context| match caught(|| running.as_mut().poll(context)) {
        Ok(polled) => polled,
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Box<dyn Error + Send + Sync>> {
    let panicked =
        |payload: Box<dyn Any + Send>| format!("the hook panicked: {}", message(&*payload));
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| panicked(payload).into())
}

/// A return value of a start or stop hook.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a start or stop hook",
    label = "neither `()` nor a `Result<(), E>` with an error",
    note = "a hook, async or not, returns `()` or `Result<(), E>`, where `E` implements `std::error::Error` or is a text"
)]
pub trait LifecycleOutput {
    #[doc(hidden)]
    fn into_result(self) -> HookResult;
}

impl LifecycleOutput for () {
    fn into_result(self) -> HookResult {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn Error + Send + Sync>>> LifecycleOutput for Result<(), E> {
    fn into_result(self) -> HookResult {
        self.map_err(Into::into)
    }
}

/// Turns the return value of a hook into a [`HookFuture`].
#[macro_export]
#[doc(hidden)]
macro_rules! __lifecycle_hook {
    ($out:expr) => {{
        use $crate::lifecycle::ladder::*;
        let out = $out;
        (&&$crate::reply::Shape::of(&out)).hook(out)
    }};
}

/// Imports the rungs without a name.
#[doc(hidden)]
pub mod ladder {
    pub use super::rungs::{HookAsync as _, HookSync as _};
}

#[allow(missing_docs)]
mod rungs {
    use std::future::ready;

    use super::{HookFuture, LifecycleOutput};
    use crate::reply::Shape;

    pub trait HookAsync<F: Future> {
        fn hook<'a>(&self, out: F) -> HookFuture<'a>
        where
            F: Send + 'a,
            F::Output: LifecycleOutput;
    }

    impl<F: Future> HookAsync<F> for &Shape<F> {
        fn hook<'a>(&self, out: F) -> HookFuture<'a>
        where
            F: Send + 'a,
            F::Output: LifecycleOutput,
        {
            Box::pin(async move { out.await.into_result() })
        }
    }

    pub trait HookSync<T> {
        fn hook<'a>(&self, out: T) -> HookFuture<'a>
        where
            T: LifecycleOutput;
    }

    impl<T> HookSync<T> for Shape<T> {
        fn hook<'a>(&self, out: T) -> HookFuture<'a>
        where
            T: LifecycleOutput,
        {
            Box::pin(ready(out.into_result()))
        }
    }
}
