//! The compiler's messages about mistakes. Code that must compile is in `tests/pass` of the workspace.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages anew. Read them as a user would.

#[test]
fn ui() {
    // Only mistakes are here. A program that runs would make each of them a build of its own, with all dependencies.
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
