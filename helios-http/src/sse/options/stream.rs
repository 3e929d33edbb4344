//! The options of a route's streams. Options that a route leaves open come from the server's options.

use std::fmt;
use std::time::Duration;

use helios_core::route::Verb;
use http::StatusCode;

use super::{Overload, SseOptions, TICK};

/// How a stream ends at shutdown.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::Drain;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// // Every stream of this app is an answer that a client waits for.
/// let app = Helios::new(App).sse_options(|sse| sse.drain = Some(Drain::Finish));
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drain {
    /// The stream may run to its end, for at most `finish_within`. The default of plain streams.
    Finish,
    /// The stream ends, and its client reconnects to another server. The default of all others.
    Reconnect,
}

/// How a client learns of an error that no filter answers.
///
/// ```
/// use helios::prelude::*;
/// use helios::sse::OnError;
///
/// #[server(controllers = [], sse(enabled = true))]
/// struct App;
///
/// let app = Helios::new(App).sse_options(|sse| sse.on_error = Some(OnError::BreakOff));
/// # assert!(app.into_service().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnError {
    /// `event: error`, with problem JSON. The default of streams that are not plain.
    Event,
    /// No event. The response breaks off, which clients detect by the protocol. The default of plain streams, whose
    /// clients may take every event for data and every clean end for a complete answer.
    BreakOff,
}

/// The options in `#[sse(..)]`. Durations are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct StreamTable {
    /// Whether a client that has seen the end may run the stream again.
    pub restart: bool,
    /// Whether the method may return a handle, which may have joined topics.
    pub may_join: bool,
    /// Whether the method may return a response instead of a stream.
    pub may_reply: bool,
    /// Whether only the app's events are written.
    pub plain: Option<bool>,
    /// How the stream ends at shutdown.
    pub drain: Option<Drain>,
    /// How long the head waits for the first event.
    pub head_after: Option<u64>,
    /// How long a client waits before it reconnects.
    pub retry: Option<u64>,
    /// The silence after which a comment is sent. 0 turns it off.
    pub keep_alive: Option<u64>,
    /// The status of an overload. 200 selects the event.
    pub overload: Option<u16>,
    /// How a client learns of an error.
    pub on_error: Option<OnError>,
}

impl StreamTable {
    /// A table that sets nothing.
    pub const EMPTY: Self = Self {
        restart: false,
        may_join: true,
        may_reply: false,
        plain: None,
        drain: None,
        head_after: None,
        retry: None,
        keep_alive: None,
        overload: None,
        on_error: None,
    };

    /// Returns what is wrong with these options, if anything. `options` are the resulting options.
    pub(crate) fn mistake(&self, options: &StreamOptions, verb: Verb) -> Option<&'static str> {
        let reopens = matches!(verb, Verb::Get | Verb::Any);
        let too_short = options.keep_alive.is_some_and(|after| after < TICK);
        let rows = [
            (
                options.plain && reopens && !options.restart && !self.may_join,
                "it is plain, so an `EventSource` does not see its end and would run it again and again: write \
                 `restart` if you want that, return an `SseStream` that joins topics, or write `plain = false`",
            ),
            (
                options.plain && self.retry.is_some(),
                "a plain stream writes no `retry`: remove it, or write `plain = false`",
            ),
            (
                options.plain && self.overload == Some(StatusCode::OK.as_u16()),
                "a plain stream reports an overload with a status: write `overload = 503`, or `plain = false`",
            ),
            (too_short, "`keep_alive` is 10 ms at least, or `false`"),
            (options.retry > super::DAY, "`retry` is a day at the most"),
            (
                options.head_after.is_some_and(|after| after > super::DAY),
                "`head_after` is a day at the most",
            ),
        ];
        let mistake = rows.into_iter().find(|(is_wrong, _)| *is_wrong);
        mistake.map(|(_, mistake)| mistake)
    }
}

/// The effective options of a route's streams. Options that `#[sse(..)]` does not set come from the server's
/// [`SseOptions`]. They are part of the list of routes, whose table shows where they differ from the defaults of a
/// route for an `EventSource`.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Answers;
///
/// #[controller]
/// impl Answers {
///     #[sse("answers", method = "POST", keep_alive = "5s")]
///     fn answers(&self) -> impl Stream<Item = SseEvent> {
///         stream! { yield SseEvent::text("42") }
///     }
/// }
///
/// #[server(controllers = [Answers], sse(enabled = true))]
/// struct App;
///
/// let service = Helios::new(App).into_service()?;
/// let options = service.routes().0[0].stream.as_ref().unwrap();
/// assert!(options.plain && options.keep_alive == Some(Duration::from_secs(5)));
/// assert!(service.routes().to_string().ends_with("sse   plain, drain = finish, keep_alive = 5s, overload = 503, on_error = break_off"));
/// # Ok::<(), helios::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Whether a client that has seen the end may run the stream again.
    pub restart: bool,
    /// Whether only the app's events and comments are written.
    pub plain: bool,
    /// How the stream ends at shutdown.
    pub drain: Drain,
    /// How long the head waits for the first event, an error or the end. `None` means 250 ms for a producer and for a
    /// generator that may fail, and no wait for others.
    pub head_after: Option<Duration>,
    /// How long a client waits before it reconnects.
    pub retry: Duration,
    /// The silence after which a comment is sent. `None` means never.
    pub keep_alive: Option<Duration>,
    /// The response when there is no room for the stream.
    pub overload: Overload,
    /// How the client learns of an error that no filter answers.
    pub on_error: OnError,
}

impl StreamOptions {
    pub(crate) fn new(table: &StreamTable, verb: Verb, server: &SseOptions) -> Self {
        let plain = table.plain.or(server.plain).unwrap_or(verb == Verb::Post);
        let (drain, on_error) = match plain {
            true => (Drain::Finish, OnError::BreakOff),
            false => (Drain::Reconnect, OnError::Event),
        };
        Self {
            restart: table.restart,
            plain,
            drain: table.drain.or(server.drain).unwrap_or(drain),
            head_after: table
                .head_after
                .map(Duration::from_millis)
                .or(server.head_after),
            retry: table.retry.map_or(server.retry, Duration::from_millis),
            keep_alive: match table.keep_alive {
                Some(0) => None,
                Some(millis) => Some(Duration::from_millis(millis)),
                None => server.keep_alive,
            },
            overload: overload(table.overload, plain, server.connections.answer),
            on_error: table.on_error.or(server.on_error).unwrap_or(on_error),
        }
    }
}

/// Returns the response to an overload. A plain stream cannot carry the event.
fn overload(status: Option<u16>, plain: bool, of_server: Overload) -> Overload {
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    match (status, of_server) {
        (Some(StatusCode::OK), _) => Overload::Event,
        (Some(status), _) => Overload::Status(status),
        (None, Overload::Event) if plain => Overload::Status(StatusCode::SERVICE_UNAVAILABLE),
        (None, of_server) => of_server,
    }
}

impl fmt::Display for StreamOptions {
    /// Lists the options that differ from the defaults of a route for an `EventSource`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self;
        let other = &Self::new(&StreamTable::EMPTY, Verb::Get, &SseOptions::default());
        let flag = |name: &str, on: bool| match on {
            true => name.to_owned(),
            false => format!("{name} = false"),
        };
        let off_or =
            |time: Option<Duration>| time.map_or("false".to_owned(), |time| format!("{time:?}"));
        let rows = [
            (own.restart != other.restart, flag("restart", own.restart)),
            (own.plain != other.plain, flag("plain", own.plain)),
            (
                own.drain != other.drain,
                match own.drain {
                    Drain::Finish => "drain = finish".to_owned(),
                    Drain::Reconnect => "drain = reconnect".to_owned(),
                },
            ),
            (
                own.head_after != other.head_after,
                format!("head_after = {}", off_or(own.head_after)),
            ),
            (own.retry != other.retry, format!("retry = {:?}", own.retry)),
            (
                own.keep_alive != other.keep_alive,
                format!("keep_alive = {}", off_or(own.keep_alive)),
            ),
            (
                own.overload != other.overload,
                match own.overload {
                    Overload::Event => "overload = event".to_owned(),
                    Overload::Status(status) => format!("overload = {}", status.as_u16()),
                },
            ),
            (
                own.on_error != other.on_error,
                match own.on_error {
                    OnError::Event => "on_error = event".to_owned(),
                    OnError::BreakOff => "on_error = break_off".to_owned(),
                },
            ),
        ];
        let shown = rows.into_iter().filter(|(differs, _)| *differs);
        let shown: Vec<_> = shown.map(|(_, text)| text).collect();
        f.write_str(&shown.join(", "))
    }
}
