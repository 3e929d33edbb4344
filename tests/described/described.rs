//! What the compiler says of types that the OpenAPI document is told of, and cannot show. Other mistakes are in `helios-macros/tests/ui`,
//! where the feature is off.
//!
//! `TRYBUILD=overwrite cargo test --test described` writes the messages anew; read them as a user would.

#[test]
fn a_type_without_a_schema_is_blamed_where_the_document_is_told_of_it() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
