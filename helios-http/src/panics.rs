//! Panics in user code: caught where they would harm others, and logged with their backtrace.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

use crate::failure::print_if_unheard;

thread_local! {
    /// Whether this thread is inside of [`caught`].
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static BACKTRACE: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

/// Runs user code; a panic in it is logged and gives `None`.
pub(crate) fn caught<T>(what: &'static str, run: impl FnOnce() -> T) -> Option<T> {
    let outer = WATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    WATCHING.set(outer);
    result
        .inspect_err(|payload| {
            let backtrace = BACKTRACE.take().map(tracing::field::display);
            let message = message(&**payload);
            tracing::error!(panic = message, backtrace, "{what} panicked");
            print_if_unheard("a panic", &[("in", &what), ("panic", &message)], None);
        })
        .ok()
}

/// Runs a future of user code; a panic in it is logged and gives `None`.
pub(crate) async fn caught_in<T>(what: &'static str, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match caught(what, || future.as_mut().poll(cx)) {
        Some(polled) => polled.map(Some),
        None => Poll::Ready(None),
    })
    .await
}

/// A backtrace can be taken only while the panic is under way, which is when its hook runs. Called where nothing
/// panics: a hook cannot be set during a panic.
pub(crate) fn keep_backtraces() {
    static HOOK: Once = Once::new();
    HOOK.call_once(set_hook);
}

fn set_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if WATCHING.get() {
            BACKTRACE.set(Some(Backtrace::force_capture()));
        }
        previous(info);
    }));
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_backtrace_and_nesting_is_harmless() {
        keep_backtraces();
        let result = caught("outer", || caught("inner", || panic!("x")).is_none());
        assert_eq!(result, Some(true));
        assert!(!WATCHING.get());
        assert!(BACKTRACE.take().is_none(), "it went to the log");
    }
}
