//! `#[derive(HttpError)]`.
#![allow(unused)]

use helios::prelude::*;

#[derive(Debug, thiserror::Error, HttpError)]
#[error("..")]
#[http(status = 404)]
enum OrderError {
    NoStatus,
    #[http(title = "x")]
    OnlyTitle,
    #[http(status = 200)]
    NotAnError,
    #[http(status = 999)]
    NoSuchStatus,
    #[http(status = "404")]
    NotANumber,
    #[http(status = StatusCode::NOT_FOUND)]
    NotALiteral,
    #[http(stauts = 404, title = 1)]
    Misspelt,
    #[http(status = 404, status = 409)]
    Twice,
    #[http(404)]
    Positional,
    #[http]
    Empty,
    #[http(transparent)]
    NoField,
    #[http(transparent, status = 404)]
    Two(u8, u8),
    #[http(transparent = true)]
    NotAFlag(HttpError),
    #[http(status = 404)]
    #[http(status = 409)]
    TwiceInTwo,
    #[http(status = 404)]
    OnAField(#[http(status = 404)] u8),
}

#[derive(Debug, thiserror::Error, HttpError)]
#[error("..")]
struct NoStatus;

#[derive(Debug, thiserror::Error, HttpError)]
#[error("..")]
#[http(status = 404, transparent)]
struct Borrowing<'a>(&'a str);

#[derive(Debug, thiserror::Error, HttpError)]
#[error("..")]
#[http(status = 404)]
struct OnAField {
    #[http(transparent)]
    inner: u8,
}

#[derive(HttpError)]
#[http(status = 404)]
union Union {
    a: u8,
}

fn main() {}
