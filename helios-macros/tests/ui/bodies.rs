//! Arguments whose types take the body.
#![allow(unused)]

use helios::Multipart;
use helios::prelude::*;

#[derive(Injectable)]
struct Uploads;

#[controller(prefix = "uploads")]
impl Uploads {
    #[post("a")]
    async fn beside_a_body(&self, parts: Multipart, #[body] name: String) {}

    #[post("b")]
    async fn not_last(&self, parts: Multipart, page: Query<u64>) {}

    #[post("c")]
    async fn two(&self, text: String, parts: Multipart) {}

    #[get("d")]
    async fn of_a_get(&self, name: String) {}

    #[sse("e", method = "POST")]
    async fn before_the_stream(&self, question: Json<String>, stream: SseStream) {}
}

fn main() {}
