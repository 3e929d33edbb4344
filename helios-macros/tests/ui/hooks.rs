//! `#[on_sse_connection]`, `#[on_sse_error]`, `#[on_sse_close]`, and `#[on_sse_snapshot]` beside `#[on_sse_reset]`.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user/{tenant}")]
impl User {
    #[sse("{id}")]
    async fn updates(&self, #[param] id: u64, stream: SseStream) {}

    #[on_sse_connection]
    fn opened(
        &self,
        #[param] tenant: u64,
        #[param] id: u64,
        #[body] body: String,
        #[res] res: &mut ResponseHead,
    ) {
    }

    #[on_sse_connection]
    fn opened_again(&self) {}

    #[on_sse_error("x")]
    fn failed(
        &self,
        #[param] id: u64,
        #[query] q: u64,
        #[header] h: u64,
        #[cookie] c: u64,
        #[body] b: String,
        #[req] req: &RequestContext,
        #[res] res: &mut ResponseHead,
        #[inject] user: Arc<User>,
        #[inject_sse] sse: SseService,
    ) {
    }

    #[on_sse_close]
    #[get("closed")]
    fn closed(&self) {}

    #[on_sse_close]
    #[http_code(201)]
    fn generic<T>(self, value: T) {}
}

#[derive(Injectable)]
struct Notes;

#[controller(prefix = "notes")]
impl Notes {
    #[get]
    fn list(&self) {}

    #[on_sse_close]
    fn closed(&self) {}
}

#[derive(Injectable)]
struct Prices;

#[controller(prefix = "prices")]
impl Prices {
    #[sse]
    fn watch(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_reset]
    fn missed(&self, client: SseStream) {}

    #[on_sse_snapshot]
    fn snapshot(&self, client: SseStream, #[req] req: &RequestContext) {}
}

#[derive(Injectable)]
struct Twice;

#[controller(prefix = "twice")]
impl Twice {
    #[cfg(all())]
    #[on_sse_close]
    fn closed(&self, client: &SseStream) {}

    #[cfg(not(any()))]
    #[on_sse_close]
    fn closed_too(&self, client: &SseStream) {}
}

fn main() {}
