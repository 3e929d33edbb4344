//! `#[derive(JsonSchema)]`.
#![allow(unused)]

use helios::prelude::*;

#[derive(JsonSchema)]
#[schema(crate = helios)]
#[schema(crate = helios)]
#[schema(rename = "Book")]
struct Twice;

#[derive(JsonSchema)]
struct Note {
    #[schema(rename = "title")]
    text: String,
}

#[derive(JsonSchema)]
enum Kind {
    #[schema(rename = "a")]
    A,
    B(#[schema(skip)] u8),
}

fn main() {}
