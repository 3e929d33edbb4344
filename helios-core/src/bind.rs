//! Binding: from the texts of a request to the arguments of a handler.
//!
//! Each function binds one argument. A failure is noted in the [`Call`] and gives `None`; the generated code asks for
//! the refusal when it has tried all of them.

mod body;
mod extract;
mod mismatch;
mod values;
mod whole;

use std::any::type_name;
use std::borrow::Cow;

use http::StatusCode;
use serde::de::DeserializeOwned;

#[cfg_attr(not(feature = "multipart"), allow(unused_imports))]
pub(crate) use body::unreadable;
pub use body::{BodyTimeout, FromBody, RawBody, body, read_form, read_json, read_json_or_form};
pub use extract::{Argument, Cx, Http, LastArgument, OnConnection, Sse, argument, last_argument};
pub use whole::{Form, Json, Path, Query};

use crate::bounded::bounded;
use crate::call::Call;
use crate::error::{Fault, HttpError, LONGEST_GOT, Location};
use crate::request::LAST_EVENT_ID;
use crate::sse::is_end_mark;
use crate::text;
use mismatch::{A_VALID_VALUE, Mismatch};
use values::{Scalar, ValueError};

/// A type that can be read from one named value of a request: everything that serde can deserialise from a text,
/// `Option` of it, and `Vec` of it for repeated names.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be bound from one value of the request",
    label = "cannot be read from a text",
    note = "derive `serde::Deserialize` on it (a newtype or an enum of unit variants is read from one text)",
    note = "for a whole body write `#[body]`; for a struct of query parameters take `Query<T>`"
)]
pub trait FromValue: Sized {
    #[doc(hidden)]
    fn from_values(values: Scalar<'_>) -> Result<Self, ValueError>;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> FromValue for T {
    fn from_values(values: Scalar<'_>) -> Result<Self, ValueError> {
        T::deserialize(values)
    }
}

/// Binds a parameter of the path.
pub fn param<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    let value = call.request.param(name).map(Cow::Borrowed);
    let bound = from_values(Location::Path, name, Scalar::new(value.as_slice()));
    call.note(bound)
}

/// Binds a key of the query string.
pub fn query<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    let bound = call.query().and_then(|pairs| {
        let values: Vec<_> = pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| Cow::Borrowed(value.as_str()))
            .collect();
        from_values(Location::Query, name, Scalar::new(&values))
    });
    call.note(bound)
}

/// Binds a request header. What is not UTF-8 counts as absent.
pub fn header<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    if name == LAST_EVENT_ID {
        return last_event_id(call);
    }
    let values = text::values(call.headers(), name).map(Cow::Borrowed);
    let values: Vec<_> = values.collect();
    let bound = from_values(Location::Header, name, Scalar::new(&values));
    call.note(bound)
}

/// Binds `Last-Event-ID`. Absent, empty, an end mark or unreadable is the same, and of a type that may be absent no fault: a
/// 400 would stop an `EventSource` for good
/// ([WHATWG HTML 9.2.3](https://html.spec.whatwg.org/multipage/server-sent-events.html)).
fn last_event_id<T: FromValue>(call: &mut Call) -> Option<T> {
    let id = call.request.last_event_id();
    let id = id.filter(|id| !is_end_mark(id)).map(Cow::Owned);
    let read = from_values(Location::Header, LAST_EVENT_ID, Scalar::new(id.as_slice()));
    let bound = read.or_else(|fault| T::from_values(Scalar::new(&[])).map_err(|_| fault));
    call.note(bound)
}

/// Binds a cookie: the first of its name, as it has the longest path, or all of them to what takes several.
pub fn cookie<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    let values: Vec<_> = call.request.cookies(name).collect();
    let bound = from_values(Location::Cookie, name, Scalar::first_of(&values));
    call.note(bound)
}

fn from_values<T: FromValue>(
    location: Location,
    name: &'static str,
    values: Scalar<'_>,
) -> Result<T, HttpError> {
    T::from_values(values).map_err(|error| match (error, location) {
        (
            error @ (ValueError::Expected(_) | ValueError::OtherType(_) | ValueError::Message(_)),
            Location::Path | Location::Query,
        ) => fault(location, name, error.to_string(), echoed(values.all())),
        (ValueError::Expected(expected) | ValueError::OtherType(expected), _) => {
            fault(location, name, expected, None)
        }
        (ValueError::Message(_), _) => fault(location, name, A_VALID_VALUE.to_owned(), None),
        (ValueError::NotOneValue(kind), _) => HttpError::internal(format!(
            "`{name}` is never bound: `{}` is {kind}, and takes more than one value: take `Query<T>`, `Path<T>` or \
             `#[body]`",
            type_name::<T>()
        )),
    })
}

/// All values of one name, as it cannot be said which of them is at fault.
fn echoed(values: &[Cow<'_, str>]) -> Option<String> {
    (!values.is_empty()).then(|| bounded(values.join(", "), LONGEST_GOT))
}

fn fault(
    location: Location,
    name: impl Into<Cow<'static, str>>,
    expected: String,
    got: Option<String>,
) -> HttpError {
    let mut fault = Fault::new(location, name, expected);
    fault.got = got;
    HttpError::new(StatusCode::BAD_REQUEST, fault.to_string()).with_fault(fault)
}

/// Reads `key=value&..`. What does not fit is found at once: a second look for it, as with JSON, would save little time
/// here and be dear to compile for each type.
fn from_pairs<T: DeserializeOwned>(pairs: &[u8]) -> Result<T, Mismatch> {
    mismatch::deserialize(serde_html_form::Deserializer::from_bytes(pairs))
}

/// 415, saying what would have been read.
pub(crate) fn unsupported_media_type(accepted: &str) -> HttpError {
    let fault = Fault::new(Location::Header, "content-type", accepted);
    HttpError::unsupported_media_type(format!("send the body as {accepted}")).with_fault(fault)
}

/// Takes a singleton for `#[inject]`. Start-up has checked that it is there.
pub fn inject<T: ?Sized + Send + Sync + 'static>(call: &mut Call) -> Option<std::sync::Arc<T>> {
    let found = call.container().get();
    if found.is_none() {
        call.refuse(HttpError::internal(format!(
            "`{}` is not in the container",
            type_name::<T>()
        )));
    }
    found
}
