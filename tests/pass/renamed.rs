//! In edition 2021, with Helios under another name that no attribute mentions, and without a prelude.
#![deny(warnings)]
#![no_implicit_prelude]

use ::hl::prelude::*;
use ::std::clone::Clone;
use ::std::convert::From;
use ::std::option::Option::{self, Some};
use ::std::result::Result::{self, Ok};
use ::std::string::String;
use ::std::{format, write};

#[derive(Injectable)]
#[inject(on_start = start)]
struct Clock {
    #[inject(default)]
    offset: u64,
}

impl Clock {
    async fn start(&self) {}
}

#[derive(Injectable)]
struct Times {
    clock: Arc<Clock>,
    sse: SseService,
}

#[derive(Injectable)]
struct Open;

impl Guard for Open {
    async fn check(&self, _request: &mut RequestContext) -> Result<(), HttpError> {
        Ok(())
    }
}

#[derive(Debug, HttpError)]
enum ClockError {
    #[http(status = 409, title = "The clock has stopped")]
    Stopped,
    #[http(transparent)]
    Other(HttpError),
}

impl ::std::fmt::Display for ClockError {
    fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl ::std::error::Error for ClockError {}

#[derive(SseEvents)]
enum News<T> {
    Tick,
    Changed { value: T },
    Pair(u64, T),
}

#[controller(prefix = "times/{zone}", guards = [Open], interceptor = |data, _, _| data)]
impl Times {
    #[get]
    #[http_code(202)]
    #[header("cache-control", "no-store")]
    fn now(
        &self,
        #[param] zone: &str,
        #[query(default = 1)] n: u64,
        #[header] accept: Option<String>,
        #[req] request: &RequestContext,
        #[res] response: &mut ResponseHead,
    ) -> String {
        response.set_status(StatusCode::OK);
        format!(
            "{zone} {n} {accept:?} {} {}",
            request.route(),
            self.clock.offset
        )
    }

    #[get("stopped")]
    #[use_guards(Open)]
    async fn stopped(&self, #[inject] clock: Arc<Clock>) -> Result<(), ClockError> {
        match clock.offset {
            0 => Result::Err(ClockError::Stopped),
            _ => Result::Err(ClockError::from(HttpError::not_found("no clock"))),
        }
    }

    #[post]
    #[deprecated]
    fn set(
        &self,
        #[body(json, form)] offset: u64,
        page: Option<::hl::http::RemoteAddr>,
    ) -> Json<u64> {
        let _ = page;
        Json(offset)
    }

    #[sse("generator")]
    fn generator(&self, #[param] zone: &str) -> impl Stream<Item = SseEvent> + '_ {
        let zone = zone.len();
        stream! {
            yield SseEvent::json((zone, self.clock.offset));
        }
    }

    #[sse("producer")]
    async fn producer(&self, stream: SseStream) -> Result<(), SseError> {
        stream.send(News::<u64>::Tick).await
    }

    #[sse("handle")]
    async fn handle(&self) -> Result<SseReply<SseStream>, HttpError> {
        Ok(SseReply::Stream(self.sse.create_connection()))
    }

    #[on_sse_connection]
    async fn opened(&self, client: SseStream, #[param] zone: String) -> Result<(), HttpError> {
        let _ = (client, zone);
        Ok(())
    }

    #[on_sse_close]
    fn closed(&self, _reason: CloseReason) {}
}

impl ::std::convert::From<HttpError> for ClockError {
    fn from(error: HttpError) -> Self {
        Self::Other(error)
    }
}

#[server(controllers = [Times], guards = [Open], sse(enabled = true, retry = "1s"))]
#[derive(Clone)]
struct App;

fn main() {
    let _ = Helios::new(App.clone());
    let events = [News::Tick, News::Changed { value: 1 }, News::Pair(1, 2)];
    let names = events.map(|event| event.into_sse_event().name().map(String::from));
    ::std::assert_eq!(names[1], Some(String::from("Changed")));
}
