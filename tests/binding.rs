//! The sources of handler arguments, and the refusal of requests that do not fit.
#![allow(clippy::unwrap_used)]

mod binding {
    mod header_text;
    mod never_bound;
    mod no_body;
    mod texts;
}

use axum_core::response::{IntoResponse, Response};
use garde::Validate;
use helios::prelude::*;
use helios::testing::{TestApp, TestRequest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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

#[derive(Deserialize, Serialize, Validate)]
struct Customer {
    #[garde(length(min = 2))]
    name: String,
    #[garde(dive)]
    address: Address,
    #[garde(length(max = 3), inner(ascii, length(min = 1)))]
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize, Serialize, Validate)]
struct Address {
    #[garde(length(equal = 5))]
    zip: String,
}

#[derive(Deserialize, Serialize, Validate)]
struct Page {
    #[garde(range(max = 100))]
    size: u32,
}

#[derive(Deserialize)]
struct Plain {
    name: String,
}

/// An alias does not hide its type.
type Renamed = Json<Customer>;

#[derive(Injectable)]
struct Customers;

#[controller(prefix = "customers/{size}")]
impl Customers {
    #[post]
    fn body(&self, #[body] customer: Customer) -> String {
        customer.name
    }

    #[put]
    fn json(&self, page: Query<Page>, Json(customer): Json<Customer>) -> String {
        format!("{} {}", customer.name, page.0.size)
    }

    #[patch]
    fn renamed(&self, customer: &Renamed) -> String {
        customer.0.name.clone()
    }

    #[patch("caught")]
    fn caught(&self, customer: Result<Json<Customer>, HttpError>) -> String {
        customer.map_or_else(
            |error| error.status().to_string(),
            |customer| customer.0.name,
        )
    }

    #[post("form")]
    fn form(&self, form: Form<Page>) -> String {
        form.0.size.to_string()
    }

    #[get]
    fn path(&self, path: Path<Page>) -> String {
        path.0.size.to_string()
    }

    #[post("plain")]
    fn plain(&self, #[body] plain: Plain) -> String {
        plain.name
    }

    #[post("list")]
    fn list(&self, #[body] pages: Vec<Page>) -> String {
        pages.len().to_string()
    }

    #[post("unvalidated")]
    fn unvalidated(&self, #[body(unvalidated)] customer: Customer) -> String {
        customer.name
    }

    #[get("search")]
    fn search(&self, #[body(allow_get)] page: Page) -> String {
        page.size.to_string()
    }

    #[sse("search/live")]
    async fn search_live(
        &self,
        #[body(allow_get)] page: Page,
        stream: SseStream,
    ) -> Result<(), SseError> {
        stream.send(SseEvent::json(page.size)).await
    }

    #[sse("live", method = "POST")]
    async fn live(&self, #[body] page: Page, stream: SseStream) -> Result<(), SseError> {
        stream.send(SseEvent::json(page.size)).await
    }
}

#[derive(Injectable)]
struct Generic<T> {
    #[inject(default)]
    _of: std::marker::PhantomData<fn() -> T>,
}

#[controller(prefix = "generic")]
impl<T: DeserializeOwned + Serialize + Validate<Context = ()>> Generic<T> {
    #[post]
    fn body(&self, #[body] value: T) -> Json<T> {
        Json(value)
    }

    #[put]
    fn json(&self, value: Json<T>) -> Json<T> {
        value
    }
}

#[server(controllers = [Cookies, Orders, Customers, Generic<Page>], sse(enabled = true))]
struct App;

fn app() -> TestApp {
    TestApp::start(App).unwrap()
}

/// Returns the status and the problem's `errors`.
async fn refused(request: TestRequest) -> (u16, Value) {
    let response = request.await;
    assert_eq!(response.header("content-type"), "application/problem+json");
    let problem: Value = response.json();
    assert_eq!(problem["status"], response.status().as_u16());
    (response.status().as_u16(), problem["errors"].clone())
}

#[tokio::test]
async fn a_cookie_is_found_among_others_and_in_later_headers() {
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
async fn a_bad_cookie_is_named_and_its_value_never_echoed() {
    let app = app();
    let unparsable = app
        .get("/cookies/required")
        .header("cookie", "visits=secret");
    let (status, errors) = refused(unparsable).await;
    assert_eq!(status, 400);
    assert_eq!(
        errors,
        json!([{ "in": "cookie", "name": "visits", "expected": "a whole number from 0 to 4294967295" }])
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
async fn a_derived_error_has_its_variants_status_title_and_text() {
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

fn customer(name: &str, zip: &str, tags: &[&str]) -> Value {
    json!({ "name": name, "address": { "zip": zip }, "tags": tags })
}

#[tokio::test]
async fn what_is_valid_passes() {
    let app = app();
    let valid = customer("Ada", "12345", &["a"]);
    assert_eq!(app.post("/customers/1").json(&valid).await.text(), "Ada");
    let put = app.put("/customers/1?size=100").json(&valid);
    assert_eq!(put.await.text(), "Ada 100");
    assert_eq!(app.get("/customers/100").await.text(), "100");
    assert_eq!(
        app.post("/generic")
            .json(&json!({ "size": 1 }))
            .await
            .text(),
        r#"{"size":1}"#
    );
}

#[tokio::test]
async fn a_get_with_an_optional_body_reads_and_validates_it() {
    let app = app();
    let get = |path: &str, size| app.get(path).json(&json!({ "size": size }));
    assert_eq!(get("/customers/1/search", 7).await.text(), "7");
    let live = get("/customers/1/search/live", 7).await;
    assert!(live.text().contains("data: 7\n"), "{}", live.text());
    for path in ["/customers/1/search", "/customers/1/search/live"] {
        let (status, errors) = refused(get(path, 101)).await;
        assert_eq!(
            (status, &errors[0]["name"]),
            (422, &json!("size")),
            "{path}"
        );
        assert_eq!(app.get(path).await.status(), 415, "{path}: none was sent");
    }
}

#[tokio::test]
async fn every_invalid_field_is_told_with_its_path() {
    let app = app();
    let invalid = app
        .post("/customers/1")
        .json(&customer("A", "123", &["", "b"]));
    let (status, errors) = refused(invalid).await;
    assert_eq!(status, 422);
    assert_eq!(
        errors,
        json!([
            { "in": "body", "name": "address.zip", "message": "length is lower than 5" },
            { "in": "body", "name": "name", "message": "length is lower than 2" },
            { "in": "body", "name": "tags[0]", "message": "length is lower than 1" },
        ])
    );
    let list = app
        .post("/customers/1/list")
        .json(&json!([{ "size": 1 }, { "size": 101 }]));
    let (status, errors) = refused(list).await;
    assert_eq!((status, &errors[0]["name"]), (422, &json!("[1].size")));
}

#[tokio::test]
async fn all_arguments_are_told_together() {
    let app = app();
    let both = app
        .put("/customers/1?size=101")
        .json(&customer("A", "12345", &[]));
    let (status, errors) = refused(both).await;
    assert_eq!(status, 422);
    assert_eq!(
        (
            &errors[0]["in"],
            &errors[0]["name"],
            &errors[1]["in"],
            &errors[1]["name"]
        ),
        (
            &json!("query"),
            &json!("size"),
            &json!("body"),
            &json!("name")
        )
    );
}

#[tokio::test]
async fn every_way_to_take_a_part_whole_is_validated() {
    let app = app();
    let page = json!({ "size": 101 });
    let form = app
        .post("/customers/1/form")
        .content("application/x-www-form-urlencoded", "size=101");
    let invalid = [
        (app.get("/customers/101"), "path"),
        (form, "body"),
        (
            app.patch("/customers/1").json(&customer("A", "12345", &[])),
            "body",
        ),
        (
            app.patch("/customers/1/caught")
                .json(&customer("A", "12345", &[])),
            "body",
        ),
        (app.post("/customers/1/live").json(&page), "body"),
        (app.post("/generic").json(&page), "body"),
        (app.put("/generic").json(&page), "body"),
    ];
    for (n, (request, part)) in invalid.into_iter().enumerate() {
        let (status, errors) = refused(request).await;
        assert_eq!((status, &errors[0]["in"]), (422, &json!(part)), "{n}");
    }
}

#[tokio::test]
async fn what_is_not_validated_passes_as_it_is() {
    let app = app();
    let plain = app.post("/customers/1/plain").json(&json!({ "name": "" }));
    assert_eq!(plain.await.status(), 200);
    let invalid = customer("A", "1", &[]);
    let unvalidated = app.post("/customers/1/unvalidated").json(&invalid);
    assert_eq!(unvalidated.await.text(), "A");
}

#[tokio::test]
async fn a_million_faults_are_not_all_told() {
    let pages: Vec<_> = (0..1000).map(|_| json!({ "size": 101 })).collect();
    let response = app().post("/customers/1/list").json(&pages).await;
    let problem: Value = response.json();
    let told = problem["errors"].as_array().unwrap().len();
    assert!((10..100).contains(&told), "{told}");
    assert_eq!(problem["omitted"], 1_000 - told);
}
