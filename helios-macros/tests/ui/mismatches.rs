//! Mismatched types, for which the compiler has its own messages.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User {
    sse: SseService,
}

#[derive(Debug)]
struct NoNames;

#[controller(prefix = "user")]
impl User {
    #[get("a")]
    fn of_another_crate(&self) -> Result<String, HttpError> {
        Ok(std::fs::read_to_string("names.txt")?)
    }

    #[get("names")]
    fn of_ones_own(&self) -> Result<String, HttpError> {
        Err(NoNames)?
    }

    #[sse("c")]
    async fn in_a_stream(&self, stream: SseStream) -> Result<(), SseError> {
        let names = std::fs::read_to_string("names.txt")?;
        stream.send(names).await
    }

    #[sse("b")]
    async fn one_topic(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe("users").await
    }

    #[sse("d")]
    async fn one_topic_from_its_beginning(&self, #[query] topic: String) -> Result<SseStream, SseError> {
        self.sse.subscribe_from(topic, Replay::Earliest).await
    }
}

fn main() {}
