//! Arguments that bind themselves, which are axum-core extractors and Helios' own handles.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum_core::BoxError;
use axum_core::body::Body;
use axum_core::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body::{Frame, SizeHint};
use http_body_util::Limited;

use super::body::{BROKE_OFF, out_of_bounds, unreadable, whole};
use crate::bounded::bounded;
use crate::call::Call;
use crate::error::{HttpError, LONGEST_DETAIL};
use crate::request::PathParams;

/// The place of an argument, used as the state type `S` of axum-core's extractor traits.
///
/// An extractor for every `S` works everywhere. Helios' own handles are extractors only for their own places, so a
/// misplaced one is a compile error.
#[derive(Debug)]
pub struct Cx<P> {
    stream: Option<Arc<dyn Any + Send + Sync>>,
    path: PathParams,
    place: PhantomData<fn() -> P>,
}

impl<P> Cx<P> {
    /// Returns the place of an argument of this call.
    fn of(call: &Call) -> Self {
        Self {
            stream: call.stream.clone(),
            path: call.request.path_params(),
            place: PhantomData,
        }
    }

    /// Returns the decoded parameters of the path.
    pub(super) fn path(&self) -> &PathParams {
        &self.path
    }

    /// Returns the runtime's state of the current stream, [`Call::stream`], if the place has one.
    #[must_use]
    pub fn stream<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.stream.clone()?.downcast().ok()
    }
}

macro_rules! places {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $($(#[$doc])* #[derive(Debug)] pub enum $name {})*
    };
}

places! {
    /// The arguments of a handler that returns one response.
    Http,
    /// The arguments of an `#[sse]` method.
    Sse,
    /// The arguments of an `#[on_sse_connection]` hook.
    OnConnection,
}

/// An argument without an attribute, at the place `P`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument here",
    label = "not something this method is called with",
    note = "one value of the request needs an attribute: `#[param]`, `#[query]`, `#[header]` or `#[body]`",
    note = "`&RequestContext` needs `#[req]`, `&mut ResponseHead` `#[res]`, `SseService` `#[inject_sse]`, another service `#[inject]`",
    note = "`Query<T>` and `Path<T>` cannot be optional; the fields of `T` can",
    note = "without an attribute it must be an axum-core extractor of the head, `FromRequestParts`",
    note = "only `#[body]`, or else the last argument without an attribute, takes the body: this one cannot be a `Multipart`, `Bytes` or `String`",
    note = "an extractor that needs state, such as axum's `State<Db>`, finds none: take `#[inject] db: Arc<Db>`, and hand it in with `.provide(db)`",
    note = "`SseStream` is for `#[sse]` methods and `#[on_sse_*]` hooks; `CloseReason` is for `#[on_sse_close]`"
)]
pub trait Argument<P>: Sized {
    #[doc(hidden)]
    fn from_parts(
        parts: &mut Parts,
        cx: &Cx<P>,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

#[diagnostic::do_not_recommend]
impl<P, T> Argument<P> for T
where
    P: 'static,
    T: FromRequestParts<Cx<P>>,
{
    async fn from_parts(parts: &mut Parts, cx: &Cx<P>) -> Result<Self, Response> {
        T::from_request_parts(parts, cx)
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// The last argument without an attribute, which may take the body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument here",
    label = "not something this method is called with",
    note = "one value of the request needs an attribute: `#[param]`, `#[query]`, `#[header]` or `#[body]`",
    note = "`&RequestContext` needs `#[req]`, `&mut ResponseHead` `#[res]`, `SseService` `#[inject_sse]`, another service `#[inject]`",
    note = "`Query<T>` and `Path<T>` cannot be optional; the fields of `T` can",
    note = "without an attribute it must be an axum-core extractor (`FromRequestParts`, the last one may be `FromRequest`)",
    note = "an extractor that needs state, such as axum's `State<Db>`, finds none: take `#[inject] db: Arc<Db>`, and hand it in with `.provide(db)`",
    note = "`SseStream` is for `#[sse]` methods and `#[on_sse_*]` hooks; `CloseReason` is for `#[on_sse_close]`"
)]
pub trait LastArgument<P, M>: Sized + 'static {
    #[doc(hidden)]
    fn from_request(
        request: Request,
        cx: &Cx<P>,
    ) -> impl Future<Output = Result<Self, Response>> + Send;
}

#[diagnostic::do_not_recommend]
impl<P, M, T> LastArgument<P, M> for T
where
    P: 'static,
    T: FromRequest<Cx<P>, M> + 'static,
{
    async fn from_request(request: Request, cx: &Cx<P>) -> Result<Self, Response> {
        T::from_request(request, cx)
            .await
            .map_err(IntoResponse::into_response)
    }
}

/// Binds an argument that has no attribute.
pub async fn argument<P: 'static, T: Argument<P>>(call: &mut Call) -> Option<T> {
    let cx = Cx::of(call);
    let bound = match T::from_parts(call.request.parts_mut(), &cx).await {
        Ok(bound) => Ok(bound),
        Err(rejection) => Err(error_of(rejection, false).await),
    };
    call.note(bound)
}

/// Binds the last argument that has no attribute, which may take the body.
pub async fn last_argument<P: 'static, T: LastArgument<P, M>, M>(call: &mut Call) -> Option<T> {
    let cx = Cx::of(call);
    let reading = Arc::new(Reading::default());
    let body = Noting {
        body: limited(call.take_body(), call.body_limit()),
        reading: Arc::clone(&reading),
    };
    let body = match is_whole::<T>() {
        true => whole(body).await.map(Body::from),
        false => Ok(Body::new(body)),
    };
    let body = call.note(body.map_err(|error| unreadable(error, BROKE_OFF)))?;
    let mut request = Request::from_parts(call.request.parts().clone(), body);
    // The app's own limit applies, not the extractors' default.
    DefaultBodyLimit::disable().apply(&mut request);
    let bound = match T::from_request(request, &cx).await {
        Ok(bound) => Ok(bound),
        Err(rejection) => Err(match reading.refusal.get() {
            Some(refusal) => refusal.clone(),
            None => error_of(rejection, reading.begun.load(Ordering::Relaxed)).await,
        }),
    };
    call.note(bound)
}

/// Whether the type is one of axum-core's whose extractor keeps all frames of the body until it has the last one.
fn is_whole<T: 'static>() -> bool {
    [TypeId::of::<Bytes>(), TypeId::of::<String>()].contains(&TypeId::of::<T>())
}

/// Limits the body. Nothing is read of a body that is announced as longer, so that its client is not asked to send it.
fn limited(body: Body, limit: usize) -> Limited<Body> {
    let announced = http_body::Body::size_hint(&body).lower();
    match usize::try_from(announced).is_ok_and(|length| length <= limit) {
        true => Limited::new(body, limit),
        // It fails at once, with the same error as a body that turns out to be too long.
        false => Limited::new(Body::from("too long"), 0),
    }
}

/// The state of a body that was passed to an extractor.
#[derive(Default)]
struct Reading {
    begun: AtomicBool,
    /// Why the body ended early, if the client caused that. Extractors of other crates do not distinguish the reasons.
    refusal: OnceLock<HttpError>,
}

/// A body that notes how it is read.
struct Noting {
    body: Limited<Body>,
    reading: Arc<Reading>,
}

impl http_body::Body for Noting {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.reading.begun.store(true, Ordering::Relaxed);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(error)) = &frame {
            let refusal = out_of_bounds(&**error);
            refusal.map(|refusal| self.reading.refusal.set(refusal));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Converts a foreign rejection, keeping its status and headers. Its text becomes the detail, unless the extractor has
/// read the body. Then the text may quote the body, so it is kept as the source.
async fn error_of(mut rejection: Response, body_was_read: bool) -> HttpError {
    const LONGEST: usize = 4 * 1024;
    if let Some(own) = HttpError::take_from(&mut rejection) {
        return own;
    }
    let (parts, body) = rejection.into_parts();
    let text = match whole(Limited::new(body, LONGEST)).await {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    };
    let text = bounded(text, LONGEST_DETAIL);
    let mut error = match body_was_read {
        true => HttpError::new(parts.status, "the body is not accepted").with_source(text),
        false => HttpError::new(parts.status, text),
    };
    for (name, value) in &parts.headers {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            error = error.with_header(name.clone(), value.clone());
        }
    }
    error
}
