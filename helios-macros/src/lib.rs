//! The macros of the Helios framework. Use them through the crate `helios`, which re-exports them.
//!
//! They generate tables and calls, not logic: what a macro writes down is walked by the runtime.

mod args;
mod attribute;
mod controller;
mod diagnostics;
mod duration;
mod http_error;
mod injectable;
mod misplaced;
mod names;
mod path;
mod pipeline;
mod runtime;
mod server;
mod sse_events;
#[cfg(test)]
mod tests;
mod types;

use proc_macro::TokenStream;

/// Makes a type a controller: the methods of the impl become routes and SSE hooks. They stay ordinary methods.
///
/// ```
/// use helios::prelude::*;
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct UserDto { id: u64 }
///
/// #[derive(Injectable)]
/// struct User;
///
/// #[controller(
///     prefix = "user",                  // before the paths of all its routes; default: none
///     interceptor = |data, _request, _response| json!({ "data": data }),
/// )]
/// impl User {
///     #[get("{id}")]
///     async fn find(&self, #[param] id: u64, #[query] verbose: Option<bool>) -> Result<UserDto, HttpError> {
///         match verbose {
///             Some(true) => Err(HttpError::bad_request("there is no more to tell")),
///             _ => Ok(UserDto { id }),
///         }
///     }
///
///     #[sse("updates")]
///     fn updates(&self, #[header("last-event-id")] last: Option<u64>) -> impl Stream<Item = SseEvent> {
///         stream! {
///             yield SseEvent::text("new").id(last.map_or(0, |id| id.saturating_add(1)));
///         }
///     }
///
///     #[on_sse_close]
///     async fn closed(&self, client: SseStream, reason: CloseReason) {
///         println!("{} is gone: {reason}", client.id());
///     }
/// }
///
/// #[server(controllers = [User], sse(enabled = true))]
/// struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use helios::testing::TestApp;
/// let app = TestApp::start(App).unwrap();
/// assert_eq!(app.get("/user/7").await.text(), r#"{"data":{"id":7}}"#);
/// let mut updates = app.sse("/user/updates").last_event_id("4").await;
/// assert_eq!(updates.next().await.unwrap().id, "5");
/// # }
/// ```
///
/// # Keys
///
/// Every key may be left out.
///
/// | key | gives |
/// |---|---|
/// | `prefix = "user"` | what comes before the paths of all its routes; it may hold parameters |
/// | `controllers = [Posts]` | controllers below the prefix |
/// | `guards = [AuthGuard]` | types that implement `Guard`, run before every route |
/// | `interceptor = closure`, `interceptors = [..]` | closures that map the data, and types that implement `Interceptor` |
/// | `filters = [OutOfStockFilter]` | types that implement `Filter` |
/// | `crate = path` | where the facade is, if it is not called `::helios` |
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
/// [`macro@http_code`], [`macro@use_guards`], [`macro@use_interceptors`], [`macro@use_filters`], and
/// `#[header("cache-control", "no-store")]`, which sets a header of the response.
#[proc_macro_attribute]
pub fn controller(args: TokenStream, item: TokenStream) -> TokenStream {
    controller::controller(args.into(), item.into()).into()
}

/// Makes a struct the root of an app: its controllers and settings.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct User;
///
/// #[controller(prefix = "user")]
/// impl User {
///     #[get]
///     fn list(&self) -> &str { "ann, bob" }
/// }
///
/// #[server(
///     prefix = "api",                   // before all paths; default: none
///     controllers = [User],
///     body_limit = 1_048_576,           // bytes; default: 2 MiB
///     host = "127.0.0.1",               // the default
///     port = 3000,                      // the default
///     sse(enabled = true, keep_alive = "15s", retry = "3s", welcome = true, control_prefix = "helios:"),
/// )]
/// struct App;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use helios::testing::TestApp;
/// let app = TestApp::start(App).unwrap();
/// assert_eq!(app.get("/api/user").await.text(), "ann, bob");
/// # }
/// ```
///
/// Every key may be left out. `guards`, `interceptor`, `interceptors` and `filters` are as in [`macro@controller`], outside
/// of those. `host` and `port` give way to `HELIOS_HOST` and `HELIOS_PORT`, and those to the builder's.
///
/// # `sse(..)`
///
/// | key | default | gives |
/// |---|---|---|
/// | `enabled` | `false` | whether `#[sse]` routes may be served; with one of them and without this the app does not start |
/// | `keep_alive` | `"15s"` | the silence after which a comment is sent; `false` turns it off |
/// | `retry` | `"3s"` | how long clients wait before they reconnect |
/// | `welcome` | `false` | whether every stream starts with `event: welcome` and `{"uuid": ".."}` |
/// | `control_prefix` | `"helios:"` | what the names of control events begin with |
///
/// Durations are a number and a unit: `"500ms"`, `"15s"`, `"2m"`, `"1h"`.
#[proc_macro_attribute]
pub fn server(args: TokenStream, item: TokenStream) -> TokenStream {
    server::server(args.into(), item.into()).into()
}

/// Lets the container build a struct: `Arc<T>` and `SseService` fields come from the container, fields marked
/// `#[inject(default)]` are filled with their `Default`.
///
/// ```
/// use helios::prelude::*;
/// use std::sync::atomic::AtomicU64;
///
/// trait Mailer: Send + Sync {}
///
/// #[derive(Injectable)]
/// struct Notifications;
///
/// #[derive(Injectable)]
/// struct User {
///     notifications: Arc<Notifications>, // built on demand, once
///     mailer: Arc<dyn Mailer>,           // handed in with `provide_as`
///     sse: SseService,                   // always there
///     #[inject(default)]
///     calls: AtomicU64,
/// }
/// # let _ = |user: User| (user.notifications, user.mailer, user.sse, user.calls);
/// ```
///
/// `on_start` and `on_stop` name methods, async or not, that give `()` or `Result<(), E>`. A service starts before the
/// app takes requests and after all that it was built from, and stops after the last request in the reverse order:
///
/// ```
/// use helios::prelude::*;
/// # use std::io;
/// # #[derive(Injectable)]
/// # struct Pool;
///
/// #[derive(Injectable)]
/// #[inject(on_start = connect, on_stop = flush)]
/// struct Outbox { pool: Arc<Pool> }
///
/// impl Outbox {
///     /// An error here keeps the server from listening.
///     async fn connect(&self) -> Result<(), io::Error> {
///         let _ = &self.pool;
///         Ok(())
///     }
///
///     async fn flush(&self) {}
/// }
/// ```
#[proc_macro_derive(Injectable, attributes(inject))]
pub fn injectable(item: TokenStream) -> TokenStream {
    injectable::injectable(item.into()).into()
}

/// Lets the variants of an enum be sent as events: the variant's name is the event's, its fields are the data as
/// JSON.
///
/// ```
/// use helios::prelude::*;
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Report { lines: u32 }
///
/// #[derive(SseEvents)]
/// #[sse(rename_all = "snake_case")]
/// enum Progress {
///     Started,                                  // event: started    data: null
///     Step { done: u32, of: u32 },              // event: step       data: {"done":1,"of":3}
///     #[sse(rename = "finish")]
///     Done(Report),                             // event: finish     data: the report
/// }
///
/// let step = Progress::Step { done: 1, of: 3 }.into_sse_event();
/// assert_eq!((step.name(), step.data()), (Some("step"), Some(r#"{"done":1,"of":3}"#)));
/// let done = Progress::Done(Report { lines: 7 }).into_sse_event();
/// assert_eq!((done.name(), done.data()), (Some("finish"), Some(r#"{"lines":7}"#)));
/// assert_eq!(Progress::Started.into_sse_event().data(), Some("null"));
/// ```
#[proc_macro_derive(SseEvents, attributes(sse))]
pub fn sse_events(item: TokenStream) -> TokenStream {
    sse_events::sse_events(item.into()).into()
}

/// Lets an error type be answered: each variant, or the struct, says with which status.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Debug, thiserror::Error, HttpError)]
/// #[error("the card was declined")]
/// #[http(status = 402)]
/// struct PaymentError;
///
/// #[derive(Debug, thiserror::Error, HttpError)]
/// enum OrderError {
///     #[error("no order has the id {0}")]
///     #[http(status = 404, title = "No such order")]
///     Unknown(u64),
///     #[error(transparent)]
///     #[http(transparent)]                      // answered as the field is
///     Payment(#[from] PaymentError),
///     #[error("the disk is gone")]
///     #[http(status = 503)]
///     Storage(#[from] std::io::Error),
/// }
///
/// let unknown = HttpError::from(OrderError::Unknown(7));
/// assert_eq!((unknown.title(), unknown.detail()), ("No such order", "no order has the id 7"));
/// assert_eq!(HttpError::from(OrderError::Payment(PaymentError)).status(), 402);
/// assert_eq!(HttpError::from(OrderError::Storage(std::io::ErrorKind::Other.into())).status(), 503);
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
    /// Answers GET ([RFC 9110, section 9.3.1](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.1)): `#[get]` at the
    /// controller's prefix, `#[get("{id}")]` below it. HEAD is answered too, with the same head and no body.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[get("{id}")]
    ///     fn find(&self, #[param] id: u64) -> Option<String> {
    ///         (id == 7).then(|| "a lamp".to_owned())
    ///     }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.get("/orders/7").await.text(), "a lamp");
    /// assert_eq!(app.get("/orders/8").await.status(), 404);
    /// # }
    /// ```
    get
    /// Answers POST: `#[post]` at the controller's prefix, `#[post("{id}/close")]` below it.
    ///
    /// ```
    /// use helios::prelude::*;
    /// #[derive(serde::Deserialize)]
    /// struct NewOrder { item: String }
    ///
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[post]
    ///     #[http_code(201)]
    ///     fn create(&self, #[body] order: NewOrder) -> String {
    ///         format!("one {}", order.item)
    ///     }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// let created = app.post("/orders").json(&json!({ "item": "lamp" })).await;
    /// assert_eq!((created.status(), created.text()), (StatusCode::CREATED, "one lamp".to_owned()));
    /// # }
    /// ```
    post
    /// Answers PUT: `#[put("{id}")]`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// #[derive(serde::Deserialize)]
    /// struct NewOrder { item: String }
    ///
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[put("{id}")]
    ///     fn replace(&self, #[param] id: u64, #[body] order: NewOrder) -> String {
    ///         format!("{id} is one {}", order.item)
    ///     }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// let replaced = app.put("/orders/7").json(&json!({ "item": "lamp" })).await;
    /// assert_eq!(replaced.text(), "7 is one lamp");
    /// # }
    /// ```
    put
    /// Answers PATCH ([RFC 5789](https://www.rfc-editor.org/rfc/rfc5789)): `#[patch("{id}")]`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// #[derive(serde::Deserialize)]
    /// struct Change { item: Option<String> }
    ///
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[patch("{id}")]
    ///     fn change(&self, #[param] id: u64, #[body] change: Change) -> String {
    ///         change.item.map_or("nothing to do".to_owned(), |item| format!("{id} is one {item}"))
    ///     }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.patch("/orders/7").json(&json!({})).await.text(), "nothing to do");
    /// # }
    /// ```
    patch
    /// Answers DELETE: `#[delete("{id}")]`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[delete("{id}")]
    ///     #[http_code(204)]
    ///     fn cancel(&self, #[param] id: u64) -> Result<(), HttpError> {
    ///         match id {
    ///             7 => Ok(()),
    ///             _ => Err(HttpError::not_found(format!("no order has the id {id}"))),
    ///         }
    ///     }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.delete("/orders/7").await.status(), 204);
    /// assert_eq!(app.delete("/orders/8").await.status(), 404);
    /// # }
    /// ```
    delete
    /// Answers HEAD: `#[head("{id}")]`. Without it a HEAD is answered by the GET route, without its body; write one where
    /// that body is costly to make.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[head("{id}")]
    ///     fn exists(&self, #[param] id: u64) -> StatusCode {
    ///         if id == 7 { StatusCode::OK } else { StatusCode::NOT_FOUND }
    ///     }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.request("HEAD".parse().unwrap(), "/orders/7").await.status(), 200);
    /// # }
    /// ```
    head
    /// Answers OPTIONS: `#[options("{id}")]`. Without it an OPTIONS is answered 204 with `Allow`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[options]
    ///     #[header("accept-patch", "application/json")]
    ///     fn abilities(&self) {}
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// let abilities = app.request("OPTIONS".parse().unwrap(), "/orders").await;
    /// assert_eq!(abilities.header("accept-patch"), "application/json");
    /// # }
    /// ```
    options
    /// Answers every method that has no route of its own at the path, extension methods too: `#[any("{*rest}")]`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Legacy;
    ///
    /// #[controller(prefix = "v1")]
    /// impl Legacy {
    ///     #[any("{*rest}")]
    ///     fn moved(&self, #[param] rest: &str, #[req] request: &RequestContext) -> HttpError {
    ///         HttpError::gone(format!("{} {rest}: see /v2", request.method()))
    ///     }
    /// }
    /// # #[server(controllers = [Legacy])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.put("/v1/orders/7").await.status(), 410);
    /// # }
    /// ```
    any
    /// Opens an event stream: `#[sse("updates")]` ([WHATWG HTML, section
    /// 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html)).
    ///
    /// The method returns a stream of events or an `SseStream`, or it is an `async fn` that takes an `SseStream` and
    /// sends to it. Up to the first event an `Err` is an ordinary HTTP error; later it ends the stream.
    ///
    /// * `method = "POST"`: opens with another method. Default: GET.
    /// * `restart`: lets clients that saw the end of the stream start it again, instead of being answered 204.
    ///
    /// ```
    /// use helios::prelude::*;
    /// #[derive(serde::Deserialize)]
    /// struct Question { text: String }
    ///
    /// # #[derive(Injectable)]
    /// # struct Chat;
    ///
    /// #[controller]
    /// impl Chat {
    ///     /// A generator: what it yields is sent.
    ///     #[sse("words")]
    ///     fn words(&self) -> impl Stream<Item = SseEvent> {
    ///         stream! {
    ///             yield SseEvent::text("hello").event("word").id(1);
    ///         }
    ///     }
    ///
    ///     /// A producer: `send` waits while the client has much to read.
    ///     #[sse("ask", method = "POST", restart)]
    ///     async fn ask(&self, #[body] question: Question, stream: SseStream) -> Result<(), HttpError> {
    ///         for word in question.text.split_whitespace() {
    ///             stream.send(word).await?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # #[server(controllers = [Chat], sse(enabled = true))]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// let mut answer = app.sse("/ask").post_json(&json!({ "text": "who is it" })).await;
    /// assert_eq!(answer.next().await.unwrap().data, "who");
    /// # }
    /// ```
    sse
    /// Runs before a stream of this controller, or of one nested in it, is opened; an `Err` refuses it with its status.
    /// Hooks of outer controllers run first. Arguments are those of a route, without a body.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Room;
    ///
    /// #[controller]
    /// impl Room {
    ///     #[on_sse_connection]
    ///     async fn opened(&self, client: SseStream, #[req] request: &RequestContext) -> Result<(), HttpError> {
    ///         match request.cookie("session") {
    ///             Some(_) => Ok(client.send("welcome").await?),
    ///             None => Err(HttpError::unauthorized("sign in first")),
    ///         }
    ///     }
    ///     # #[sse("chat")]
    ///     # async fn chat(&self, stream: SseStream) -> Result<(), HttpError> {
    ///     #     stream.send("hello").await?;
    ///     #     Ok(())
    ///     # }
    /// }
    /// # #[server(controllers = [Room], sse(enabled = true))]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.get("/chat").await.status(), 401);
    /// let mut stream = app.sse("/chat").header("cookie", "session=1").await;
    /// assert_eq!(stream.next().await.unwrap().data, "welcome");
    /// # }
    /// ```
    on_sse_connection
    /// Runs when a stream of this controller, or of one nested in it, fails, before the client is told; inner controllers first.
    /// What it sends is the last that the client gets before `event: error`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Room;
    ///
    /// #[controller]
    /// impl Room {
    ///     #[on_sse_error]
    ///     async fn failed(&self, client: SseStream, error: &SseError) -> Result<(), HttpError> {
    ///         eprintln!("{}: {error}", client.id());
    ///         client.send("sorry").await?;
    ///         Ok(())
    ///     }
    ///
    ///     #[sse("chat")]
    ///     async fn chat(&self, stream: SseStream) -> Result<(), HttpError> {
    ///         stream.send("hello").await?;
    ///         Err(HttpError::internal("the room is on fire"))
    ///     }
    /// }
    /// # #[server(controllers = [Room], sse(enabled = true))]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// let events = app.sse("/chat").await.rest().await;
    /// assert_eq!((&*events[1].data, &*events[2].event), ("sorry", "error"));
    /// # }
    /// ```
    on_sse_error
    /// Runs when a client has missed events that it will never get, after it was told so by a `helios:reset`: history
    /// does not reach back to where it left off, or it was too slow. What the hook sends, such as a snapshot of what
    /// the client shows, comes before everything that was published since. It is given up after `hook_timeout`, 30 s by
    /// default.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Prices;
    ///
    /// #[controller(prefix = "prices")]
    /// impl Prices {
    ///     #[sse]
    ///     async fn watch(&self, #[inject_sse] sse: SseService) -> Result<SseStream, SseError> {
    ///         sse.subscribe(["prices"]).await
    ///     }
    ///
    ///     #[on_sse_reset]
    ///     async fn missed(&self, client: SseStream, reset: &SseReset) -> Result<(), SseError> {
    ///         if reset.concerns("prices") {
    ///             client.send(SseEvent::json(json!({ "lamp": 7 })).event("snapshot")).await?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # #[server(controllers = [Prices], sse(enabled = true))]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// let mut events = app.sse("/prices").last_event_id("long-ago-1").await;
    /// assert_eq!(events.next().await.unwrap().event, "helios:ready");
    /// assert_eq!(events.next().await.unwrap().event, "helios:reset");
    /// assert_eq!(events.next().await.unwrap().event, "snapshot");
    /// # }
    /// ```
    on_sse_reset
    /// Runs once when a stream is over, whatever ended it: for every controller whose connection hook accepted it, or that has
    /// none.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Room;
    ///
    /// #[controller]
    /// impl Room {
    ///     #[on_sse_close]
    ///     async fn closed(&self, client: SseStream, reason: CloseReason) {
    ///         println!("{} left: {reason}", client.id());
    ///     }
    ///     # #[sse("chat")]
    ///     # async fn chat(&self, stream: SseStream) -> Result<(), HttpError> {
    ///     #     stream.send("hello").await?;
    ///     #     Ok(())
    ///     # }
    /// }
    /// ```
    on_sse_close
    /// Sets the status of a route's successful responses: `#[http_code(201)]`. Default: 200. A response that says another
    /// status than 200 itself keeps it; `ResponseHead::set_status` goes over both.
    ///
    /// ```
    /// use helios::prelude::*;
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[post]
    ///     #[http_code(202)]
    ///     fn queue(&self) -> &str { "will do" }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.post("/orders").await.status(), 202);
    /// # }
    /// ```
    http_code
    /// Puts guards before one route, inside of those of the controller and the server: `#[use_guards(AuthGuard)]`. Several run
    /// in the order in which they are written.
    ///
    /// ```
    /// use helios::prelude::*;
    /// #[derive(Injectable)]
    /// struct AuthGuard;
    ///
    /// impl Guard for AuthGuard {
    ///     async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
    ///         let known = request.header("authorization").is_some();
    ///         known.then_some(()).ok_or_else(|| HttpError::unauthorized("sign in first"))
    ///     }
    /// }
    ///
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[get]
    ///     #[use_guards(AuthGuard)]
    ///     fn list(&self) -> &str { "a lamp" }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.get("/orders").await.status(), 401);
    /// # }
    /// ```
    use_guards
    /// Wraps one route in types that implement `Interceptor`, or maps its data with closures, inside of those of the
    /// controller and the server.
    ///
    /// ```
    /// use helios::prelude::*;
    /// #[derive(Injectable)]
    /// struct Counting {
    ///     #[inject(default)]
    ///     calls: std::sync::atomic::AtomicU64,
    /// }
    ///
    /// impl Interceptor for Counting {
    ///     async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
    ///         self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    ///         next.run(request).await
    ///     }
    /// }
    ///
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[get]
    ///     #[use_interceptors(Counting, |data, _request, _response| json!({ "data": data }))]
    ///     fn list(&self) -> Vec<&str> { vec!["a lamp"] }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.get("/orders").await.text(), r#"{"data":["a lamp"]}"#);
    /// # }
    /// ```
    use_interceptors
    /// Answers the errors of one route with types that implement `Filter`, before those of the controller and the server:
    /// `#[use_filters(StockFilter)]`.
    ///
    /// ```
    /// use helios::prelude::*;
    /// use helios::axum_core::response::{IntoResponse, Response};
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
    ///         Ok(format!("take {}", error.left).into_response())
    ///     }
    /// }
    ///
    /// # #[derive(Injectable)]
    /// # struct Orders;
    ///
    /// #[controller(prefix = "orders")]
    /// impl Orders {
    ///     #[post]
    ///     #[use_filters(StockFilter)]
    ///     fn create(&self) -> Result<(), OutOfStock> {
    ///         Err(OutOfStock { left: 3 })
    ///     }
    /// }
    /// # #[server(controllers = [Orders])]
    /// # struct App;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use helios::testing::TestApp;
    /// let app = TestApp::start(App).unwrap();
    /// assert_eq!(app.post("/orders").await.text(), "take 3");
    /// # }
    /// ```
    use_filters
}
