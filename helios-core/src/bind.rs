//! Binding turns the texts of a request into the arguments of a handler.
//!
//! Each function binds one argument. A failure is noted in the [`Call`] and returns `None`. When all arguments have
//! been tried, the generated code requests the refusal.

mod body;
pub mod check;
mod extract;
mod mismatch;
#[cfg(feature = "openapi")]
pub mod probe;
mod values;
mod whole;
mod words;

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
use crate::container::Shared;
use crate::error::{Fault, HttpError, LONGEST_GOT, Location};
use crate::request::LAST_EVENT_ID;
use crate::sse::is_end_mark;
use crate::text;
use mismatch::{Found, Mismatch};
use values::{Rule, Text};

/// A type that can be read from one named value of a request: any type that serde can deserialise from a text, an
/// `Option` of it, and a `Vec` of it for repeated names.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be bound from one value of the request",
    label = "cannot be read from a text",
    note = "derive `serde::Deserialize` on it (a newtype or an enum of unit variants is read from one text)",
    note = "for a whole body write `#[body]`; for a struct of query parameters take `Query<T>`"
)]
pub trait FromValue: Sized {
    #[doc(hidden)]
    fn from_texts(texts: &[Option<&str>], rule: Rule) -> Result<Self, Mismatch>;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> FromValue for T {
    fn from_texts(texts: &[Option<&str>], rule: Rule) -> Result<Self, Mismatch> {
        values::value(texts, rule)
    }
}

/// Binds a parameter of the path.
pub fn param<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    let text = call.request.param(name).map(Some);
    let bound = from_texts(Location::Path, name, text.as_slice(), Rule::One);
    call.note(bound)
}

/// Binds a key of the query string.
pub fn query<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    let pairs = call.query().iter();
    let pairs = pairs.filter(|pair| pair.key.as_deref() == Some(name));
    let texts: Vec<_> = pairs.map(|pair| pair.value.as_deref()).collect();
    let bound = from_texts(Location::Query, name, &texts, Rule::One);
    call.note(bound)
}

/// Binds a request header. A value that is not UTF-8 counts as absent.
pub fn header<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    if name == LAST_EVENT_ID {
        return last_event_id(call);
    }
    let texts: Vec<_> = text::values(call.headers(), name).map(Some).collect();
    let bound = from_texts(Location::Header, name, &texts, Rule::One);
    call.note(bound)
}

/// Binds `Last-Event-ID`. An absent, empty or unreadable id and an end mark are treated alike, and none is a fault for
/// a type that may be absent. A 400 would stop an `EventSource` for good ([WHATWG HTML
/// 9.2.3](https://html.spec.whatwg.org/multipage/server-sent-events.html)).
fn last_event_id<T: FromValue>(call: &mut Call) -> Option<T> {
    let id = call.request.last_event_id();
    let id = id.as_deref().filter(|id| !is_end_mark(id)).map(Some);
    let read = from_texts(Location::Header, LAST_EVENT_ID, id.as_slice(), Rule::One);
    let bound = read.or_else(|fault| T::from_texts(&[], Rule::One).map_err(|_| fault));
    call.note(bound)
}

/// Binds a cookie. Uses the first of its name, because that has the longest path, or all of them for a type that
/// accepts several.
pub fn cookie<T: FromValue>(call: &mut Call, name: &'static str) -> Option<T> {
    let values: Vec<_> = call.request.cookies(name).collect();
    let texts: Vec<_> = values.iter().map(|value| Some(value.as_ref())).collect();
    let bound = from_texts(Location::Cookie, name, &texts, Rule::First);
    call.note(bound)
}

fn from_texts<T: FromValue>(
    location: Location,
    name: &'static str,
    texts: &[Text<'_>],
    rule: Rule,
) -> Result<T, HttpError> {
    T::from_texts(texts, rule).map_err(|mismatch| match mismatch.found {
        // Start-up reports this, except for a type parameter, of which it knows only the bounds.
        Found::Never(_) => {
            let why = check::too_much::<T>().unwrap_or_default();
            HttpError::internal(format!("`{name}` is never bound: {why}"))
        }
        _ => fault(location, name, mismatch, echoed(texts)),
    })
}

/// Returns all values of one name, because any of them may be at fault.
fn echoed(texts: &[Text<'_>]) -> Option<String> {
    let texts: Option<Vec<_>> = texts.iter().copied().collect();
    let texts = texts.filter(|texts| !texts.is_empty())?;
    Some(bounded(texts.join(", "), LONGEST_GOT))
}

/// Values are echoed for path and query only. The same holds for a type's own message, which may quote them.
fn fault(
    location: Location,
    name: impl Into<Cow<'static, str>>,
    mismatch: Mismatch,
    got: Option<String>,
) -> HttpError {
    let mut fault = Fault::new(location, name, mismatch.expected);
    if matches!(location, Location::Path | Location::Query) {
        fault.message = mismatch.message;
        fault.got = got;
    }
    HttpError::new(StatusCode::BAD_REQUEST, fault.to_string()).with_fault(fault)
}

/// Returns a 415 that names the accepted types.
pub(crate) fn unsupported_media_type(accepted: &str) -> HttpError {
    let fault = Fault::new(Location::Header, "content-type", accepted);
    HttpError::unsupported_media_type(format!("send the body as {accepted}")).with_fault(fault)
}

/// Returns a singleton for `#[inject]`. Start-up has checked that it exists.
pub fn inject<T: ?Sized + Shared>(call: &mut Call) -> Option<std::sync::Arc<T>> {
    let found = call.container().get();
    if found.is_none() {
        call.refuse(HttpError::internal(format!(
            "`{}` is not in the container",
            type_name::<T>()
        )));
    }
    found
}
