//! Whole structs as arguments, and JSON as a return value.

use axum_core::RequestExt;
use axum_core::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::{BROKE_OFF, Format, bind, empty, unreadable, whole};
use super::extract::Cx;
use super::{echoed, fault, values};
use crate::bounded::bounded;
use crate::error::{HttpError, LONGEST_GOT, Location};
use crate::event::{IntoSseEvent, SseEvent};
use crate::query_string::{self, Pair};
use crate::reply::json_response;

macro_rules! wrappers {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $($(#[$doc])* #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)] pub struct $name<T>(pub T);)*
    };
}

wrappers! {
    /// All parameters of the path as one struct, or in their order as a tuple, percent-decoded. It is an argument
    /// without an attribute. Parameters that do not bind are refused with a 400. A value that implements garde's
    /// `Validate` and is not valid is refused with a 422.
    ///
    /// ```
    /// use helios::prelude::*;
    ///
    /// #[derive(Injectable)]
    /// struct Files;
    ///
    /// #[controller(prefix = "files")]
    /// impl Files {
    ///     #[get("{year}/{name}")]
    ///     fn find(&self, Path((year, name)): Path<(u16, String)>) -> String {
    ///         format!("{name} of {year}")
    ///     }
    /// }
    /// # #[server(controllers = [Files])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let app = helios::testing::TestApp::start(App).unwrap();
    ///
    /// assert_eq!(app.get("/files/2024/plan").await.text(), "plan of 2024");
    /// # }
    /// ```
    Path,
    /// The whole query string as one struct. Repeated keys fill a `Vec`, and an `Option` may be absent. It is an
    /// argument without an attribute. A query that does not bind is refused with a 400. A value that implements garde's
    /// `Validate` and is not valid is refused with a 422.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Filters {
    ///     tag: Vec<String>,
    ///     size: Option<usize>,
    /// }
    ///
    /// #[derive(Injectable)]
    /// struct Posts;
    ///
    /// #[controller(prefix = "posts")]
    /// impl Posts {
    ///     #[get]
    ///     fn list(&self, Query(filters): Query<Filters>) -> String {
    ///         format!("{} of {:?}", filters.size.unwrap_or(20), filters.tag)
    ///     }
    /// }
    /// # #[server(controllers = [Posts])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let app = helios::testing::TestApp::start(App).unwrap();
    ///
    /// assert_eq!(app.get("/posts?tag=a&tag=b").await.text(), r#"20 of ["a", "b"]"#);
    /// # }
    /// ```
    Query,
    /// A JSON body. As a return value it is a JSON response, and as an event, JSON data.
    ///
    /// As an argument it is the last one and has no attribute. A body is refused with these statuses:
    ///
    /// * 415 for a content type that is neither `application/json` nor `application/..+json`.
    /// * 413 over the body limit.
    /// * 400 if it is not JSON.
    /// * 422 for JSON of another shape, and for a value that implements garde's `Validate` and is not valid.
    ///
    /// Without a body, or with an empty one, `Option<Json<T>>` and `Json<Option<T>>` contain `None`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Deserialize, Serialize)]
    /// struct Point { x: i32, y: i32 }
    ///
    /// #[derive(Injectable)]
    /// struct Points;
    ///
    /// #[controller(prefix = "points")]
    /// impl Points {
    ///     #[post("mirrored")]
    ///     fn mirror(&self, Json(Point { x, y }): Json<Point>) -> Json<Point> {
    ///         Json(Point { x: y, y: x })
    ///     }
    /// }
    /// # #[server(controllers = [Points])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let app = helios::testing::TestApp::start(App).unwrap();
    ///
    /// let mirrored = app.post("/points/mirrored").json(&json!({ "x": 1, "y": 2 })).await;
    /// assert_eq!(mirrored.text(), r#"{"x":2,"y":1}"#);
    /// let event = Json(Point { x: 1, y: 2 }).into_sse_event();
    /// assert_eq!(event.data(), Some(r#"{"x":1,"y":2}"#));
    /// # }
    /// ```
    Json,
    /// A form body, `application/x-www-form-urlencoded`. Repeated keys fill a `Vec`. As an argument it is the last one
    /// and has no attribute. It is refused with the same statuses as [`Json`].
    ///
    /// ```
    /// use helios::prelude::*;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct SignUp { name: String }
    ///
    /// #[derive(Injectable)]
    /// struct Accounts;
    ///
    /// #[controller(prefix = "accounts")]
    /// impl Accounts {
    ///     #[post]
    ///     fn sign_up(&self, Form(account): Form<SignUp>) -> String {
    ///         format!("hello {}", account.name)
    ///     }
    /// }
    /// # #[server(controllers = [Accounts])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let app = helios::testing::TestApp::start(App).unwrap();
    ///
    /// let form = "application/x-www-form-urlencoded";
    /// let signed_up = app.post("/accounts").content(form, "name=ann+lee").await;
    /// assert_eq!(signed_up.text(), "hello ann lee");
    /// # }
    /// ```
    Form,
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let pairs = query_string::parse(parts.uri.query().unwrap_or_default().as_bytes());
        values::pairs(&pairs).map(Self).map_err(|mismatch| {
            let got = mismatch.root().and_then(|name| query_values(&pairs, name));
            fault(
                Location::Query,
                mismatch.path(Location::Query),
                mismatch,
                got,
            )
        })
    }
}

impl<T: DeserializeOwned, P: Sync> FromRequestParts<Cx<P>> for Path<T> {
    type Rejection = HttpError;

    async fn from_request_parts(_: &mut Parts, cx: &Cx<P>) -> Result<Self, HttpError> {
        values::path(cx.path().iter())
            .map(Self)
            .map_err(|mismatch| {
                let text = mismatch.root().and_then(|name| cx.path().get(name));
                let got = text.map(|text| bounded(text, LONGEST_GOT));
                fault(Location::Path, mismatch.path(Location::Path), mismatch, got)
            })
    }
}

fn query_values(pairs: &[Pair], name: &str) -> Option<String> {
    let pairs = pairs
        .iter()
        .filter(|pair| pair.key.as_deref() == Some(name));
    let values: Vec<_> = pairs.map(|pair| pair.value.as_deref()).collect();
    echoed(&values)
}

macro_rules! from_body {
    ($($name:ident $format:ident $accepted:literal)*) => {
        $(
            impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for $name<T> {
                type Rejection = HttpError;

                async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
                    let (format, bytes) = read_whole(request, Format::$format, $accepted).await?;
                    bind(format, &bytes, $accepted).map(Self)
                }
            }

            /// An absent or empty body becomes `None`.
            impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for $name<T> {
                type Rejection = HttpError;

                async fn from_request(request: Request, _: &S) -> Result<Option<Self>, HttpError> {
                    let (format, bytes) = read_whole(request, Format::$format, $accepted).await?;
                    match bytes.is_empty() {
                        true => Ok(None),
                        false => bind(format, &bytes, $accepted).map(|value| Some(Self(value))),
                    }
                }
            }
        )*
    };
}

from_body! {
    Json Json "`application/json`"
    Form Form "`application/x-www-form-urlencoded`"
}

/// Reads a body, which must have this format or be empty.
async fn read_whole(
    request: Request,
    wanted: Format,
    accepted: &str,
) -> Result<(Option<Format>, Bytes), HttpError> {
    let format = Format::of(request.headers()).filter(|format| *format == wanted);
    let body = request.into_limited_body();
    if format.is_none() {
        empty(body, accepted).await?;
        return Ok((None, Bytes::new()));
    }
    let body = whole(body).await;
    let body = body.map_err(|error| unreadable(error, BROKE_OFF))?;
    Ok((format, body))
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
