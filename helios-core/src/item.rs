//! The items that a stream may yield: events, values that convert to events, and errors.

use crate::error::HttpError;
use crate::event::{IntoSseEvent, SseEvent};
use crate::sse::SseError;

/// An item of the stream that an `#[sse]` method returns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be yielded from an `#[sse]` stream",
    label = "not an event",
    note = "yield an `SseEvent`, a `String`, `&str` or `serde_json::Value`, wrap a `Serialize` value in `Json(..)`, or derive `SseEvents` on an enum",
    note = "`Result<T, E>` of one of these can be yielded too, where `E: Into<HttpError>`"
)]
pub trait StreamItem {
    /// Whether an item may be an error. The response head of a stream with such items waits, because an error may still
    /// change the status.
    const MAY_FAIL: bool;

    /// Returns the event, or the error that ends the stream.
    ///
    /// # Errors
    ///
    /// The stream's own error.
    fn into_event(self) -> Result<SseEvent, SseError>;
}

#[diagnostic::do_not_recommend]
impl<T: IntoSseEvent> StreamItem for T {
    const MAY_FAIL: bool = false;

    fn into_event(self) -> Result<SseEvent, SseError> {
        Ok(self.into_sse_event())
    }
}

impl<T: IntoSseEvent, E: Into<HttpError>> StreamItem for Result<T, E> {
    const MAY_FAIL: bool = true;

    fn into_event(self) -> Result<SseEvent, SseError> {
        self.map(IntoSseEvent::into_sse_event)
            .map_err(|error| SseError::from(error.into()))
    }
}
