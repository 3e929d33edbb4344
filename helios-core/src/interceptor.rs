//! Interceptors: closures that map the JSON data of a route, and types that wrap its whole pipeline.

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::reply::Reply;
use crate::request::{RequestContext, ResponseHead};

/// Maps the JSON data of a response, or of each event that a route's own handler sends.
///
/// For events the head has already been sent, so changes of the response head have no effect.
pub trait MapData: Send + Sync {
    /// Returns the data to send instead of `data`.
    fn map(&self, data: Value, request: &RequestContext, response: &mut ResponseHead) -> Value;
}

/// A closure used as an interceptor.
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

/// Wraps the closure of `interceptor = |data, request, response| ..`. The bound lets the compiler infer its types.
#[must_use]
pub const fn data_mapper<F>(map: F) -> DataMapper<F>
where
    F: Fn(Value, &RequestContext, &mut ResponseHead) -> Value + Send + Sync + 'static,
{
    DataMapper(map)
}

/// Passes data through `mappers`, from the innermost to the outermost. `mappers` are listed from outer to inner.
pub fn map_through(
    mappers: &[&dyn MapData],
    data: Value,
    request: &RequestContext,
    response: &mut ResponseHead,
) -> Value {
    let inner_first = mappers.iter().rev();
    inner_first.fold(data, |data, mapper| mapper.map(data, request, response))
}

/// Wraps the rest of a route's pipeline, which is the inner interceptors, binding and the handler.
///
/// It sees the request before them, and the reply after. It may change both, or reply without calling `next` at all. On
/// SSE routes the reply is the head of the stream, before it is sent.
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
    /// Replies to the request, usually with the reply of `next`. The future is dropped at an await if the client
    /// disconnects.
    ///
    /// # Errors
    ///
    /// The error goes to the outer interceptors, then to the filters.
    fn intercept(
        &self,
        request: &mut RequestContext,
        next: Next<'_>,
    ) -> impl Future<Output = Reply> + Send;

    /// Returns whether the interceptor may change a response's body, which the OpenAPI document cannot see. By default
    /// it may. The document then shows what the method returns, and lists the route among those that it does not know,
    /// unless `#[answers]` declares its response.
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

/// An [`Interceptor`] behind a pointer, as the runtime stores it.
pub trait DynInterceptor: Send + Sync {
    /// See [`Interceptor::intercept`].
    fn intercept<'a>(&'a self, request: &'a mut RequestContext, next: Next<'a>) -> ReplyFuture<'a>;

    /// See [`Interceptor::changes_body`].
    fn changes_body(&self) -> bool;

    /// Returns the name of its type.
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

/// The innermost part of a pipeline, which is binding and the handler.
pub trait InnerHandler: Send {
    /// Replies to the request. It is called at most once.
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
    /// Creates the pipeline of `interceptors`, from outer to inner, around `handler`.
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

    /// Runs the rest of the pipeline. Dropping the future drops the rest too, at its current await.
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
