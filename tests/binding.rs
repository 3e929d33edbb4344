//! What the arguments of handlers are bound from, and how a request that does not fit is refused.
#![allow(clippy::unwrap_used)]

use axum_core::response::{IntoResponse, Response};
use helios::prelude::*;
use helios::testing::TestApp;
use serde_json::Value;

#[derive(Injectable)]
struct Cookies;

#[controller(prefix = "cookies")]
impl Cookies {
    #[get("required")]
    fn required(&self, #[cookie] visits: u32) -> String {
        visits.to_string()
    }

    #[get("optional")]
    fn optional(&self, #[cookie("__Host-name")] name: Option<String>) -> String {
        name.unwrap_or_else(|| "nobody".to_owned())
    }

    #[get("default")]
    fn default(&self, #[cookie("theme", default = "dark")] theme: &str) -> String {
        theme.to_owned()
    }

    #[get("two")]
    fn two(&self, #[cookie] a: u32, #[query] b: u32) -> String {
        format!("{a} {b}")
    }
}

#[derive(Debug, thiserror::Error, HttpError)]
enum OrderError {
    #[error("no order has the id {0}")]
    #[http(status = 404, title = "No such order")]
    Unknown(u64),
    #[error("it is {by}'s")]
    #[http(status = 409)]
    Taken { by: String },
    #[error("the database at {0} is gone")]
    #[http(status = 503, title = "Closed")]
    Database(String),
    #[error(transparent)]
    #[http(transparent)]
    Payment(#[from] PaymentError),
    #[error("handed on")]
    #[http(transparent)]
    Own { error: HttpError },
}

#[derive(Debug, thiserror::Error, HttpError)]
#[error("{cents} cents are missing")]
#[http(status = 402)]
struct PaymentError {
    cents: u32,
}

#[derive(Injectable)]
struct PaymentFilter;

impl Filter for PaymentFilter {
    type Error = PaymentError;

    async fn catch(&self, error: &PaymentError, _: &RequestContext) -> Result<Response, HttpError> {
        Ok((StatusCode::PAYMENT_REQUIRED, format!("pay {}", error.cents)).into_response())
    }
}

#[derive(Injectable)]
struct Orders;

#[controller(prefix = "orders")]
impl Orders {
    #[get("{id}")]
    async fn find(&self, #[param] id: u64) -> Result<(), OrderError> {
        Err(match id {
            1 => OrderError::Taken { by: "Ada".into() },
            2 => OrderError::Database("10.0.0.7".into()),
            3 => PaymentError { cents: 50 }.into(),
            4 => OrderError::Own {
                error: HttpError::gone("it was here"),
            },
            id => OrderError::Unknown(id),
        })
    }

    #[get("{id}/filtered")]
    #[use_filters(PaymentFilter)]
    async fn filtered(&self, #[param] id: u64) -> Result<(), OrderError> {
        self.find(id).await
    }
}

#[server(controllers = [Cookies, Orders])]
struct App;

fn app() -> TestApp {
    TestApp::new(App).start().unwrap()
}

/// The status and the problem's `errors`.
async fn refused(request: helios::testing::TestRequest) -> (u16, Value) {
    let response = request.await;
    assert_eq!(response.header("content-type"), "application/problem+json");
    let problem: Value = response.json();
    assert_eq!(problem["status"], response.status().as_u16());
    (response.status().as_u16(), problem["errors"].clone())
}

#[tokio::test]
async fn a_cookie_is_found_among_others_and_in_a_second_header() {
    let app = app();
    let response = app
        .get("/cookies/required")
        .header("cookie", "a=1; broken; visits=3")
        .await;
    assert_eq!(response.text(), "3");
    let response = app
        .get("/cookies/required")
        .header("cookie", "a=1")
        .header("cookie", "visits=4")
        .await;
    assert_eq!(response.text(), "4");
}

#[tokio::test]
async fn a_cookie_is_percent_decoded() {
    let response = app()
        .get("/cookies/optional")
        .header("cookie", "__Host-name=Zo%C3%AB%20%3B%20Q")
        .await;
    assert_eq!(response.text(), "Zoë ; Q");
}

#[tokio::test]
async fn an_absent_cookie_is_none_or_the_default() {
    let app = app();
    assert_eq!(app.get("/cookies/optional").await.text(), "nobody");
    assert_eq!(app.get("/cookies/default").await.text(), "dark");
    let light = app.get("/cookies/default").header("cookie", "theme=light");
    assert_eq!(light.await.text(), "light");
}

#[tokio::test]
async fn a_cookie_that_does_not_fit_is_named_and_never_echoed() {
    let app = app();
    let unparsable = app
        .get("/cookies/required")
        .header("cookie", "visits=secret");
    let (status, errors) = refused(unparsable).await;
    assert_eq!(status, 400);
    assert_eq!(
        errors,
        json!([{ "in": "cookie", "name": "visits", "expected": "u32" }])
    );
    let (status, errors) = refused(app.get("/cookies/required")).await;
    assert_eq!((status, &errors[0]["in"]), (400, &json!("cookie")));
}

#[tokio::test]
async fn every_argument_at_fault_is_told() {
    let (status, errors) = refused(app().get("/cookies/two?b=x")).await;
    assert_eq!(status, 400);
    assert_eq!(
        (&errors[0]["in"], &errors[1]["in"]),
        (&json!("cookie"), &json!("query"))
    );
}

#[tokio::test]
async fn a_derived_error_has_the_status_title_and_text_of_its_variant() {
    let app = app();
    let problem = async |path: &str| app.get(path).await.json::<Value>();
    assert_eq!(
        problem("/orders/7").await,
        json!({
            "type": "about:blank", "title": "No such order", "status": 404,
            "detail": "no order has the id 7",
        })
    );
    let taken = problem("/orders/1").await;
    assert_eq!(
        (&taken["title"], &taken["detail"]),
        (&json!("Conflict"), &json!("it is Ada's"))
    );
    assert_eq!(
        problem("/orders/2").await,
        json!({ "type": "about:blank", "title": "Closed", "status": 503 })
    );
}

#[tokio::test]
async fn a_transparent_variant_is_answered_as_its_field_is() {
    let app = app();
    let payment: Value = app.get("/orders/3").await.json();
    assert_eq!(
        (&payment["status"], &payment["detail"]),
        (&json!(402), &json!("50 cents are missing"))
    );
    assert_eq!(app.get("/orders/4").await.status(), 410);
}

#[tokio::test]
async fn filters_find_a_derived_error_by_its_type() {
    let app = app();
    assert_eq!(app.get("/orders/3/filtered").await.text(), "pay 50");
    assert_eq!(app.get("/orders/7/filtered").await.status(), 404);
}
