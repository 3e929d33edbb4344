//! A crate forbids lints, so that no `allow` counts. Generated code needs none.
#![forbid(
    warnings,
    future_incompatible,
    keyword_idents,
    let_underscore,
    nonstandard_style,
    refining_impl_trait,
    rust_2018_compatibility,
    rust_2018_idioms,
    rust_2021_compatibility,
    rust_2024_compatibility,
    unused
)]
#![forbid(
    absolute_paths_not_starting_with_crate,
    ambiguous_negative_literals,
    closure_returning_async_block,
    deprecated,
    deprecated_in_future,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    impl_trait_redundant_captures,
    macro_use_extern_crate,
    meta_variable_misuse,
    missing_abi,
    missing_copy_implementations,
    missing_debug_implementations,
    missing_docs,
    non_ascii_idents,
    non_local_definitions,
    non_snake_case,
    redundant_imports,
    redundant_lifetimes,
    single_use_lifetimes,
    tail_expr_drop_order,
    trivial_casts,
    trivial_numeric_casts,
    unit_bindings,
    unnameable_types,
    unreachable_code,
    unreachable_pub,
    unsafe_code,
    unused_extern_crates,
    unused_import_braces,
    unused_imports,
    unused_lifetimes,
    unused_macro_rules,
    unused_mut,
    unused_qualifications,
    unused_results,
    unused_variables,
    variant_size_differences
)]
#![forbid(
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::default_numeric_fallback,
    clippy::else_if_without_else,
    clippy::expect_used,
    clippy::field_scoped_visibility_modifiers,
    clippy::impl_trait_in_params,
    clippy::indexing_slicing,
    clippy::items_after_statements,
    clippy::let_underscore_must_use,
    clippy::multiple_inherent_impl,
    clippy::panic,
    clippy::pub_use,
    clippy::redundant_type_annotations,
    clippy::ref_patterns,
    clippy::same_name_method,
    clippy::shadow_reuse,
    clippy::shadow_same,
    clippy::shadow_unrelated,
    clippy::tests_outside_test_module,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::wildcard_imports
)]

use std::sync::Arc;

use bytes::Bytes;
use garde::Validate;
use helios::axum_core::response::Response;
use helios::prelude::{
    CloseReason, Filter, Form, Guard, Helios, HttpError, Injectable, Interceptor,
    IntoSseEvent as _, Json, Next, Path, Query, Reply, RequestContext, ResponseHead, SseError,
    SseEvent, SseEvents, SseReply, SseReset, SseService, SseSnapshot, SseStream, Stream,
    controller, delete, get, http_code, on_sse_close, on_sse_connection, on_sse_error,
    on_sse_reset, on_sse_snapshot, post, put, server, sse, use_filters, use_guards,
    use_interceptors,
};
use http::HeaderMap;
use serde::{Deserialize, Deserializer};

/// A service behind a trait.
trait Mailer: Send + Sync {
    fn send(&self, text: &str);
}

/// Public.
#[derive(Debug, Injectable)]
pub struct Clock {
    /// Of a day.
    #[inject(default)]
    pub minutes: Vec<u64>,
}

#[derive(Debug, Injectable)]
#[inject(on_start = connect, on_stop = Self::flush)]
/// Public.
pub struct Queue {
    clock: Arc<Clock>,
    #[inject(default)]
    /// How often it was asked.
    #[deprecated]
    pub calls: u64,
}

impl Queue {
    async fn connect(&self) -> Result<(), std::fmt::Error> {
        let _: (&Clock, &Self) = (&self.clock, self);
        std::future::ready(Ok(())).await
    }

    fn flush(&self) {
        drop(Arc::clone(&self.clock));
    }
}

#[derive(Debug, Injectable)]
/// Public.
pub struct Around(pub Arc<Queue>);

impl Guard for Around {
    async fn check(&self, _: &mut RequestContext) -> Result<(), HttpError> {
        std::future::ready(Ok(())).await
    }
}

impl Interceptor for Around {
    async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
        next.run(request).await
    }
}

impl Filter for Around {
    type Error = HttpError;

    async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
        std::future::ready(Err(error.for_client())).await
    }
}

#[derive(Debug, HttpError)]
/// Public.
pub enum QueueError {
    #[http(status = 409, title = "The queue is full")]
    /// Documented.
    Full(usize),
    #[deprecated]
    #[http(status = 410)]
    /// Documented.
    Gone {
        /// Documented.
        since: u64,
    },
    #[deprecated]
    #[http(transparent)]
    /// Documented.
    Other(HttpError),
}

impl std::fmt::Display for QueueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for QueueError {}

#[derive(Debug, SseEvents)]
#[sse(rename_all = "snake_case")]
/// Public.
pub enum Progress<T> {
    #[deprecated]
    /// Documented.
    JobStarted,
    /// Documented.
    Step {
        /// Documented.
        done: u32,
        #[deprecated]
        /// Documented.
        of: u32,
    },
    /// Documented.
    Pair(u32, String),
    #[deprecated]
    /// Documented.
    Done(T),
}

/// Implemented by hand, because the derives of serde and garde contain an `allow`.
#[derive(Debug)]
struct Draft {
    title: String,
}

impl<'de> Deserialize<'de> for Draft {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let title = String::deserialize(deserializer)?;
        Ok(Self { title })
    }
}

impl Validate for Draft {
    type Context = ();

    fn validate_into(
        &self,
        (): &(),
        _: &mut dyn FnMut() -> garde::Path,
        report: &mut garde::Report,
    ) {
        if self.title.is_empty() {
            report.append(garde::Path::new("title"), garde::Error::new("is empty"));
        }
    }
}

#[derive(Injectable)]
struct Posts<S> {
    store: Arc<S>,
    mailer: Arc<dyn Mailer>,
    sse: SseService,
}

/// A controller.
#[controller(
    prefix = "posts/{blog}",
    controllers = [Comments],
    guards = [Around],
    interceptor = |data, _, _| data,
    interceptors = [Around],
    filters = [Around],
)]
impl<S: std::fmt::Debug + Send + Sync> Posts<S> {
    #[get]
    fn list(&self, #[query(default = 20)] size: usize, #[query("tag")] tags: &[String]) -> String {
        format!("{size} {} {:?}", tags.len(), self.store)
    }

    #[deprecated]
    #[get("{id}")]
    #[header("Cache-Control", "no-store")]
    #[use_guards(Around)]
    #[use_interceptors(|data, _, _| data, Around)]
    #[use_filters(Around)]
    async fn find(
        &self,
        #[param] blog: &str,
        #[param] id: u64,
        #[header("x-lang", default = "en")] lang: &str,
        #[cookie] session: Option<String>,
        #[inject] mailer: Arc<dyn Mailer>,
        #[inject] clock: &Arc<Clock>,
    ) -> Result<Option<Json<String>>, HttpError> {
        mailer.send(lang);
        let title = std::future::ready(format!("{blog} {id} {session:?} {clock:?}")).await;
        Ok(Some(Json(title)))
    }

    #[get("head")]
    async fn head(
        &self,
        #[inject_sse] sse: SseService,
        #[req] request: &RequestContext,
        #[res] response: &mut ResponseHead,
        headers: &HeaderMap,
        Query(draft): Query<Draft>,
    ) -> String {
        let _ = response.set_status(http::StatusCode::ACCEPTED);
        let title = std::future::ready(draft.title).await;
        format!("{} {} {title} {sse:?}", request.uri(), headers.len())
    }

    #[post]
    #[http_code(201)]
    async fn create(&self, #[body(json, form)] draft: Draft) -> Result<Json<String>, QueueError> {
        let title = std::future::ready(draft.title).await;
        Ok(Json(title))
    }

    #[put("{id}")]
    fn replace(
        &self,
        Path((blog, id)): Path<(String, u64)>,
        mut headers: HeaderMap,
        body: &Bytes,
    ) -> String {
        headers.clear();
        format!("{blog} {id} {} {:?}", body.len(), self.store)
    }

    #[post("form")]
    fn form(&self, Form(draft): Form<Draft>) -> String {
        self.mailer.send("form");
        draft.title
    }

    #[delete("{_id}")]
    fn _remove<'a>(&'a self, #[param] _id: u64, #[req] request: &'a RequestContext) -> &'a str {
        self.mailer.send("removed");
        request.route()
    }

    #[sse("generator")]
    fn generator(
        &self,
        #[header("last-event-id")] last: Option<u64>,
    ) -> impl Stream<Item = SseEvent> {
        let from = last.unwrap_or_default();
        tokio_stream::iter((from..10).map(|id| SseEvent::text(format!("{:?}", self.store)).id(id)))
    }

    #[sse("borrowed/{id}")]
    fn borrowed(
        &self,
        #[param] id: &str,
        #[req] request: &RequestContext,
    ) -> Result<impl Stream<Item = Result<String, HttpError>>, HttpError> {
        let text = format!("{id} {} {:?}", request.route(), self.store);
        if id.is_empty() {
            return Err(HttpError::not_found("no such stream"));
        }
        Ok(tokio_stream::iter([Ok(text)]))
    }

    #[deprecated]
    #[sse("producer", method = "POST", restart, drain = "finish", overload = 503)]
    async fn producer(
        &self,
        #[body] draft: Draft,
        #[res] response: &mut ResponseHead,
        stream: SseStream,
    ) -> Result<(), HttpError> {
        let _ = response.set_status(http::StatusCode::OK);
        stream.send(SseEvent::text(draft.title)).await?;
        Ok(())
    }

    #[sse("unit")]
    async fn unit(&self, stream: SseStream) {
        stream.close();
        std::future::ready(()).await;
    }

    #[sse("handle")]
    fn handle(&self) -> SseStream {
        self.sse.create_connection()
    }

    #[sse("reply")]
    async fn reply(&self) -> Result<Option<SseReply<SseStream>>, HttpError> {
        std::future::ready(Ok(Some(SseReply::Stream(self.sse.create_connection())))).await
    }

    #[on_sse_connection]
    async fn opened(
        &self,
        client: SseStream,
        #[param] blog: String,
        #[inject] mailer: Arc<dyn Mailer>,
        #[req] request: &RequestContext,
    ) -> Result<(), HttpError> {
        let text = format!("{blog} {} {}", client.id(), request.uri());
        mailer.send(&std::future::ready(text).await);
        Ok(())
    }

    #[on_sse_error]
    #[deprecated]
    fn failed(&self, client: &SseStream, error: &SseError) {
        self.mailer.send(&format!("{} {error}", client.id()));
    }

    #[on_sse_snapshot]
    async fn snapshot(&self, snapshot: &SseSnapshot, client: SseStream) -> Result<(), SseError> {
        client.send(format!("{:?}", snapshot.topics)).await
    }

    #[on_sse_close]
    fn closed(&self, reason: CloseReason) {
        self.mailer.send(reason.as_str());
    }
}

#[derive(Injectable)]
struct Comments(Arc<dyn Mailer>);

#[controller(prefix = "comments")]
impl Comments {
    #[get]
    fn list(&self, #[param(outer)] blog: String) -> Json<[String; 1]> {
        self.0.send("list");
        Json([blog])
    }

    #[sse("live")]
    fn live(&self) -> SseStream {
        self.0.send("live");
        SseStream::new()
    }

    #[on_sse_reset]
    async fn missed(&self, client: SseStream, reset: &SseReset) -> Result<(), SseError> {
        self.0.send("missed");
        client.send(format!("{:?} missed", reset.topics)).await
    }
}

#[server(
    prefix = "api",
    controllers = [Posts<Clock>],
    guards = [Around],
    interceptor = |data, _, _| data,
    filters = [Around],
    body_limit = 65_536,
    host = "127.0.0.1",
    port = 0,
    sse(enabled = true, keep_alive = "15s", retry = "500ms", welcome = true, control_prefix = "app:"),
)]
struct App;

fn main() {
    drop(Helios::new(App));
    let event = Progress::<u64>::Pair(1, String::new()).into_sse_event();
    assert_eq!(event.name(), Some("pair"));
}
