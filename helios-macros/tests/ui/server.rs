//! `#[server]`.
#![allow(unused)]

use helios::prelude::*;

#[server(controler = [], sse(enable = true, retry = 3000, keep_alive = 15, welcome = 1), port = 70000)]
struct A;

#[server(controllers = User, host = 127, port = "3000", port = 1, prefix = "api")]
struct B;

#[server(sse, guards = AuthGuard, interceptor = 1)]
struct C;

#[server(sse(keep_alive = true, retry = "3", control_prefix = ""))]
struct D;

#[server(sse = true)]
struct E;

#[server(sse(keep_alive = "0s", retry = false, control_prefix = "a\nb", enabled))]
struct F;

#[server(sse(log = ""))]
struct G;

#[server(sse(log = "data/sse"))]
struct WithoutTheFeature;

fn main() {
    let _ = Helios::new(A);
}
