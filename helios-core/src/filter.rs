//! Filters: from the error of a route to a response.

use std::error::Error;
use std::pin::Pin;

use axum_core::response::Response;

use crate::error::{HttpError, find_cause};
use crate::reply::Reply;
use crate::request::RequestContext;

/// Answers the errors of one type. The first filter that knows an error answers it, inner ones first; what none knows
/// is answered as problem JSON.
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
    /// The error's type: [`HttpError`] itself for every error, or a type found among its sources
    /// ([`HttpError::with_source`]).
    type Error: Error + Send + Sync + 'static;

    /// The response to the error. It is dropped at an await if the client goes away.
    ///
    /// # Errors
    ///
    /// Another error, which no further filter sees.
    fn catch(
        &self,
        error: &Self::Error,
        request: &RequestContext,
    ) -> impl Future<Output = Result<Response, HttpError>> + Send;
}

/// [`Filter`] behind a pointer, as the runtime keeps it.
pub trait DynFilter: Send + Sync {
    /// See [`Filter::catch`]; `None` if the error is not of the filter's type.
    fn catch<'a>(
        &'a self,
        error: &'a HttpError,
        request: &'a RequestContext,
    ) -> Option<Pin<Box<dyn Future<Output = Reply> + Send + 'a>>>;
}

impl<F: Filter> DynFilter for F {
    fn catch<'a>(
        &'a self,
        error: &'a HttpError,
        request: &'a RequestContext,
    ) -> Option<Pin<Box<dyn Future<Output = Reply> + Send + 'a>>> {
        let error = find_cause::<F::Error>(error)?;
        Some(Box::pin(Filter::catch(self, error, request)))
    }
}
