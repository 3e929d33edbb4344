//! Guards, interceptors and filters: their order, what each may change, and that they also apply to streams.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use helios::testing::{TestApp, TestRequest};
use http::HeaderValue;
use support::journal::Journal;

macro_rules! noting {
    ($($guard:ident $interceptor:ident $name:literal,)*) => {
        $(
            #[derive(Injectable)]
            struct $guard(Arc<Journal>);

            impl Guard for $guard {
                async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
                    self.0.note(concat!($name, " guard"));
                    match request.header("x-refuse") {
                        Some($name) => Err(HttpError::forbidden(concat!("refused by the ", $name))),
                        _ => Ok(()),
                    }
                }
            }

            #[derive(Injectable)]
            struct $interceptor(Arc<Journal>);

            impl Interceptor for $interceptor {
                async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
                    self.0.note(concat!($name, " before"));
                    let reply = next.run(request).await;
                    let after = reply.as_ref().map_or_else(HttpError::status, Response::status);
                    self.0.note(format!("{} after {} {}", $name, after.as_u16(), request.route()));
                    reply
                }
            }
        )*
    };
}

noting! {
    ServerGuard ServerInterceptor "server",
    ControllerGuard ControllerInterceptor "controller",
    MethodGuard MethodInterceptor "method",
}

/// Responds from memory, without calling the handler.
#[derive(Injectable)]
struct Cached;

impl Interceptor for Cached {
    async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
        if request.header("x-cached").is_some() {
            return Ok("cached".into_response());
        }
        let started = Instant::now();
        let mut response = next.run(request).await?;
        let took = HeaderValue::from(started.elapsed().as_secs());
        response.headers_mut().insert("x-took", took);
        Ok(response)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("only {left} left")]
struct OutOfStock {
    left: u32,
}

impl From<OutOfStock> for HttpError {
    fn from(error: OutOfStock) -> Self {
        Self::conflict("out of stock").with_source(error)
    }
}

#[derive(Injectable)]
struct StockFilter;

impl Filter for StockFilter {
    type Error = OutOfStock;

    async fn catch(
        &self,
        error: &OutOfStock,
        request: &RequestContext,
    ) -> Result<Response, HttpError> {
        let text = format!("{}: try {} instead", request.uri().path(), error.left);
        Ok((StatusCode::CONFLICT, text).into_response())
    }
}

/// Handles every error that no inner filter has handled.
#[derive(Injectable)]
struct LastFilter;

impl Filter for LastFilter {
    type Error = HttpError;

    async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
        if error.status() == StatusCode::GONE {
            return Err(HttpError::not_found("as if it had never been"));
        }
        Ok((error.status(), format!("last: {}", error.detail())).into_response())
    }
}

#[derive(Injectable)]
struct Shop;

#[controller(
    prefix = "shop",
    guards = [ControllerGuard],
    interceptors = [ControllerInterceptor, |data, _req, _res| json!({ "inner": data })],
    filters = [LastFilter],
)]
impl Shop {
    #[get("{id}")]
    #[use_guards(MethodGuard)]
    #[use_interceptors(MethodInterceptor, Cached)]
    async fn find(&self, #[param] id: u64) -> Result<Json<u64>, HttpError> {
        match id {
            0 => Err(HttpError::bad_request("zero")),
            1 => Err(HttpError::gone("gone")),
            id => Ok(Json(id)),
        }
    }

    #[post("buy")]
    #[use_filters(StockFilter)]
    async fn buy(&self) -> Result<(), OutOfStock> {
        Err(OutOfStock { left: 3 })
    }

    #[sse("live")]
    #[use_interceptors(MethodInterceptor, Cached)]
    fn live(&self, #[query] fail: Option<bool>) -> Result<impl Stream<Item = SseEvent>, HttpError> {
        if fail == Some(true) {
            return Err(HttpError::conflict("no stream"));
        }
        Ok(stream! { yield SseEvent::json(1); })
    }
}

#[server(
    prefix = "api",
    controllers = [Shop],
    guards = [ServerGuard],
    interceptors = [ServerInterceptor],
    body_limit = 10,
    sse(enabled = true),
)]
struct App;

fn app() -> (TestApp, Journal) {
    let journal = Journal::default();
    let app = TestApp::builder(App)
        .provide(journal.clone())
        .start()
        .unwrap();
    (app, journal)
}

#[tokio::test]
async fn guards_interceptors_and_the_handler_run_outer_to_inner() {
    let (app, journal) = app();
    let response = app.get("/api/shop/7").await;
    assert_eq!(response.json::<serde_json::Value>(), json!({ "inner": 7 }));
    assert_eq!(
        journal.notes(),
        [
            "server guard",
            "controller guard",
            "method guard",
            "server before",
            "controller before",
            "method before",
            "method after 200 /api/shop/{id}",
            "controller after 200 /api/shop/{id}",
            "server after 200 /api/shop/{id}",
        ]
    );
}

#[tokio::test]
async fn a_guards_refusal_skips_the_handler_and_reaches_filters() {
    let (app, journal) = app();
    let response = app
        .get("/api/shop/7")
        .header("x-refuse", "controller")
        .await;
    assert_eq!(
        (response.status(), response.text().as_str()),
        (StatusCode::FORBIDDEN, "last: refused by the controller")
    );
    assert_eq!(journal.notes(), ["server guard", "controller guard"]);
}

#[tokio::test]
async fn an_interceptor_may_change_the_response_or_answer_itself() {
    let (app, journal) = app();
    assert_eq!(app.get("/api/shop/7").await.header("x-took"), "0");
    let cached = app
        .get("/api/shop/not-even-a-number")
        .header("x-cached", "1")
        .await;
    assert_eq!(cached.text(), "cached");
    assert_eq!(journal.count("method after 200 /api/shop/{id}"), 2);
}

#[tokio::test]
async fn errors_pass_the_interceptors_to_the_first_matching_filter() {
    let (app, journal) = app();
    let stock = app.post("/api/shop/buy").await;
    assert_eq!(
        (stock.status(), stock.text().as_str()),
        (StatusCode::CONFLICT, "/api/shop/buy: try 3 instead")
    );
    assert_eq!(journal.count("controller after 409 /api/shop/buy"), 1);
    assert_eq!(app.get("/api/shop/0").await.text(), "last: zero");
    let gone = app.get("/api/shop/1").await;
    assert_eq!(
        (gone.status().as_u16(), gone.header("content-type")),
        (404, "application/problem+json")
    );
    let unbound = app.get("/api/shop/x").await;
    assert_eq!(
        unbound.text(),
        "last: path parameter `id`: expected a whole number, not below 0"
    );
}

#[tokio::test]
async fn streams_pass_through_all_of_it_before_their_head_leaves() {
    let (app, journal) = app();
    let mut stream = app.sse("/api/shop/live").await;
    assert_eq!(stream.headers()["x-took"], "0");
    assert_eq!(stream.next().await.unwrap().data, r#"{"inner":1}"#);
    assert_eq!(journal.count("server after 200 /api/shop/live"), 1);
    let failed = app.get("/api/shop/live?fail=true").await;
    assert_eq!(
        (failed.status().as_u16(), failed.text().as_str()),
        (409, "last: no stream")
    );
}

#[tokio::test]
async fn an_error_format_sees_the_request_but_no_internals() {
    let app = TestApp::builder(Failing)
        .configure(|app| {
            app.error_format(|error| {
                let cause = std::error::Error::source(&**error).map(ToString::to_string);
                let request = error.request();
                let asked = format!("{} {}", request.uri(), request.route());
                format!("{error} {error:?} {} {cause:?} {asked}", error.detail()).into_response()
            })
        })
        .start()
        .unwrap();
    for (path, route) in [
        ("/failing/7", "/failing/{id}"),
        ("/failing/0", "/failing/{id}"),
        ("/nowhere", ""),
    ] {
        let text = app.get(path).await.text();
        assert!(text.ends_with(&format!("{path} {route}")), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[derive(Injectable)]
struct FailingRoutes;

#[controller(prefix = "failing")]
impl FailingRoutes {
    #[get("{id}")]
    fn fail(&self, #[param] id: u8) -> Result<String, HttpError> {
        assert_ne!(id, 0, "the secret is 42");
        Err(HttpError::internal("the secret is 42").with_source("secret"))
    }
}

#[server(controllers = [FailingRoutes])]
struct Failing;

#[tokio::test]
async fn the_apps_error_format_can_be_changed_in_one_place() {
    let app = TestApp::builder(App)
        .provide(Journal::default())
        .configure(|app| {
            app.error_format(|error| {
                (error.status(), format!("!{}", error.status())).into_response()
            })
        })
        .start()
        .unwrap();
    for (request, status) in [(app.get("/nowhere"), 404), (app.delete("/api/shop/7"), 405)] {
        let response = TestRequest::into_future(request).await;
        assert_eq!(response.status(), status);
        assert!(response.text().starts_with('!'), "{}", response.text());
    }
}
