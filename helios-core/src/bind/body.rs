//! `#[body]` reads the whole body according to its content type.

use std::error::Error;

use axum_core::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::mismatch::{self, Found, Mismatch};
use super::{unsupported_media_type, values};
use crate::call::Call;
use crate::error::{Fault, HttpError, Location, find_cause};
use crate::{query_string, text};

/// A type that a whole body can be read into, which is every `Deserialize` type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a request body",
    label = "not `Deserialize`",
    note = "derive `serde::Deserialize` on it; for the raw bytes take an un-annotated `Bytes` argument"
)]
pub trait FromBody: Sized {
    #[doc(hidden)]
    fn from_json(body: &[u8]) -> Result<Self, HttpError>;
    #[doc(hidden)]
    fn from_form(body: &[u8]) -> Result<Self, HttpError>;
    #[doc(hidden)]
    fn from_nothing() -> Option<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> FromBody for T {
    fn from_json(body: &[u8]) -> Result<Self, HttpError> {
        serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                let mut again = serde_json::Deserializer::from_slice(body);
                let found = mismatch::deserialize::<T>(&mut again).err();
                another_shape(found.unwrap_or_default())
            }
            _ => not_json(&error),
        })
    }

    fn from_form(body: &[u8]) -> Result<Self, HttpError> {
        values::pairs(&query_string::parse(body)).map_err(another_shape)
    }

    fn from_nothing() -> Option<Self> {
        T::deserialize(Nothing).ok()
    }
}

/// An absent body. Only an `Option`, or a newtype of one, can be read from it.
struct Nothing;

impl<'de> Deserializer<'de> for Nothing {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch::default())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// A body that has been read but not bound yet.
pub struct RawBody {
    /// `None` if there is no body, and its content type is not one that is read.
    format: Option<Format>,
    bytes: Bytes,
}

/// Reads a JSON body. [`body`] binds it separately, because an async function is slow to compile for each type.
pub async fn read_json(call: &mut Call) -> Option<RawBody> {
    read_body(call, &[Format::Json], "`application/json`").await
}

/// Reads a form body.
pub async fn read_form(call: &mut Call) -> Option<RawBody> {
    let accepted = "`application/x-www-form-urlencoded`";
    read_body(call, &[Format::Form], accepted).await
}

/// Reads a body of either format.
pub async fn read_json_or_form(call: &mut Call) -> Option<RawBody> {
    let accepted = "`application/json` or `application/x-www-form-urlencoded`";
    read_body(call, &[Format::Json, Format::Form], accepted).await
}

async fn read_body(call: &mut Call, formats: &[Format], accepted: &'static str) -> Option<RawBody> {
    let format = Format::of(call.headers()).filter(|format| formats.contains(format));
    let raw = match format {
        Some(format) => read(call).await.map(|bytes| RawBody {
            format: Some(format),
            bytes,
        }),
        None => empty(call.take_body(), accepted).await.map(|()| RawBody {
            format: None,
            bytes: Bytes::new(),
        }),
    };
    call.note(raw)
}

/// Binds a body that has been read.
pub fn body<T: FromBody>(call: &mut Call, raw: Option<RawBody>) -> Option<T> {
    let RawBody { format, bytes } = raw?;
    call.note(bind(format, &bytes, ACCEPTED))
}

const ACCEPTED: &str = "`application/json` or `application/x-www-form-urlencoded`";

/// Binds a body of this format. If there is no body, the type decides whether it accepts that.
pub(super) fn bind<T: FromBody>(
    format: Option<Format>,
    bytes: &[u8],
    accepted: &str,
) -> Result<T, HttpError> {
    if bytes.is_empty()
        && let Some(nothing) = T::from_nothing()
    {
        return Ok(nothing);
    }
    let format = format.ok_or_else(|| unsupported_media_type(accepted))?;
    format.parse(bytes)
}

/// Refuses a body whose format is not `accepted`, unless it is empty.
pub(super) async fn empty(mut body: Body, accepted: &str) -> Result<(), HttpError> {
    let mut is_empty = body.size_hint().lower() == 0;
    while is_empty && let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(error, BROKE_OFF))?;
        is_empty = frame.data_ref().is_none_or(Bytes::is_empty);
    }
    match is_empty {
        true => Ok(()),
        false => Err(unsupported_media_type(accepted)),
    }
}

/// The detail of the refusal when a body ends too early.
pub(super) const BROKE_OFF: &str = "the body broke off";

/// The client stopped in the middle of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rest of the body did not come in time")]
pub struct BodyTimeout;

/// Returns the refusal of a body that was too large or too slow, or that could not be read for the reason in
/// `otherwise`.
pub(crate) fn unreadable(
    error: impl Into<Box<dyn Error + Send + Sync>>,
    otherwise: &'static str,
) -> HttpError {
    let error = error.into();
    let refusal = out_of_bounds(&*error);
    refusal.unwrap_or_else(|| HttpError::bad_request(otherwise).with_source(error))
}

/// Returns the refusal of a body that was too large or too slow, or `None` if it failed for another reason.
pub(super) fn out_of_bounds(error: &(dyn Error + 'static)) -> Option<HttpError> {
    if find_cause::<LengthLimitError>(error).is_some() {
        return Some(HttpError::payload_too_large(
            "the body is larger than allowed",
        ));
    }
    let timeout = find_cause::<BodyTimeout>(error)?;
    Some(HttpError::new(
        StatusCode::REQUEST_TIMEOUT,
        timeout.to_string(),
    ))
}

/// The format of a body, according to its `Content-Type`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Form,
}

impl Format {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let media_type = text::media_type(headers)?.to_ascii_lowercase();
        match media_type.as_str() {
            "application/json" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            other if other.starts_with("application/") && other.ends_with("+json") => {
                Some(Self::Json)
            }
            _ => None,
        }
    }

    pub(super) fn parse<T: FromBody>(self, body: &[u8]) -> Result<T, HttpError> {
        match self {
            Self::Json => T::from_json(body),
            Self::Form => T::from_form(body),
        }
    }
}

/// Reads the whole body, up to the limit.
async fn read(call: &mut Call) -> Result<Bytes, HttpError> {
    let limit = call.body_limit();
    let announced = call.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| text::of(length)?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        let detail = format!("the body may have {limit} bytes");
        return Err(HttpError::payload_too_large(detail));
    }
    let body = whole(Limited::new(call.take_body(), limit)).await;
    body.map_err(|error| unreadable(error, BROKE_OFF))
}

/// Reads the whole of a body, which is limited already. Each frame is copied, because a client that sends frames of one
/// byte would otherwise occupy many times the limit.
pub(super) async fn whole<B>(mut body: B) -> Result<Bytes, B::Error>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    // A client may announce more than it ever sends.
    const MOST_AT_ONCE: usize = 64 * 1024;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(MOST_AT_ONCE);
    let mut bytes = BytesMut::with_capacity(announced.min(MOST_AT_ONCE));
    while let Some(frame) = body.frame().await {
        // A frame without data has trailers.
        if let Some(data) = frame?.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

/// Refuses a body that is well-formed but not of the wanted type. The type's own message may quote a value, so it is
/// kept as the source.
fn another_shape(found: Mismatch) -> HttpError {
    let name = found.path(Location::Body);
    let fault = Fault::new(Location::Body, name, found.expected);
    let status = match found.found {
        Found::NotUtf8 => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let refusal = HttpError::new(status, fault.to_string()).with_fault(fault);
    match found.message {
        Some(message) => refusal.with_source(message),
        None => refusal,
    }
}

/// serde_json's message of a syntax error consists of its own text and a position, and quotes nothing of the body.
fn not_json(error: &serde_json::Error) -> HttpError {
    let fault = Fault::new(Location::Body, "", format!("JSON ({error})"));
    HttpError::bad_request(format!("the body is not JSON: {error}")).with_fault(fault)
}

#[cfg(test)]
mod tests;
