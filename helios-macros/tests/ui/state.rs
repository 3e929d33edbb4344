//! An extractor that needs the state of another framework's router, and one of the body that is not the last.
#![allow(unused)]

use helios::axum_core::extract::{FromRef, FromRequestParts};
use helios::prelude::*;

#[derive(Clone)]
struct Db;

struct State<S>(S);

impl<S: Sync, T: FromRef<S>> FromRequestParts<S> for State<T> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut http::request::Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(T::from_ref(state)))
    }
}

#[derive(Injectable)]
struct Orders;

#[controller(prefix = "orders")]
impl Orders {
    #[get]
    async fn alone(&self, State(db): State<Db>) {}

    #[post]
    async fn before_a_body(&self, State(db): State<Db>, #[body] name: String) {}

    #[put]
    async fn request_before_a_body(&self, request: helios::axum_core::extract::Request, #[body] name: String) {}
}

fn main() {}
