//! What the compiler says about mistakes. What it takes without a word is in `tests/pass` of the workspace.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages anew; read them as a user would.

#[test]
fn ui() {
    // Only mistakes: with a program that is to run among them, each would be a build of its own, and its dependencies, too.
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
