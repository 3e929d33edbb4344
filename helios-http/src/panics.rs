//! Panics in user code. They are caught where they would harm more than their own request, and logged with their place
//! and backtrace. Only the innermost catch handles a panic.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use axum_core::body::Body;
use bytes::Bytes;
use helios_core::error::HttpError;
use helios_core::panic::message;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tracing::Span;

use crate::failure::{print_if_unheard, text};

thread_local! {
    /// Whether this thread is inside of [`caught`].
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    /// The origin of the last panic.
    static ORIGIN: RefCell<Option<Origin>> = const { RefCell::new(None) };
}

/// The place and backtrace of a panic.
struct Origin {
    at: String,
    backtrace: Backtrace,
}

impl Origin {
    /// Returns the frames of the code that panicked, on one line, if they have names. Frames of the panic machinery and
    /// of the server are left out.
    fn frames(&self) -> String {
        let backtrace = self.backtrace.to_string();
        let lines = || backtrace.lines().map(str::trim);
        let raises = |line: &str| line.contains("rust_begin_unwind");
        let is_known = lines().any(raises);
        // Skips the frame and its place.
        let own = lines().skip_while(|line| is_known && !raises(line)).skip(2);
        let watch = concat!(module_path!(), "::");
        let own = own.take_while(|line| !line.contains(watch));
        text(own.collect::<Vec<_>>().join(" "))
    }
}

/// Runs user code. A panic in it is logged and returns `None`.
pub(crate) fn caught<T>(what: &'static str, run: impl FnOnce() -> T) -> Option<T> {
    let log = |payload: &Payload| log(what, message(&**payload));
    watched(run).inspect_err(log).ok()
}

/// Like [`caught`], for code that runs outside of the span that it belongs to.
pub(crate) fn caught_of<T>(span: &Span, what: &'static str, run: impl FnOnce() -> T) -> Option<T> {
    let log = |payload: &Payload| span.in_scope(|| log(what, message(&**payload)));
    watched(run).inspect_err(log).ok()
}

type Payload = Box<dyn Any + Send>;

fn watched<T>(run: impl FnOnce() -> T) -> Result<T, Payload> {
    let outer = WATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    WATCHING.set(outer);
    result
}

fn log(what: &'static str, message: &str) {
    let origin = ORIGIN.take();
    let at = origin.as_ref().map(|origin| &*origin.at);
    tracing::error!(
        panic = text(message),
        at,
        backtrace = origin.as_ref().map(Origin::frames),
        "{what} panicked"
    );
    let at = at.unwrap_or("an unknown place");
    print_if_unheard(
        "a panic",
        &[("in", &what), ("panic", &message), ("at", &at)],
        None,
    );
}

/// Runs a future of user code. A panic in it is logged and returns `None`.
pub(crate) fn caught_in<F: Future>(what: &'static str, future: F) -> CaughtIn<F> {
    CaughtIn { what, future }
}

pin_project! {
    /// The future of [`caught_in`].
    pub(crate) struct CaughtIn<F> {
        what: &'static str,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for CaughtIn<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match caught(this.what, || this.future.poll(cx)) {
            Some(polled) => polled.map(Some),
            None => Poll::Ready(None),
        }
    }
}

/// The body of a response from user code. A panic breaks it off, like an error of its own.
pub(crate) struct CaughtBody(Body);

impl CaughtBody {
    pub(crate) fn new(body: Body) -> Self {
        Self(body)
    }
}

impl HttpBody for CaughtBody {
    type Data = Bytes;
    type Error = axum_core::Error;

    /// Returns an error after a panic. Nobody polls the body after an error.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        let polled = caught("a response's body", || Pin::new(&mut self.0).poll_frame(cx));
        polled.unwrap_or_else(|| {
            let error = HttpError::internal("the body panicked");
            Poll::Ready(Some(Err(axum_core::Error::new(error))))
        })
    }

    fn is_end_stream(&self) -> bool {
        caught("a response's body", || self.0.is_end_stream()).unwrap_or_default()
    }

    fn size_hint(&self) -> SizeHint {
        caught("a response's body", || self.0.size_hint()).unwrap_or_default()
    }
}

/// Returns the length of a body, if it is known and reading it does not panic.
pub(crate) fn length_of(body: &Body) -> Option<u64> {
    caught("a response's body", || body.size_hint().exact()).flatten()
}

/// Installs a panic hook that captures backtraces, since they can only be captured while the panic runs. Must not be
/// called during a panic, when no hook can be set.
pub(crate) fn keep_backtraces() {
    static HOOK: Once = Once::new();
    HOOK.call_once(set_hook);
}

fn set_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if WATCHING.get() {
            let at = info.location().map(ToString::to_string);
            ORIGIN.set(Some(Origin {
                at: at.unwrap_or_default(),
                backtrace: Backtrace::force_capture(),
            }));
        }
        previous(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_backtrace_even_when_nested() {
        keep_backtraces();
        let result = caught("outer", || caught("inner", || panic!("x")).is_none());
        assert_eq!(result, Some(true));
        assert!(!WATCHING.get());
        assert!(ORIGIN.take().is_none(), "it went to the log");
    }
}
