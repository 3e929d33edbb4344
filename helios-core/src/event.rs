//! A Server-Sent Event as an application sends it, and the types that convert to one.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// A Server-Sent Event, before it is encoded.
///
/// All fields are optional, but an event without any field cannot be encoded ([`EventError::Empty`]). Browsers dispatch
/// an event only if it has data (WHATWG HTML section 9.2.6). An empty string is data.
///
/// Nothing here panics or alters a value. If an event cannot be sent, [`validate`](Self::validate) and
/// [`encode`](crate::encode::encode) return an [`EventError`].
///
/// ```
/// use helios::sse::{SseEvent, encode};
///
/// let event = SseEvent::text("21.5 °C").event("temperature").id(7);
/// assert_eq!(
///     encode(&event)?,
///     "event: temperature\nid: 7\ndata: 21.5 °C\n\n"
/// );
/// # Ok::<(), helios::sse::EventError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    data: Data,
    name: Option<String>,
    id: Option<String>,
    retry_millis: Option<u64>,
    comment: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Data {
    #[default]
    Absent,
    Text(String),
    Json(String),
    /// The reason why the value did not serialise. It is returned when the event is sent, not when it is built.
    Failed(String),
}

impl Data {
    fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(json) => Self::Json(json),
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    fn map(self, change: impl FnOnce(Value) -> Value) -> Self {
        match self {
            Self::Text(text) => match change(Value::String(text)) {
                Value::String(text) => Self::Text(text),
                other => Self::json(&other),
            },
            Self::Json(json) => match serde_json::from_str(&json) {
                Ok(value) => Self::json(&change(value)),
                Err(error) => Self::Failed(error.to_string()),
            },
            unchanged => unchanged,
        }
    }
}

impl SseEvent {
    /// Creates an event with `text` as its data, unchanged.
    ///
    /// Line ends (LF, CRLF, bare CR) are legal. The receiver sees each of them as LF (WHATWG HTML section 9.2.6).
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::text("hello").data(), Some("hello"));
    /// ```
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            data: Data::Text(text.into()),
            ..Self::default()
        }
    }

    /// Creates an event with `value` as JSON, serialised at once.
    ///
    /// If the value does not serialise, sending the event returns [`EventError::Unserializable`].
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::json([1, 2]).data(), Some("[1,2]"));
    /// ```
    #[must_use]
    pub fn json(value: impl Serialize) -> Self {
        Self {
            data: Data::json(&value),
            ..Self::default()
        }
    }

    /// Sets the event's name, which selects the client's listener (`message` if there is no name).
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::text("x").event("price").name(), Some("price"));
    /// ```
    #[must_use]
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the id that the client sends back as `Last-Event-ID` when it reconnects.
    ///
    /// An empty id is legal. It makes the client forget the last one.
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::text("x").id(0).event_id(), Some("0"));
    /// ```
    #[must_use]
    pub fn id(mut self, id: impl Display) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// Sets how long the client waits before it reconnects, in whole milliseconds.
    ///
    /// Fractions of a millisecond are cut off, and more than `u64::MAX` milliseconds become that number. Clients
    /// remember the value for later connections too.
    ///
    /// ```
    /// use helios::SseEvent;
    /// use std::time::Duration;
    ///
    /// let event = SseEvent::text("x").retry(Duration::from_micros(2_500));
    /// assert_eq!(event.retry_after(), Some(Duration::from_millis(2)));
    /// ```
    #[must_use]
    pub fn retry(mut self, after: Duration) -> Self {
        self.retry_millis = Some(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Sets a comment, which clients ignore. Several lines become several comment lines.
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// let event = SseEvent::default().comment("still here");
    /// assert_eq!(event.comment_text(), Some("still here"));
    /// ```
    #[must_use]
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.comment = Some(text.into());
        self
    }

    /// Returns the data, which is the text or the JSON as it will be written.
    ///
    /// Returns `None` if there is none or if it did not serialise.
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::json("a").data(), Some("\"a\""));
    /// assert_eq!(SseEvent::default().data(), None);
    /// ```
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        match &self.data {
            Data::Text(data) | Data::Json(data) => Some(data),
            Data::Absent | Data::Failed(_) => None,
        }
    }

    /// Returns the name set with [`event`](Self::event).
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::text("x").name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the id set with [`id`](Self::id).
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::text("x").id("a-1").event_id(), Some("a-1"));
    /// ```
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns the delay set with [`retry`](Self::retry), in whole milliseconds.
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::text("x").retry_after(), None);
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_millis.map(Duration::from_millis)
    }

    /// Returns the comment set with [`comment`](Self::comment).
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert_eq!(SseEvent::text("x").comment_text(), None);
    /// ```
    #[must_use]
    pub fn comment_text(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Returns whether the data is JSON rather than plain text.
    ///
    /// ```
    /// use helios::SseEvent;
    ///
    /// assert!(SseEvent::json(1).is_json());
    /// assert!(!SseEvent::text("1").is_json());
    /// ```
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.data, Data::Json(_))
    }

    /// Checks whether the event can be sent.
    ///
    /// # Errors
    ///
    /// [`EventError`] names the first field that cannot be written, in the order name, id, data, or says that there is
    /// no field at all. Such a name or id could inject other fields, and clients ignore an id with a NUL (WHATWG HTML
    /// section 9.2.6).
    ///
    /// ```
    /// use helios::sse::{EventError, SseEvent};
    ///
    /// assert_eq!(SseEvent::text("a\r\nb").id(1).validate(), Ok(()));
    /// assert_eq!(SseEvent::default().validate(), Err(EventError::Empty));
    /// ```
    pub fn validate(&self) -> Result<(), EventError> {
        if let Some(name) = self.name().filter(|name| name.contains(['\r', '\n'])) {
            return Err(EventError::InvalidName(name.to_owned()));
        }
        if let Some(id) = self.event_id().filter(|id| !is_valid_id(id)) {
            return Err(EventError::InvalidId(id.to_owned()));
        }
        if let Data::Failed(reason) = &self.data {
            return Err(EventError::Unserializable(reason.clone()));
        }
        if *self == Self::default() {
            return Err(EventError::Empty);
        }
        Ok(())
    }

    /// Changes the data and leaves the other fields alone.
    ///
    /// `change` receives JSON data parsed back into a [`Value`], and text as a [`Value::String`]. A string returned for
    /// a text event stays text. Everything else is written as JSON. An event without data, or with data that did not
    /// serialise, is unchanged. If `serde_json` cannot read the JSON back (nested more than 127 deep), sending the
    /// event returns [`EventError::Unserializable`].
    ///
    /// ```
    /// use helios::SseEvent;
    /// use serde_json::json;
    ///
    /// let event = SseEvent::json([1, 2]).map_data(|data| json!({ "items": data }));
    /// assert_eq!(event.data(), Some(r#"{"items":[1,2]}"#));
    /// ```
    #[must_use]
    pub fn map_data(mut self, change: impl FnOnce(Value) -> Value) -> Self {
        self.data = self.data.map(change);
        self
    }
}

/// Returns whether an event can have this id.
pub(crate) fn is_valid_id(id: &str) -> bool {
    !id.contains(['\r', '\n', '\0'])
}

/// The reason why an event cannot be sent.
///
/// ```
/// use helios::sse::{EventError, SseEvent, encode};
///
/// let error = encode(&SseEvent::text("x").event("a\nid: 9")).unwrap_err();
/// assert_eq!(error, EventError::InvalidName("a\nid: 9".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The event's name, given here, contains a CR or an LF.
    #[error("event name {0:?} contains a line break: use a name without CR and LF")]
    InvalidName(String),
    /// The event's id, given here, contains a CR, an LF or a NUL.
    #[error("event id {0:?} contains a line break or NUL: use an id without CR, LF and NUL")]
    InvalidId(String),
    /// The data, with the serialiser's reason, could not be written as JSON.
    #[error("event data cannot be written as JSON: {0}; send a value that serialises")]
    Unserializable(String),
    /// The event has no field at all.
    #[error("event is empty: give it data, a name, an id, a retry or a comment")]
    Empty,
}

/// A value that can be sent as an event.
///
/// Strings are sent as text, everything else as JSON.
///
/// ```
/// use helios::{IntoSseEvent, SseEvent};
///
/// assert_eq!("hi".into_sse_event(), SseEvent::text("hi"));
/// assert_eq!(serde_json::json!("hi").into_sse_event(), SseEvent::json("hi"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as an event",
    label = "not an event",
    note = "send an `SseEvent`, a `String`, `&str` or `serde_json::Value`, wrap a `Serialize` value in `Json(..)`, or derive `SseEvents` on an enum"
)]
pub trait IntoSseEvent {
    /// Converts the value into the event that is sent for it.
    ///
    /// ```
    /// use helios::IntoSseEvent;
    ///
    /// assert_eq!(String::from("hi").into_sse_event().data(), Some("hi"));
    /// ```
    fn into_sse_event(self) -> SseEvent;
}

impl IntoSseEvent for SseEvent {
    fn into_sse_event(self) -> SseEvent {
        self
    }
}

impl IntoSseEvent for String {
    fn into_sse_event(self) -> SseEvent {
        SseEvent::text(self)
    }
}

impl IntoSseEvent for &str {
    fn into_sse_event(self) -> SseEvent {
        SseEvent::text(self)
    }
}

impl IntoSseEvent for Cow<'_, str> {
    fn into_sse_event(self) -> SseEvent {
        SseEvent::text(self)
    }
}

impl IntoSseEvent for Value {
    fn into_sse_event(self) -> SseEvent {
        SseEvent::json(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn unserializable() -> SseEvent {
        SseEvent::json(HashMap::from([((1, 2), 3)]))
    }

    #[test]
    fn builder_keeps_every_field() {
        let event = SseEvent::text("d")
            .event("n")
            .id(7)
            .retry(Duration::from_secs(1))
            .comment("c");
        assert_eq!(event.data(), Some("d"));
        assert_eq!(event.name(), Some("n"));
        assert_eq!(event.event_id(), Some("7"));
        assert_eq!(event.retry_after(), Some(Duration::from_secs(1)));
        assert_eq!(event.comment_text(), Some("c"));
        assert!(!event.is_json());
        assert_eq!(event.validate(), Ok(()));
    }

    #[test]
    fn retry_is_whole_milliseconds_and_saturates() {
        let after = |retry| SseEvent::default().retry(retry).retry_after();
        assert_eq!(after(Duration::ZERO), Some(Duration::ZERO));
        assert_eq!(
            after(Duration::from_micros(1_999)),
            Some(Duration::from_millis(1))
        );
        assert_eq!(after(Duration::MAX), Some(Duration::from_millis(u64::MAX)));
    }

    #[test]
    fn line_break_in_name_is_an_error() {
        for name in ["a\nb", "a\rb", "\r\n", "a\n"] {
            let event = SseEvent::text("x").event(name);
            assert_eq!(event.validate(), Err(EventError::InvalidName(name.into())));
        }
    }

    #[test]
    fn line_break_or_nul_in_id_is_an_error() {
        for id in ["a\nb", "a\rb", "a\0b"] {
            let event = SseEvent::text("x").id(id);
            assert_eq!(event.validate(), Err(EventError::InvalidId(id.into())));
        }
    }

    #[test]
    fn nul_is_allowed_in_data_name_and_comment() {
        let event = SseEvent::text("\0").event("\0").comment("\0");
        assert_eq!(event.validate(), Ok(()));
    }

    #[test]
    fn empty_values_are_fields_but_no_field_is_an_error() {
        assert_eq!(SseEvent::default().validate(), Err(EventError::Empty));
        for event in [
            SseEvent::text(""),
            SseEvent::default().event(""),
            SseEvent::default().id(""),
            SseEvent::default().retry(Duration::ZERO),
            SseEvent::default().comment(""),
        ] {
            assert_eq!(event.validate(), Ok(()));
        }
    }

    #[test]
    fn failed_serialisation_is_told_when_the_event_is_used() {
        let event = unserializable();
        assert_eq!(event.data(), None);
        assert!(!event.is_json());
        assert_eq!(
            event.validate(),
            Err(EventError::Unserializable("key must be a string".into()))
        );
    }

    #[test]
    fn errors_say_what_to_do_on_one_line() {
        let error = EventError::InvalidName("a\nb".into());
        assert_eq!(
            error.to_string(),
            r#"event name "a\nb" contains a line break: use a name without CR and LF"#
        );
    }

    #[test]
    fn map_data_keeps_text_as_text() {
        let event = SseEvent::text("1").map_data(|data| {
            assert_eq!(data, json!("1"));
            json!("2")
        });
        assert_eq!(event, SseEvent::text("2"));
    }

    #[test]
    fn map_data_turns_text_into_json_for_other_values() {
        let event = SseEvent::text("1").id(3).map_data(|data| json!([data]));
        assert_eq!(event, SseEvent::json(["1"]).id(3));
    }

    #[test]
    fn map_data_keeps_json_as_json_even_for_strings() {
        let event = SseEvent::json(json!({ "a": 1 })).map_data(|data| {
            assert_eq!(data, json!({ "a": 1 }));
            json!("s")
        });
        assert_eq!(event.data(), Some("\"s\""));
        assert!(event.is_json());
    }

    #[test]
    fn map_data_leaves_events_without_data_alone() {
        for event in [SseEvent::default().id(1), unserializable()] {
            let mapped = event.clone().map_data(|_| panic!("there is no data"));
            assert_eq!(mapped, event);
        }
    }

    #[test]
    fn map_data_fails_for_json_too_deep_to_read_back() {
        let deep = (0..200).fold(json!(1), |value, _| json!([value]));
        let event = SseEvent::json(deep).map_data(|_| panic!("not readable"));
        assert!(matches!(
            event.validate(),
            Err(EventError::Unserializable(_))
        ));
    }

    #[test]
    fn strings_are_text_and_values_are_json() {
        let text = SseEvent::text("a");
        assert_eq!("a".into_sse_event(), text);
        assert_eq!(String::from("a").into_sse_event(), text);
        assert_eq!(Cow::Borrowed("a").into_sse_event(), text);
        assert_eq!(text.clone().into_sse_event(), text);
        assert_eq!(json!("a").into_sse_event().data(), Some("\"a\""));
    }
}
