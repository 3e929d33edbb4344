//! The keys of `#[controller]`.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct A;

#[controller(prefx = "a", prefix = "b", prefix = "c", filter = X, "user")]
impl A {}

#[derive(Injectable)]
struct B;

#[controller(prefix = PREFIX, controllers = A, guards = "AuthGuard", interceptor, crate = "helios")]
impl B {}

#[derive(Injectable)]
struct C;

#[controller(interceptor = |data| data, interceptors = |data, _, _| data)]
impl C {}

#[derive(Injectable)]
struct D;

#[controller(prefix, controllers(A), interceptors = [42])]
impl D {}

#[derive(Injectable)]
struct E;

#[controller(prefix = "e" guards = [])]
impl E {}

#[derive(Injectable)]
struct F;

#[controller(controllers = [E::new()], guards = [AuthGuard("x")])]
impl F {
    #[get]
    #[use_guards(AuthGuard::new("x"))]
    fn find(&self, #[query] q: &'static str) {}
}

#[derive(Injectable)]
struct Waiting;

#[controller(interceptor = async |data, _, _| data)]
impl Waiting {}

fn main() {}
