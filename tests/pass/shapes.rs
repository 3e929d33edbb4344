//! Generic controllers, `#[cfg]`, controllers out of `macro_rules`, shadowed names.
#![deny(warnings)]
#![allow(unreachable_pub)]

use helios::prelude::*;

trait Store: Send + Sync + 'static {
    fn load(&self) -> String;
}

struct Memory;

impl Store for Memory {
    fn load(&self) -> String {
        "loaded".to_owned()
    }
}

#[derive(Injectable)]
struct Records<S, const N: usize> {
    store: Arc<S>,
}

#[controller(prefix = "records")]
impl<S, const N: usize> Records<S, N>
where
    S: Store,
{
    #[get("{id}")]
    async fn find(&self, #[param] id: usize, #[inject] store: Arc<S>) -> Option<String> {
        (id < N).then(|| self.store.load() + &store.load())
    }

    #[sse("all")]
    fn all(&self) -> impl Stream<Item = String> {
        stream! {
            yield self.store.load();
        }
    }
}

#[derive(Injectable)]
struct Switched;

#[controller]
impl Switched {
    #[cfg(any())]
    #[get("a")]
    fn off(&self, gone: Gone) -> Gone {
        gone
    }

    #[cfg(not(any()))]
    #[get("a")]
    fn on(&self) -> &'static str {
        "on"
    }

    #[cfg(any())]
    #[on_sse_error]
    fn failed(&self, gone: Gone) {}

    #[cfg(any())]
    #[on_sse_close]
    fn closed_off(&self, gone: Gone) {}

    #[cfg(not(any()))]
    #[on_sse_close]
    fn closed_on(&self, _client: &SseStream) {}
}

#[controller]
#[cfg(any())]
impl Gone {
    #[get]
    fn find(&self, gone: Gone) {}
}

#[server(controllers = [Gone])]
#[cfg(any())]
struct GoneApp;

macro_rules! controllers {
    ($($name:ident at $path:literal gives $ty:ty,)*) => {$(
        #[derive(Injectable)]
        struct $name;

        #[controller(prefix = $path)]
        impl $name {
            #[get($path)]
            fn find(&self, #[query(default = 1)] n: $ty) -> String {
                n.to_string()
            }

            #[sse("x")]
            async fn stream(&self, #[query] n: Option<$ty>, stream: SseStream) -> Result<(), SseError> {
                stream.send(SseEvent::json(n)).await
            }

            #[on_sse_close]
            fn closed(&self, _client: &SseStream) {}
        }
    )*};
}

controllers! {
    Bytes at "bytes" gives u8,
    Words at "words" gives u16,
}

macro_rules! borrowing {
    ($name:ident borrows $ty:ty) => {
        #[derive(Injectable)]
        struct $name;

        #[controller(prefix = "borrowing")]
        impl $name {
            #[get]
            fn find(&self, #[query] n: &$ty) -> usize {
                n.len()
            }
        }
    };
}

borrowing!(Slices borrows [u8]);

type Aliased<S> = Result<SseReply<S>, HttpError>;

#[derive(Injectable)]
struct Replies;

#[controller(prefix = "replies")]
impl Replies {
    #[sse("a")]
    fn generator(&self) -> SseReply<impl Stream<Item = String>> {
        SseReply::Stream(stream! { yield String::new(); })
    }

    #[sse("b")]
    fn response(&self) -> Option<SseReply<SseStream>> {
        Some(SseReply::response(StatusCode::ACCEPTED))
    }

    #[sse("c")]
    async fn in_result(&self) -> Result<Option<SseReply<SseStream>>, HttpError> {
        Ok(Some(SseReply::Stream(SseStream::new())))
    }

    #[sse("d")]
    async fn aliased(&self) -> Aliased<impl Stream<Item = Result<SseEvent, HttpError>>> {
        Ok(SseReply::Stream(try_stream! { yield SseEvent::text(""); }))
    }

    #[sse("e")]
    async fn producer(&self, stream: SseStream) -> SseReply<()> {
        match stream.send("").await {
            Ok(()) => SseReply::Stream(()),
            Err(_) => SseReply::response(Json(1)),
        }
    }

    #[sse("f")]
    async fn producer_in_result(&self, stream: SseStream) -> Result<SseReply<()>, SseError> {
        stream.send("").await?;
        Ok(SseReply::Stream(()))
    }
}

mod shadowed {
    #![allow(dead_code, non_camel_case_types)]
    use helios::{Injectable, controller, get};

    pub struct Option;
    pub struct Result;
    pub struct Arc;
    pub struct Box;
    pub struct String;
    pub struct Vec;
    pub struct Some;
    pub struct Ok;
    pub struct Err;

    #[derive(Injectable)]
    pub struct Shadowed;

    #[controller(prefix = "shadowed")]
    impl Shadowed {
        #[get("{match}")]
        fn r#match(&self, #[param] r#match: u64, #[query] call: &str, #[query] this: &[u8]) -> u64 {
            r#match + call.len() as u64 + this.len() as u64
        }
    }
}

#[server(controllers = [Records<Memory, 3>, Switched, Bytes, Words, Slices, Replies, shadowed::Shadowed])]
struct App;

#[derive(SseEvents)]
enum Payload<T> {
    One(T),
    Named { value: T },
}

fn main() {
    let _ = (
        Payload::One(1).into_sse_event(),
        Payload::Named { value: 1 }.into_sse_event(),
    );
    let _ = Helios::new(App).provide(Memory);
}
