//! Interceptors: the closure that maps the JSON data of a route, and the onion around its whole pipeline.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::reply::Reply;
use crate::request::{RequestContext, ResponseHead};

/// Maps the JSON data of a response, or of each event that a route's own handler sends.
///
/// On events the head has left already: what is set on the response there has no effect.
pub trait MapData: Send + Sync {
    /// The data to send instead of `data`.
    fn map(&self, data: Value, request: &RequestContext, response: &mut ResponseHead) -> Value;
}

/// A closure as an interceptor.
#[derive(Debug)]
pub struct DataMapper<F>(F);

impl<F> MapData for DataMapper<F>
where
    F: Fn(Value, &RequestContext, &mut ResponseHead) -> Value + Send + Sync,
{
    fn map(&self, data: Value, request: &RequestContext, response: &mut ResponseHead) -> Value {
        (self.0)(data, request, response)
    }
}

/// Takes the closure of `interceptor = |data, request, response| ..`; the bound lets its types be inferred.
#[must_use]
pub const fn data_mapper<F>(map: F) -> DataMapper<F>
where
    F: Fn(Value, &RequestContext, &mut ResponseHead) -> Value + Send + Sync + 'static,
{
    DataMapper(map)
}

/// Passes data through `mappers`, which are listed outer to inner: the innermost sees it first.
pub fn map_through(
    mappers: &[&dyn MapData],
    data: Value,
    request: &RequestContext,
    response: &mut ResponseHead,
) -> Value {
    let inner_first = mappers.iter().rev();
    inner_first.fold(data, |data, mapper| mapper.map(data, request, response))
}

/// Wraps the rest of a route's pipeline: binding, the handler, and the interceptors inside of it.
///
/// It sees the request before, and the reply after; it may change both, or answer without calling `next` at all. On
/// SSE routes the reply is the head of the stream, before it leaves.
///
/// ```
/// use helios::prelude::*;
/// use http::HeaderValue;
///
/// #[derive(Injectable)]
/// struct Versioned;
///
/// impl Interceptor for Versioned {
///     async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
///         let mut response = next.run(request).await?;
///         response.headers_mut().insert("x-version", HeaderValue::from_static("1"));
///         Ok(response)
///     }
/// }
///
/// #[server(controllers = [], interceptors = [Versioned])]
/// struct App;
/// # assert!(Helios::new(App).into_service().is_ok());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an interceptor",
    label = "does not implement `Interceptor`",
    note = "write `impl Interceptor for {Self}` with `async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply`, or a closure `|data, request, response| data`"
)]
pub trait Interceptor: Send + Sync + 'static {
    /// Answers the request, usually with what `next` gives. It is dropped at an await if the client goes away.
    ///
    /// # Errors
    ///
    /// The error goes to the interceptors outside of this one, then to the filters.
    fn intercept(
        &self,
        request: &mut RequestContext,
        next: Next<'_>,
    ) -> impl Future<Output = Reply> + Send;

    /// Returns whether an answer may get another body, which is what the OpenAPI document cannot see. By default it may: the document
    /// then shows what the method gives, and lists the route among what it does not know, unless its answer is declared by `#[answers]`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use std::time::Instant;
    ///
    /// #[derive(Injectable)]
    /// struct Timed;
    ///
    /// impl Interceptor for Timed {
    ///     async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
    ///         let started = Instant::now();
    ///         let reply = next.run(request).await;
    ///         println!("{} took {:?}", request.route(), started.elapsed());
    ///         reply
    ///     }
    ///
    ///     fn changes_body(&self) -> bool {
    ///         false
    ///     }
    /// }
    /// # assert!(!Timed.changes_body());
    /// ```
    fn changes_body(&self) -> bool {
        true
    }
}

/// The future of a [`Reply`].
pub type ReplyFuture<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// [`Interceptor`] behind a pointer, as the runtime keeps it.
pub trait DynInterceptor: Send + Sync {
    /// See [`Interceptor::intercept`].
    fn intercept<'a>(&'a self, request: &'a mut RequestContext, next: Next<'a>) -> ReplyFuture<'a>;

    /// See [`Interceptor::changes_body`].
    fn changes_body(&self) -> bool;

    /// Its type's.
    fn name(&self) -> &'static str;
}

impl<I: Interceptor> DynInterceptor for I {
    fn intercept<'a>(&'a self, request: &'a mut RequestContext, next: Next<'a>) -> ReplyFuture<'a> {
        Box::pin(Interceptor::intercept(self, request, next))
    }

    fn changes_body(&self) -> bool {
        Interceptor::changes_body(self)
    }

    fn name(&self) -> &'static str {
        std::any::type_name::<I>()
    }
}

/// The innermost part of a pipeline: binding and the handler.
pub trait InnerHandler: Send {
    /// Answers the request. Called at most once.
    fn handle<'a>(&'a mut self, request: &'a mut RequestContext) -> ReplyFuture<'a>;
}

/// The rest of the pipeline, which an interceptor wraps. It can be run once, or not at all:
///
/// ```
/// use helios::axum_core::response::IntoResponse;
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Maintenance {
///     #[inject(default)]
///     on: std::sync::atomic::AtomicBool,
/// }
///
/// impl Interceptor for Maintenance {
///     async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
///         if self.on.load(std::sync::atomic::Ordering::Relaxed) {
///             return Ok("back in a minute".into_response());
///         }
///         next.run(request).await
///     }
/// }
/// # let _ = |maintenance: Maintenance| maintenance.on;
/// ```
pub struct Next<'a> {
    rest: &'a [Arc<dyn DynInterceptor>],
    handler: &'a mut dyn InnerHandler,
}

impl<'a> Next<'a> {
    /// `interceptors`, outer to inner, around `handler`.
    #[doc(hidden)]
    pub fn new(
        interceptors: &'a [Arc<dyn DynInterceptor>],
        handler: &'a mut dyn InnerHandler,
    ) -> Self {
        Self {
            rest: interceptors,
            handler,
        }
    }

    /// Runs the rest of the pipeline. Dropping the future drops what runs in it, at its await.
    ///
    /// # Errors
    ///
    /// The error of an inner interceptor, a binder or the handler.
    pub async fn run(self, request: &mut RequestContext) -> Reply {
        match self.rest.split_first() {
            Some((next, rest)) => {
                let inner = Next {
                    rest,
                    handler: self.handler,
                };
                next.intercept(request, inner).await
            }
            None => self.handler.handle(request).await,
        }
    }
}
