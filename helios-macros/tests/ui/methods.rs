//! Methods that Helios cannot call, and attributes that do not fit together.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user")]
impl User {
    #[get("a")]
    fn no_receiver() {}

    #[get("b")]
    fn by_value(self) {}

    #[get("c")]
    fn exclusive(&mut self) {}

    #[get("d")]
    fn shared_pointer(self: Arc<Self>) {}

    #[get("e")]
    fn generic<T, const N: usize>(&self) {}

    #[get("f")]
    const unsafe extern "C" fn modified(&self) {}

    #[get("g")]
    #[post("g")]
    fn two_routes(&self) {}

    #[cfg_attr(test, get("h"))]
    #[cfg_attr(test, allow(unused), http_code(201))]
    fn conditional(&self) {}

    #[http_code(201)]
    #[use_guards(Guard)]
    #[use_interceptors(|data, _, _| data)]
    #[header("x-a", "b")]
    fn no_route(&self) {}

    #[get("i")]
    #[http_code(201)]
    #[http_code(202)]
    fn two_codes(&self) {}

    #[get("j")]
    #[http_code(CREATED)]
    #[use_guards]
    #[use_interceptors(|data| data)]
    fn contents(&self) {}

    #[get("k")]
    #[http_code(99)]
    #[header("x-a")]
    #[header("x a", "b")]
    #[header("x-a", "ä")]
    fn values(&self) {}

    #[get("same/{id}")]
    fn first(&self, #[param] id: u64) {}

    #[get("/same/{name}/")]
    fn second(&self, #[param] name: u64) {}

    #[sse("same/{id}")]
    fn third(&self, #[param] id: u64) -> SseStream {
        SseStream::new()
    }
}

#[derive(Injectable)]
struct Borrowed<'a>(Arc<&'a str>);

#[controller]
impl<'a> Borrowed<'a> {}

#[derive(Injectable)]
struct Cache<T>(Arc<T>);

#[controller]
impl Cache<Borrowed<'_>> {
    #[get]
    fn find(&self) {}
}

#[controller]
impl Cache<Arc<&str>> {
    #[get]
    fn find(&self) {}
}

fn main() {}
