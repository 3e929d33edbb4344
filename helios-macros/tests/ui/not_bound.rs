//! Types that the compiler itself refuses as arguments: one error each, at the type.
#![allow(unused)]

use helios::prelude::*;

struct NotDe;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user")]
impl User {
    #[get("a/{id}")]
    fn param(&self, #[param] id: NotDe) {}

    #[get("b")]
    fn query(&self, #[query] a: NotDe, #[query] b: Option<NotDe>, #[query] c: Vec<NotDe>) {}

    #[get("c")]
    fn header(&self, #[header] a: NotDe, #[header("last-event-id")] b: Option<NotDe>) {}

    #[post("d")]
    fn body(&self, #[body] a: NotDe) {}

    #[get("e")]
    fn unmarked(&self, a: u64, b: NotDe) {}

    #[get("f")]
    fn misplaced_stream(&self, stream: SseStream, reason: CloseReason) {}

    #[post("g")]
    fn by_reference(&self, a: &NotDe, #[body] b: &NotDe) {}

    #[get("h")]
    fn mismatched(&self, #[req] a: &String, #[res] b: &mut String, #[inject_sse] c: String) {}

    #[get("k")]
    fn unmarked_request(&self, request: &RequestContext, sse: SseService, page: Option<Query<u64>>) {}

    #[get("i")]
    fn default(&self, #[query(default = "x")] a: u64) {}

    #[sse("j")]
    async fn stream(&self, stream: SseStream, reason: CloseReason, a: NotDe) {}

    #[on_sse_connection]
    fn opened(&self, stream: SseStream, reason: CloseReason, a: NotDe) {}

    #[on_sse_error]
    fn failed(&self, stream: SseStream, reason: CloseReason, a: NotDe) {}

    #[on_sse_reset]
    fn missed(&self, stream: SseStream, reset: &SseReset, error: &SseError) {}

    #[on_sse_close]
    fn closed(&self, stream: SseStream, error: &SseError, a: NotDe) {}
}

#[derive(Injectable)]
struct Snapshots;

#[controller(prefix = "snapshots")]
impl Snapshots {
    #[sse]
    fn stream(&self) -> SseStream {
        SseStream::new()
    }

    #[on_sse_snapshot]
    fn snapshot(&self, stream: SseStream, snapshot: &SseSnapshot, reset: &SseReset) {}
}

fn main() {}
