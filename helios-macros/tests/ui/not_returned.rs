//! Types that a route cannot return.
#![allow(unused)]

use helios::prelude::*;

struct Plain;
struct PlainError;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user")]
impl User {
    #[get("a")]
    fn plain(&self) -> Plain {
        Plain
    }

    #[get("b")]
    async fn in_result(&self) -> Result<Plain, HttpError> {
        Ok(Plain)
    }

    #[get("c")]
    fn in_option(&self) -> Option<Plain> {
        None
    }

    #[get("d")]
    async fn error(&self) -> Result<(), PlainError> {
        Ok(())
    }

    #[get("e")]
    fn list(&self) -> Vec<Plain> {
        Vec::new()
    }

    #[get("f")]
    fn stream(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_connection]
    fn opened(&self) -> String {
        String::new()
    }

    #[on_sse_error]
    async fn failed(&self) -> Result<(), PlainError> {
        Ok(())
    }

    #[sse("g")]
    async fn live(&self, _stream: SseStream) {}
}

fn main() {}
