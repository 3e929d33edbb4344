//! Types that an `#[sse]` method cannot return or yield.
#![allow(unused)]

use helios::prelude::*;

struct Plain;
struct PlainError;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user")]
impl User {
    #[sse("a")]
    fn plain(&self) -> Plain {
        Plain
    }

    #[sse("b")]
    async fn async_plain(&self) -> Plain {
        Plain
    }

    #[sse("c")]
    fn in_result(&self) -> Result<String, HttpError> {
        Ok(String::new())
    }

    #[sse("d")]
    fn items(&self) -> impl Stream<Item = Plain> {
        stream! { yield Plain; }
    }

    #[sse("e")]
    fn item_errors(&self) -> impl Stream<Item = Result<SseEvent, PlainError>> {
        try_stream! { yield SseEvent::text("x"); }
    }

    #[sse("f")]
    async fn producer(&self, stream: SseStream) -> Result<(), PlainError> {
        Ok(())
    }

    #[sse("g")]
    fn error(&self) -> Result<SseStream, PlainError> {
        Ok(SseStream::new())
    }

    #[sse("h")]
    async fn in_async_result(&self) -> Result<Plain, HttpError> {
        Ok(Plain)
    }

    #[sse("i")]
    async fn in_reply(&self) -> Result<SseReply<Plain>, HttpError> {
        Ok(SseReply::Stream(Plain))
    }

    #[sse("j")]
    async fn replying_producer(&self, stream: SseStream) -> Result<SseReply<()>, PlainError> {
        Ok(SseReply::Stream(()))
    }
}

fn main() {}
