//! The macros of the Helios framework. Use them through the crate `helios`, which re-exports them.
//!
//! They generate tables and calls, not logic: what a macro writes down is walked by the runtime.

mod args;
mod controller;
mod diagnostics;
mod duration;
mod http_error;
mod injectable;
mod misplaced;
mod path;
mod pipeline;
mod runtime;
mod server;
mod sse_events;
#[cfg(test)]
mod tests;
mod types;

use proc_macro::TokenStream;

/// Makes a type a controller: the methods of the impl become routes and SSE hooks.
///
/// ```ignore
/// #[controller(
///     prefix = "user",                  // before the paths of all its routes
///     controllers = [UserPosts],        // controllers below the prefix
///     guards = [AuthGuard],             // run before every route
///     interceptor = |data, _request, _response| json!({ "data": data }),
/// )]
/// impl User {
///     #[get("{id}")]
///     async fn find(&self, #[param] id: u64, #[query] verbose: Option<bool>) -> Result<UserDto, HttpError> { .. }
///
///     #[sse("updates")]
///     fn updates(&self, #[header("last-event-id")] last: Option<u64>) -> impl Stream<Item = SseEvent> { .. }
///
///     #[on_sse_close]
///     async fn closed(&self, client: SseStream, reason: CloseReason) { .. }
/// }
/// ```
///
/// Every key may be left out. `interceptors = [..]` takes several closures, and types that
/// implement `Interceptor`; `filters = [..]` takes types that implement `Filter`; `crate = path` names the facade if it is
/// not called `::helios`.
///
/// # Arguments of routes
///
/// | attribute | the argument is |
/// |---|---|
/// | `#[param]`, `#[param("name")]` | a `{name}` of the path; `#[param(outer)]` one of an enclosing prefix |
/// | `#[query]`, `#[query("name", default = 20)]` | a key of the query string |
/// | `#[header]`, `#[header("name")]` | a request header; by default the argument's name with `-` for `_` |
/// | `#[cookie]`, `#[cookie("name")]` | a cookie, percent-decoded |
/// | `#[body]` | the whole body: JSON or a form; validated, unless `#[body(unvalidated)]`; of GET and HEAD only with `#[body(allow_get)]` |
/// | `#[req]` | `&RequestContext` |
/// | `#[res]` | `&mut ResponseHead` |
/// | `#[inject]` | an `Arc` from the container |
/// | `#[inject_sse]` | the `SseService` |
/// | none | an axum-core extractor, or the `SseStream` of an `#[sse]` method |
///
/// `&T` binds a `T` and lends it; `&str` binds a `String`.
///
/// # Beside a route
///
/// `#[http_code(201)]`, `#[use_guards(AuthGuard)]`, `#[use_interceptors(|data, _request, _response| data)]`,
/// `#[use_filters(OutOfStockFilter)]`, and `#[header("cache-control", "no-store")]`, which sets a header of the response.
#[proc_macro_attribute]
pub fn controller(args: TokenStream, item: TokenStream) -> TokenStream {
    controller::controller(args.into(), item.into()).into()
}

/// Makes a struct the root of an app: its controllers and settings.
///
/// ```ignore
/// #[server(
///     prefix = "api",                   // before all paths
///     controllers = [User],
///     guards = [AuthGuard],
///     body_limit = 1_048_576,           // bytes
///     host = "127.0.0.1",
///     port = 3000,
///     sse(enabled = true, keep_alive = "15s", retry = "3s", welcome = true, control_prefix = "helios:"),
/// )]
/// struct App;
/// ```
///
/// Every key may be left out. `keep_alive = false` turns keep-alive comments off; `guards`, `interceptors` and
/// `filters` are as in [`macro@controller`], outside of those.
#[proc_macro_attribute]
pub fn server(args: TokenStream, item: TokenStream) -> TokenStream {
    server::server(args.into(), item.into()).into()
}

/// Lets the container build a struct: `Arc<T>` and `SseService` fields come from the container, fields marked
/// `#[inject(default)]` are filled with their `Default`.
///
/// ```ignore
/// #[derive(Injectable)]
/// struct User {
///     notifications: Arc<NotificationService>,
///     mailer: Arc<dyn Mailer>,
///     sse: SseService,
///     #[inject(default)]
///     calls: AtomicU64,
/// }
/// ```
///
/// `on_start` and `on_stop` name methods, async or not, that give `()` or `Result<(), E>`. A service starts before the
/// app takes requests and after all that it was built from, and stops after the last request in the reverse order:
///
/// ```ignore
/// #[derive(Injectable)]
/// #[inject(on_start = connect, on_stop = flush)]
/// struct Outbox { pool: Arc<Pool> }
///
/// impl Outbox {
///     async fn connect(&self) -> Result<(), io::Error> { .. }
///     async fn flush(&self) { .. }
/// }
/// ```
#[proc_macro_derive(Injectable, attributes(inject))]
pub fn injectable(item: TokenStream) -> TokenStream {
    injectable::injectable(item.into()).into()
}

/// Lets the variants of an enum be sent as events: the variant's name is the event's, its fields are the data as
/// JSON.
///
/// ```ignore
/// #[derive(SseEvents)]
/// #[sse(rename_all = "snake_case")]
/// enum Progress {
///     Started,                                  // event: started    data: null
///     Step { done: u32, of: u32 },              // event: step       data: {"done":1,"of":3}
///     #[sse(rename = "finish")]
///     Done(Report),                             // event: finish     data: the report
/// }
/// ```
#[proc_macro_derive(SseEvents, attributes(sse))]
pub fn sse_events(item: TokenStream) -> TokenStream {
    sse_events::sse_events(item.into()).into()
}

/// Lets an error type be answered: each variant, or the struct, says with which status.
///
/// ```ignore
/// #[derive(Debug, thiserror::Error, HttpError)]
/// enum OrderError {
///     #[error("no order has the id {0}")]
///     #[http(status = 404, title = "No such order")]
///     Unknown(u64),
///     #[error(transparent)]
///     #[http(transparent)]                      // answered as the field is
///     Payment(#[from] PaymentError),
///     #[error("the database is gone")]
///     #[http(status = 503)]
///     Database(#[from] sqlx::Error),
/// }
/// ```
///
/// The text of the error is the problem's `detail`, and the title that of the status unless another is given. The error
/// itself goes along as the source: the log tells it, and a `Filter` for its type gets it. Of a 5xx a client sees the
/// status and the title only.
#[proc_macro_derive(HttpError, attributes(http))]
pub fn http_error(item: TokenStream) -> TokenStream {
    http_error::http_error(item.into()).into()
}

/// Attributes that `#[controller]` takes off; as macros of their own they say that one is missing.
macro_rules! method_attributes {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            ///
            /// Works on a method inside an `impl` marked [`macro@controller`].
            #[proc_macro_attribute]
            pub fn $name(args: TokenStream, item: TokenStream) -> TokenStream {
                misplaced::misplaced(stringify!($name), &args.into(), &item.into()).into()
            }
        )*
    };
}

method_attributes! {
    /// Answers GET: `#[get]` at the controller's prefix, `#[get("{id}")]` below it.
    get
    /// Answers POST: `#[post]` at the controller's prefix, `#[post("{id}/close")]` below it.
    post
    /// Answers PUT: `#[put("{id}")]`.
    put
    /// Answers PATCH: `#[patch("{id}")]`.
    patch
    /// Answers DELETE: `#[delete("{id}")]`.
    delete
    /// Answers HEAD: `#[head("{id}")]`. Without it a HEAD is answered by the GET route, without its body.
    head
    /// Answers OPTIONS: `#[options("{id}")]`.
    options
    /// Answers every method that has no route of its own at the path: `#[any("{*rest}")]`.
    any
    /// Opens an event stream: `#[sse("updates")]`.
    ///
    /// ```ignore
    /// #[sse("ask", method = "POST", restart)]
    /// async fn ask(&self, #[body] question: Question, stream: SseStream) -> Result<(), HttpError> { .. }
    /// ```
    ///
    /// The method returns a stream of events or an `SseStream`, or it is an `async fn` that takes an `SseStream` and
    /// sends to it. `restart` lets clients that saw the end of the stream start it again.
    sse
    /// Runs before a stream of this controller, or of one nested in it, is opened; an `Err` refuses it.
    ///
    /// ```ignore
    /// #[on_sse_connection]
    /// async fn opened(&self, client: SseStream, #[req] req: &RequestContext) -> Result<(), HttpError> { .. }
    /// ```
    on_sse_connection
    /// Runs when a stream fails.
    ///
    /// ```ignore
    /// #[on_sse_error]
    /// async fn failed(&self, client: SseStream, error: &SseError) { .. }
    /// ```
    on_sse_error
    /// Runs once when a stream is over, whatever ended it.
    ///
    /// ```ignore
    /// #[on_sse_close]
    /// async fn closed(&self, client: SseStream, reason: CloseReason) { .. }
    /// ```
    on_sse_close
    /// Sets the status of a route's successful responses: `#[http_code(201)]`.
    http_code
    /// Puts guards before one route: `#[use_guards(AuthGuard)]`.
    use_guards
    /// Wraps one route in types that implement `Interceptor`, or maps its data with closures:
    /// `#[use_interceptors(Timing, |data, _request, _response| json!({ "data": data }))]`.
    use_interceptors
    /// Answers the errors of one route with types that implement `Filter`: `#[use_filters(OutOfStockFilter)]`.
    use_filters
}
