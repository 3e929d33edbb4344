//! What the compiler says about mistakes, and what it takes without a word.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages anew; read them as a user would.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/*.rs");
}
