//! Where types do not meet, and the compiler has words of its own.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User {
    sse: SseService,
}

#[controller(prefix = "user")]
impl User {
    #[get("a")]
    fn of_another_crate(&self) -> Result<String, HttpError> {
        Ok(std::fs::read_to_string("names.txt")?)
    }

    #[sse("b")]
    async fn one_topic(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe("users").await
    }
}

fn main() {}
