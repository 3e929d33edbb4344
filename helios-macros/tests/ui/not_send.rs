//! Futures and streams that are not `Send`.
#![allow(unused)]

use std::rc::Rc;

use helios::prelude::*;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user")]
impl User {
    #[get("a")]
    async fn get(&self) -> String {
        let shared = Rc::new(String::new());
        sleep(Duration::from_secs(1)).await;
        shared.to_string()
    }

    #[sse("b")]
    async fn produce(&self, stream: SseStream) {
        let shared = Rc::new(String::new());
        let _ = stream.send(SseEvent::text("x")).await;
        drop(shared);
    }

    #[sse("c")]
    fn generate(&self) -> impl Stream<Item = String> {
        stream! {
            let shared = Rc::new(String::new());
            yield String::new();
            drop(shared);
        }
    }

    #[on_sse_close]
    async fn closed(&self) {
        let shared = Rc::new(String::new());
        sleep(Duration::from_secs(1)).await;
        drop(shared);
    }
}

fn main() {}
