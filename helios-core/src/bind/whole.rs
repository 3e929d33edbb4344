//! Whole structs as arguments, and JSON as a return value.

use std::borrow::Cow;

use axum_core::body::Body;
use axum_core::extract::{FromRequest, FromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::Format;
use super::extract::Cx;
use super::values::{Named, ValueError};
use crate::error::HttpError;
use crate::event::{IntoSseEvent, SseEvent};
use crate::reply::Reply;

macro_rules! wrappers {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $($(#[$doc])* #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)] pub struct $name<T>(pub T);)*
    };
}

wrappers! {
    /// All parameters of the path as one struct, or in their order as a tuple.
    Path,
    /// The whole query string as one struct.
    Query,
    /// A JSON body; as a return value, a JSON response; as an event, JSON data.
    Json,
    /// A form body.
    Form,
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let query = parts.uri.query().unwrap_or_default();
        serde_html_form::from_str(query)
            .map(Self)
            .map_err(|error| HttpError::bad_request(format!("query: {error}")))
    }
}

impl<T: DeserializeOwned, P: Sync> FromRequestParts<Cx<P>> for Path<T> {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, cx: &Cx<P>) -> Result<Self, HttpError> {
        let pairs = cx.path().iter();
        let pairs: Vec<_> = pairs
            .map(|(name, text)| (name, Cow::Borrowed(text)))
            .collect();
        T::deserialize(Named(&pairs))
            .map(Self)
            .map_err(|ValueError(expected)| {
                HttpError::bad_request(format!("path: expected {expected}"))
            })
    }
}

macro_rules! from_body {
    ($($name:ident $format:ident $accepted:literal)*) => {
        $(
            impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for $name<T> {
                type Rejection = HttpError;

                async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
                    if Format::of(request.headers()) != Some(Format::$format) {
                        return Err(HttpError::unsupported_media_type(concat!(
                            "send the body as `", $accepted, "`"
                        )));
                    }
                    let bytes = match Bytes::from_request(request, state).await {
                        Ok(bytes) => bytes,
                        Err(rejection) => return Err(HttpError::new(rejection.status(), rejection.body_text())),
                    };
                    Format::$format.parse::<T>(&bytes).map(Self)
                }
            }
        )*
    };
}

from_body! {
    Json Json "application/json"
    Form Form "application/x-www-form-urlencoded"
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_response(&self.0).unwrap_or_else(IntoResponse::into_response)
    }
}

impl<T: Serialize> IntoSseEvent for Json<T> {
    fn into_sse_event(self) -> SseEvent {
        SseEvent::json(self.0)
    }
}

/// A value as a JSON response.
///
/// # Errors
///
/// 500 if the value does not serialise.
pub(crate) fn json_response<T: Serialize + ?Sized>(value: &T) -> Reply {
    let json = serde_json::to_vec(value).map_err(|error| {
        HttpError::internal("the response does not serialise").with_source(error)
    })?;
    let mut response = Response::new(Body::from(json));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
