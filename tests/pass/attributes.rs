//! Attributes on a handler stay on it and take effect: documentation, deprecation, lints, `#[cfg]`.
#![deny(warnings, unfulfilled_lint_expectations)]
#![allow(clippy::non_minimal_cfg)]

use helios::prelude::*;

#[derive(Injectable)]
struct Notes;

/// Documented.
#[controller(prefix = "notes")]
#[allow(clippy::unused_self)]
impl Notes {
    /// Documented, with an alias.
    #[doc(alias = "all")]
    #[get]
    #[must_use]
    #[inline]
    fn list(&self) -> String {
        String::new()
    }

    #[deprecated(note = "ask for the list")]
    #[get("{id}")]
    fn find(&self, #[param] id: u64) -> u64 {
        id
    }

    #[expect(
        unused_variables,
        reason = "the lint is looked for in the method's own body"
    )]
    #[post]
    async fn create(&self, #[body] text: String) {
        let unused = 1;
    }

    #[put]
    fn replace(
        &self,
        #[allow(unused_variables)]
        #[body]
        text: String,
    ) {
    }

    #[cfg(any())]
    #[cfg_attr(all(), doc = "gone")]
    #[sse("live")]
    async fn live(&self, stream: Gone) {}

    #[cfg(all())]
    #[cfg_attr(all(), allow(unused_variables))]
    #[sse("live")]
    async fn live(&self, stream: SseStream) {}

    #[deprecated]
    #[on_sse_close]
    async fn closed(&self) {}
}

#[server(controllers = [Notes])]
struct App;

fn main() {
    let _ = Helios::new(App);
    #[expect(deprecated)]
    let seven = Notes.find(7);
    assert_eq!(seven, 7);
}
