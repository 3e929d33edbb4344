//! Filters, which turn the error of a route into a response, or into the end of a stream that has begun.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;

use axum_core::response::Response;

use crate::error::{HttpError, find_cause};
use crate::event::SseEvent;
use crate::interceptor::ReplyFuture;
use crate::request::RequestContext;

/// Handles the errors of one type. Filters are tried from the innermost to the outermost, and the first whose type
/// matches handles the error. An error that no filter handles becomes problem JSON. Once a stream has begun, the same
/// filters decide how it ends ([`Filter::catch_in_stream`]).
///
/// ```
/// use helios::axum_core::response::{IntoResponse, Response};
/// use helios::prelude::*;
///
/// #[derive(Debug, thiserror::Error, HttpError)]
/// #[error("only {left} left")]
/// #[http(status = 409)]
/// struct OutOfStock { left: u32 }
///
/// #[derive(Injectable)]
/// struct StockFilter;
///
/// impl Filter for StockFilter {
///     type Error = OutOfStock;
///
///     async fn catch(&self, error: &OutOfStock, _: &RequestContext) -> Result<Response, HttpError> {
///         Ok((StatusCode::CONFLICT, format!("try {} instead", error.left)).into_response())
///     }
/// }
/// # #[derive(Injectable)]
/// # struct Shop;
///
/// #[controller(prefix = "shop", filters = [StockFilter])]
/// impl Shop {
///     #[post("buy")]
///     fn buy(&self) -> Result<(), OutOfStock> {
///         Err(OutOfStock { left: 3 })
///     }
/// }
/// # #[server(controllers = [Shop])]
/// # struct App;
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let app = helios::testing::TestApp::start(App).unwrap();
/// # assert_eq!(app.post("/shop/buy").await.text(), "try 3 instead");
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a filter",
    label = "does not implement `Filter`",
    note = "write `impl Filter for {Self}` with the type of the errors that it answers and `async fn catch(&self, error: &Self::Error, request: &RequestContext) -> Result<Response, HttpError>`"
)]
pub trait Filter: Send + Sync + 'static {
    /// The error's type. [`HttpError`] matches every error. Any other type is searched among its sources
    /// ([`HttpError::with_source`]).
    type Error: Error + Send + Sync + 'static;

    /// Returns the response to the error. The future is dropped at an await if the client disconnects.
    ///
    /// # Errors
    ///
    /// Another error, which no other filter sees.
    fn catch(
        &self,
        error: &Self::Error,
        request: &RequestContext,
    ) -> impl Future<Output = Result<Response, HttpError>> + Send;

    /// Decides how a stream ends that fails after it has begun. Its head has been sent, so the status cannot change any
    /// more. By default the client receives the response of [`Filter::catch`] as `event: error`.
    ///
    /// It runs after the `#[on_sse_error]` hooks and has as much time as a hook (`hook_timeout`). The future is dropped
    /// at an await if the client disconnects. The stream ends with the returned answer, as
    /// [`CloseReason::Error`](crate::sse::CloseReason::Error).
    ///
    /// # Errors
    ///
    /// Another error, which is sent to the client instead.
    ///
    /// ```
    /// use helios::axum_core::response::{IntoResponse, Response};
    /// use helios::http::StreamAnswer;
    /// use helios::prelude::*;
    ///
    /// /// Reports every error in the form that clients of language models expect.
    /// #[derive(Injectable)]
    /// struct LlmErrors;
    ///
    /// fn error_object(error: &HttpError) -> serde_json::Value {
    ///     json!({ "error": { "message": error.title(), "code": error.status().as_u16() } })
    /// }
    ///
    /// impl Filter for LlmErrors {
    ///     type Error = HttpError;
    ///
    ///     async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
    ///         Ok((error.status(), Json(error_object(error))).into_response())
    ///     }
    ///
    ///     async fn catch_in_stream(&self, error: &HttpError, _: &RequestContext) -> Result<StreamAnswer, HttpError> {
    ///         Ok(StreamAnswer::Event(SseEvent::json(error_object(error))))
    ///     }
    /// }
    /// # #[derive(Injectable)]
    /// # struct Llm;
    ///
    /// #[controller(filters = [LlmErrors])]
    /// impl Llm {
    ///     #[sse("words")]
    ///     fn words(&self) -> impl Stream<Item = Result<SseEvent, HttpError>> {
    ///         try_stream! {
    ///             yield SseEvent::text("Hello");
    ///             Err(HttpError::new(StatusCode::BAD_GATEWAY, "the model is gone"))?;
    ///         }
    ///     }
    /// }
    /// # #[server(controllers = [Llm], sse(enabled = true))]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let app = helios::testing::TestApp::start(App).unwrap();
    /// # let told = app.sse("/words").await.rest().await;
    /// # assert_eq!(told[1].data, r#"{"error":{"code":502,"message":"Bad Gateway"}}"#);
    /// # assert_eq!(told[1].event, "message");
    /// # }
    /// ```
    fn catch_in_stream(
        &self,
        error: &Self::Error,
        request: &RequestContext,
    ) -> impl Future<Output = Result<StreamAnswer, HttpError>> + Send {
        async { self.catch(error, request).await.map(StreamAnswer::Response) }
    }
}

/// The end of a failed stream, as a [`Filter`] chooses it.
///
/// ```
/// use helios::http::StreamAnswer;
/// use helios::prelude::*;
///
/// fn answer_to(error: &HttpError) -> StreamAnswer {
///     match error.status() {
///         StatusCode::GONE => StreamAnswer::Event(SseEvent::text("there is no more").event("gone")),
///         _ => StreamAnswer::BreakOff,
///     }
/// }
/// # assert!(matches!(answer_to(&HttpError::internal("x")), StreamAnswer::BreakOff));
/// # assert!(matches!(answer_to(&HttpError::gone("x")), StreamAnswer::Event(_)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamAnswer {
    /// An `event: error`. Its data is the body of this response if that is JSON or text and no larger than
    /// `max_event_bytes`, or otherwise problem JSON of its status.
    Response(Response),
    /// This event and no other, with or without a name. It is validated like every event. Closure interceptors do not
    /// see it.
    Event(SseEvent),
    /// No event. The body breaks off instead of ending, so that no client mistakes it for complete.
    BreakOff,
}

/// Returns the answer of the first filter that has one, from the innermost to the outermost. `filters` are listed from
/// outer to inner.
pub fn first_answer<'a, T>(
    filters: &'a [Arc<dyn DynFilter>],
    mut ask: impl FnMut(&'a dyn DynFilter) -> Option<T>,
) -> Option<T> {
    let mut inner_first = filters.iter().rev();
    inner_first.find_map(|filter| ask(&**filter))
}

/// The future of a [`StreamAnswer`].
pub type StreamAnswerFuture<'a> =
    Pin<Box<dyn Future<Output = Result<StreamAnswer, HttpError>> + Send + 'a>>;

/// A [`Filter`] behind a pointer, as the runtime stores it.
pub trait DynFilter: Send + Sync {
    /// See [`Filter::catch`]. Returns `None` if the error is not of the filter's type.
    fn catch<'a>(
        &'a self,
        error: &'a HttpError,
        request: &'a RequestContext,
    ) -> Option<ReplyFuture<'a>>;

    /// See [`Filter::catch_in_stream`]. Returns `None` if the error is not of the filter's type.
    fn catch_in_stream<'a>(
        &'a self,
        error: &'a HttpError,
        request: &'a RequestContext,
    ) -> Option<StreamAnswerFuture<'a>>;
}

impl<F: Filter> DynFilter for F {
    fn catch<'a>(
        &'a self,
        error: &'a HttpError,
        request: &'a RequestContext,
    ) -> Option<ReplyFuture<'a>> {
        let error = find_cause::<F::Error>(error)?;
        Some(Box::pin(Filter::catch(self, error, request)))
    }

    fn catch_in_stream<'a>(
        &'a self,
        error: &'a HttpError,
        request: &'a RequestContext,
    ) -> Option<StreamAnswerFuture<'a>> {
        let error = find_cause::<F::Error>(error)?;
        Some(Box::pin(Filter::catch_in_stream(self, error, request)))
    }
}
