//! `#[sse]` and its additional attributes.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user")]
impl User {
    #[sse("a", methd = "POST", retry = 3)]
    fn keys(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("b", method = "post", restart = true)]
    fn values(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("b2", plain = 1, drain = "wait", overload = 200, on_error = "nothing", keep_alive = "0s", head_after = false)]
    fn options(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("b3", method = "HEAD")]
    fn headless(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("c", method = POST)]
    fn form(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("d")]
    fn nothing(&self, stream: SseStream) {}

    #[sse("e")]
    fn unit(&self) -> () {}

    #[sse("e2")]
    async fn producer_of_nothing(&self, #[query] id: u64) -> Result<(), HttpError> {
        Ok(())
    }

    #[sse("f")]
    #[http_code(201)]
    #[header("content-type", "text/plain")]
    async fn head(&self, stream: SseStream) {}
}

fn main() {}
