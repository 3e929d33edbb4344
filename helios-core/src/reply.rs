//! Turns the return value of a handler into a response, chosen by the **shape** of its type.
//!
//! Method look-up on `&&&Shape<T>` tries the impl with the most `&` first, so each trait below is one rung of a ladder.
//! The last rung of a ladder accepts every type, and its call requires a bound that no type meets. So a type that fits
//! nowhere gets a readable error.

use std::borrow::Cow;
use std::marker::PhantomData;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use crate::error::HttpError;
use crate::html::Html;

/// The result of a handler's call: a response, or an error that becomes one. An interceptor returns it, too.
///
/// ```
/// use helios::axum_core::response::IntoResponse;
/// use helios::{HttpError, Reply};
///
/// fn teapot(brews_coffee: bool) -> Reply {
///     match brews_coffee {
///         true => Err(HttpError::bad_request("it brews tea")),
///         false => Ok("tea".into_response()),
///     }
/// }
///
/// assert_eq!(teapot(false).unwrap().status(), 200);
/// ```
pub type Reply = Result<Response, HttpError>;

/// Returns a value as a JSON response.
///
/// # Errors
///
/// 500 if the value does not serialise.
pub(crate) fn json_response<T: Serialize + ?Sized>(value: &T) -> Reply {
    json_reply(serde_json::to_vec(value))
}

/// The part that does not depend on the type.
fn json_reply(json: serde_json::Result<Vec<u8>>) -> Reply {
    let json = json.map_err(|error| {
        HttpError::internal("the response does not serialise").with_source(error)
    })?;
    let mut response = Response::new(Body::from(json));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The value in an opened `Result` or `Option`, or the finished reply.
pub type Opened<T> = Result<T, Box<Reply>>;

/// Returns this response as a reply, or the error that it was made from.
///
/// # Errors
///
/// The error that the response was made from.
pub fn from_response(mut response: Response) -> Reply {
    match HttpError::take_from(&mut response) {
        Some(error) => Err(error),
        None => Ok(response),
    }
}

/// Marks a response that a handler returned as its `Err`, in the response's extensions.
#[derive(Clone, Copy, Debug)]
pub struct IsError;

/// Carries a type, to select a rung.
#[derive(Debug)]
pub struct Shape<T>(PhantomData<fn(T)>);

impl<T> Shape<T> {
    /// The shape of a type without a value. A function would be compiled once for each type.
    pub const NEW: Self = Self(PhantomData);

    /// Returns the shape of a value's type.
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

/// The error type of a handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a handler",
    label = "Helios cannot answer with this error",
    note = "an error of your own: derive `HttpError` on it, or implement axum-core's `IntoResponse`",
    note = "another's: `.map_err(|error| HttpError::internal(\"what failed\").with_source(error))`, or a variant with `#[from]` of an enum that derives `HttpError`"
)]
pub trait HandlerError {}

/// The type that a handler returns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    label = "neither `Serialize` nor `IntoResponse`",
    note = "an `SseStream` or a stream of events is returned from an `#[sse]` method",
    note = "derive `serde::Serialize` on it to answer with JSON, or implement axum-core's `IntoResponse` for it",
    note = "`Result<T, E>` and `Option<T>` of such a type can be returned too",
    note = "beside a status or headers JSON is wrapped: `(StatusCode::CREATED, Json(value))`"
)]
pub trait HandlerOutput {}

/// Turns the return value of a handler into a [`Reply`], by the ladders of this module.
#[macro_export]
#[doc(hidden)]
macro_rules! __reply {
    ($out:expr) => {{
        use $crate::reply::ladder::*;
        let out = $out;
        match (&&&&$crate::reply::Shape::of(&out)).open_result(out) {
            ::core::result::Result::Err(reply) => *reply,
            ::core::result::Result::Ok(out) => {
                match (&&$crate::reply::Shape::of(&out)).open_option(out) {
                    ::core::result::Result::Err(reply) => *reply,
                    ::core::result::Result::Ok(out) => {
                        (&&&&$crate::reply::Shape::of(&out)).reply(out)
                    }
                }
            }
        }
    }};
}

/// Imports the rungs without a name.
#[doc(hidden)]
#[allow(clippy::wildcard_imports, clippy::missing_errors_doc)]
pub mod ladder {
    pub use super::rungs::{
        OpenAny as _, OpenForeign as _, OpenNone as _, OpenOption as _, OpenOther as _,
        OpenOwn as _, ReplyJson as _, ReplyOther as _, ReplyResponse as _, ReplyText as _,
    };
}

#[allow(missing_docs, clippy::missing_errors_doc)]
mod rungs {
    use super::{
        Cow, HandlerError, HandlerOutput, Html, HttpError, IntoResponse, IsError, Opened, Reply,
        Serialize, Shape, from_response, json_response,
    };

    pub trait OpenOwn<T, E> {
        fn open_result(&self, out: Result<T, E>) -> Opened<T>;
    }

    impl<T, E: Into<HttpError>> OpenOwn<T, E> for &&&Shape<Result<T, E>> {
        fn open_result(&self, out: Result<T, E>) -> Opened<T> {
            out.map_err(|error| Box::new(Err(error.into())))
        }
    }

    pub trait OpenForeign<T, E> {
        fn open_result(&self, out: Result<T, E>) -> Opened<T>;
    }

    impl<T, E: IntoResponse> OpenForeign<T, E> for &&Shape<Result<T, E>> {
        fn open_result(&self, out: Result<T, E>) -> Opened<T> {
            out.map_err(|error| {
                let mut response = error.into_response();
                response.extensions_mut().insert(IsError);
                Box::new(Ok(response))
            })
        }
    }

    pub trait OpenOther<T, E> {
        fn open_result(&self, out: Result<T, E>) -> Opened<T>
        where
            E: HandlerError;
    }

    impl<T, E> OpenOther<T, E> for &Shape<Result<T, E>> {
        fn open_result(&self, out: Result<T, E>) -> Opened<T>
        where
            E: HandlerError,
        {
            out.map_err(|_| Box::new(Err(HttpError::internal(""))))
        }
    }

    pub trait OpenAny<T> {
        fn open_result(&self, out: T) -> Opened<T>;
    }

    impl<T> OpenAny<T> for Shape<T> {
        fn open_result(&self, out: T) -> Opened<T> {
            Ok(out)
        }
    }

    pub trait OpenOption<T> {
        fn open_option(&self, out: Option<T>) -> Opened<T>;
    }

    impl<T> OpenOption<T> for &Shape<Option<T>> {
        fn open_option(&self, out: Option<T>) -> Opened<T> {
            out.ok_or_else(|| Box::new(Err(HttpError::not_found(""))))
        }
    }

    pub trait OpenNone<T> {
        fn open_option(&self, out: T) -> Opened<T>;
    }

    impl<T> OpenNone<T> for Shape<T> {
        fn open_option(&self, out: T) -> Opened<T> {
            Ok(out)
        }
    }

    /// Types that axum-core handles differently or not at all. Of borrowed text it accepts only `&'static str`, but the
    /// choice of a rung must not depend on a lifetime.
    pub trait ReplyText<T> {
        fn reply(&self, out: T) -> Reply;
    }

    impl<'a> ReplyText<&'a str> for &&&Shape<&'a str> {
        fn reply(&self, out: &'a str) -> Reply {
            Ok(out.to_owned().into_response())
        }
    }

    impl<'a> ReplyText<Cow<'a, str>> for &&&Shape<Cow<'a, str>> {
        fn reply(&self, out: Cow<'a, str>) -> Reply {
            Ok(out.into_owned().into_response())
        }
    }

    impl<'a> ReplyText<Html<&'a str>> for &&&Shape<Html<&'a str>> {
        fn reply(&self, Html(out): Html<&'a str>) -> Reply {
            Ok(Html(out.to_owned()).into_response())
        }
    }

    impl<'a> ReplyText<Html<Cow<'a, str>>> for &&&Shape<Html<Cow<'a, str>>> {
        fn reply(&self, Html(out): Html<Cow<'a, str>>) -> Reply {
            Ok(Html(out.into_owned()).into_response())
        }
    }

    /// axum-core would silently turn pairs into headers. Pairs with an [`http::HeaderName`] remain headers, and so do
    /// pairs in a tuple.
    impl<K: Serialize, V: Serialize, const N: usize> ReplyText<[(K, V); N]> for &&&Shape<[(K, V); N]> {
        fn reply(&self, out: [(K, V); N]) -> Reply {
            json_response::<[(K, V)]>(&out)
        }
    }

    pub trait ReplyResponse<T> {
        fn reply(&self, out: T) -> Reply;
    }

    impl<T: IntoResponse> ReplyResponse<T> for &&Shape<T> {
        fn reply(&self, out: T) -> Reply {
            from_response(out.into_response())
        }
    }

    pub trait ReplyJson<T> {
        fn reply(&self, out: T) -> Reply;
    }

    impl<T: Serialize> ReplyJson<T> for &Shape<T> {
        fn reply(&self, out: T) -> Reply {
            json_response(&out)
        }
    }

    pub trait ReplyOther<T> {
        fn reply(&self, out: T) -> Reply
        where
            T: HandlerOutput;
    }

    impl<T> ReplyOther<T> for Shape<T> {
        fn reply(&self, _: T) -> Reply
        where
            T: HandlerOutput,
        {
            Err(HttpError::internal(""))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::text;

    fn content_type(reply: Reply) -> String {
        let response = reply.unwrap();
        let value = response.headers().get(CONTENT_TYPE);
        let text = value.map(|value| text::of(value).unwrap());
        text.unwrap_or_default().to_owned()
    }

    #[derive(Serialize)]
    struct Dto {
        id: u64,
    }

    #[test]
    fn a_serializable_value_is_json_and_text_is_text() {
        assert_eq!(content_type(__reply!(Dto { id: 7 })), "application/json");
        assert_eq!(
            content_type(__reply!(Some(vec![Dto { id: 7 }]))),
            "application/json"
        );
        assert_eq!(
            content_type(__reply!("hi".to_owned())),
            "text/plain; charset=utf-8"
        );
        let local = String::from("hi");
        assert_eq!(
            content_type(__reply!(local.as_str())),
            "text/plain; charset=utf-8"
        );
        assert_eq!(content_type(__reply!(())), "");
    }

    #[test]
    fn a_page_is_html_whatever_text_it_is_made_of() {
        let local = String::from("<p>");
        let html = "text/html; charset=utf-8";
        assert_eq!(content_type(__reply!(Html("<p>"))), html);
        assert_eq!(content_type(__reply!(Html(local.as_str()))), html);
        assert_eq!(
            content_type(__reply!(Html(Cow::Borrowed(local.as_str())))),
            html
        );
        assert_eq!(content_type(__reply!(Some(Html(b"<p>".to_vec())))), html);
        let created = (StatusCode::CREATED, Html(local));
        assert_eq!(content_type(__reply!(created)), html);
    }

    #[test]
    fn result_and_option_are_opened_first() {
        let none: Result<Option<Dto>, HttpError> = Ok(None);
        assert_eq!(__reply!(none).unwrap_err().status(), 404);
        let conflict: Result<Dto, HttpError> = Err(HttpError::conflict("x"));
        assert_eq!(__reply!(conflict).unwrap_err().status(), 409);
        let foreign: Result<Dto, StatusCode> = Err(StatusCode::IM_A_TEAPOT);
        assert_eq!(__reply!(foreign).unwrap_err().status(), 418);
        let response: Result<Dto, (StatusCode, &'static str)> = Err((StatusCode::GONE, "x"));
        assert_eq!(__reply!(response).unwrap().status(), 410);
    }
}
