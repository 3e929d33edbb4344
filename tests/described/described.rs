//! Compile errors for types that cannot be in an OpenAPI document. Other mistakes are in `helios-macros/tests/ui`,
//! where the feature is off.
//!
//! `TRYBUILD=overwrite cargo test --test described` updates the messages. Read them as a user would.

#[test]
fn a_type_without_a_schema_is_a_compile_error() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
