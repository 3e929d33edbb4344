//! Bounds of `#[derive(HttpError)]`.
#![allow(unused)]

use helios::prelude::*;

#[derive(HttpError)]
#[http(status = 404)]
struct NotAnError;

#[derive(Debug, thiserror::Error, HttpError)]
#[error("..")]
enum NotAnswered {
    #[http(transparent)]
    Io(std::io::Error),
}

fn main() {}
