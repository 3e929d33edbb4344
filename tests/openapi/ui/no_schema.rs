use helios::prelude::*;
use serde::Serialize;

#[derive(Serialize)]
struct Line {
    text: String,
}

#[derive(SseEvents)]
enum ChatEvent {
    Said(Line),
}

struct NotEvents;

#[derive(Injectable)]
struct Chat;

#[controller(prefix = "chat")]
impl Chat {
    #[sse("room", events = ChatEvent)]
    fn room(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("not", events = NotEvents)]
    fn not(&self) -> SseStream {
        SseStream::new()
    }

    #[get("line")]
    #[answers(200, Line)]
    fn line(&self) -> StatusCode {
        StatusCode::OK
    }
}

fn main() {}
