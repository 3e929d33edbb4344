//! Every kind of route, and its part of the document.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::Extension;
use garde::Validate;
use helios::Multipart;
use helios::axum_core::extract::{FromRequest, FromRequestParts, Request};
use helios::axum_core::response::{IntoResponse, Response};
use helios::http::Security;
use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use http::Method;
use http::header::{HeaderName, LOCATION};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

#[derive(Clone, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "camelCase")]
struct Order {
    #[garde(length(max = 10))]
    made_by: String,
    /// How many.
    #[serde(default)]
    #[garde(skip)]
    count: u32,
    #[garde(skip)]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    BuyNow,
    Later,
}

#[derive(Deserialize, JsonSchema, Validate)]
struct Filter {
    #[garde(length(min = 1))]
    text: String,
    #[garde(skip)]
    kind: Option<Kind>,
    #[garde(skip)]
    tags: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    year: u16,
    name: String,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct Upload {
    title: String,
}

#[derive(Serialize)]
struct Schemaless {
    id: u64,
}

#[derive(Serialize, JsonSchema)]
struct Page<T> {
    items: Vec<T>,
    next: Option<u64>,
}

#[derive(Debug, Error, HttpError)]
enum OrderError {
    #[error("gone")]
    #[http(status = 410)]
    Gone,
    #[error(transparent)]
    #[http(transparent)]
    Stock(#[from] StockError),
}

#[derive(Debug, Error, HttpError)]
#[error("sold out")]
#[http(status = 409)]
struct StockError;

struct Signed;

impl Guard for Signed {
    async fn check(&self, _: &mut RequestContext) -> Result<(), HttpError> {
        Ok(())
    }

    fn security(&self) -> Option<Security> {
        Some(Security::bearer().or(Security::cookie("session")))
    }
}

#[derive(Injectable)]
struct Orders;

#[controller(prefix = "orders")]
impl Orders {
    #[get]
    fn list(
        &self,
        #[query(default = 20)] size: u8,
        #[query] after: Option<u64>,
        #[query("kind", default = Kind::Later)] kind: Kind,
        #[query] tags: Vec<String>,
        #[header] x_trace: Option<String>,
        #[cookie] session: String,
    ) -> Json<Page<Order>> {
        let _ = (size, after, kind, tags, x_trace, session);
        Json(Page {
            items: Vec::new(),
            next: None,
        })
    }

    #[post]
    #[http_code(201)]
    fn create(&self, #[body] order: Order) -> Result<Json<Order>, OrderError> {
        match order.count {
            0 => Err(OrderError::Gone),
            1 => Err(StockError.into()),
            _ => Ok(Json(order)),
        }
    }

    #[put("{id}")]
    fn replace(&self, #[param] id: u64, order: Form<Order>) -> Option<Order> {
        (id > 0).then_some(order.0)
    }

    #[patch("{id}")]
    fn change(
        &self,
        #[param] id: Cow<'_, str>,
        order: Option<Json<Order>>,
    ) -> Result<(), HttpError> {
        let _ = (id, order);
        Ok(())
    }

    #[get("search")]
    fn search(&self, Query(filter): Query<Filter>) -> Vec<Order> {
        let _ = (filter.text, filter.kind, filter.tags);
        Vec::new()
    }

    #[get("at/{year}/{name}")]
    fn at(&self, Path(place): Path<Place>) -> String {
        format!("{}{}", place.year, place.name)
    }

    #[get("of/{year}/{name}")]
    fn of(&self, Path((year, name)): Path<(u16, String)>) -> Cow<'_, str> {
        format!("{year}{name}").into()
    }

    #[delete("{id}")]
    #[http_code(204)]
    #[use_guards(Signed)]
    #[deprecated]
    fn remove(&self, #[param] id: u64) {
        let _ = id;
    }

    #[get("files/{*rest}")]
    #[answers(200, "image/png")]
    #[answers(404)]
    fn file(&self, #[param] rest: &str) -> Response {
        let kind = [("content-type", "image/png")];
        (kind, rest.to_owned()).into_response()
    }

    #[post("files")]
    #[accepts(Upload)]
    async fn upload(&self, parts: Multipart) -> Html<&str> {
        let _ = parts;
        Html("<p>thanks</p>")
    }

    #[post("raw")]
    fn raw(&self, text: String) -> String {
        text
    }
}

#[derive(Injectable)]
struct Open;

#[controller(prefix = "open")]
impl Open {
    #[get("schemaless")]
    fn schemaless(&self) -> Json<Schemaless> {
        Json(Schemaless { id: 1 })
    }

    #[get("response")]
    fn response(&self) -> Response {
        ().into_response()
    }

    #[post("parts")]
    async fn parts(&self, parts: Multipart) {
        let _ = parts;
    }

    #[any("any")]
    fn any(&self) {}

    #[get("status")]
    fn status(&self) -> (StatusCode, Json<Kind>) {
        (StatusCode::ACCEPTED, Json(Kind::Later))
    }

    /// Text in pairs is JSON.
    #[get("pairs")]
    fn pairs(&self) -> [(&'static str, u8); 1] {
        [("a", 1)]
    }

    /// Pairs beside a status are headers, and so are those with a name of a header.
    #[get("headers/beside")]
    fn headers_beside(&self) -> Option<(StatusCode, [(&'static str, &'static str); 1])> {
        Some((StatusCode::ACCEPTED, [("x-a", "1")]))
    }

    #[get("headers/named")]
    fn headers_named(&self) -> [(HeaderName, &'static str); 1] {
        [(LOCATION, "/")]
    }

    #[get("foreign")]
    fn foreign(&self) -> Result<Json<Kind>, (StatusCode, &'static str)> {
        Ok(Json(Kind::Later))
    }

    #[get("mapped")]
    #[use_interceptors(|data, _, _| json!({ "data": data }))]
    fn mapped(&self) -> Json<Kind> {
        Json(Kind::Later)
    }
}

/// An extractor that Helios does not know.
struct Session;

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

/// An extractor that reads the body.
struct Raw;

impl<S: Sync> FromRequest<S> for Raw {
    type Rejection = Infallible;

    async fn from_request(_: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

#[derive(Injectable)]
struct Envelope;

impl Interceptor for Envelope {
    async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
        next.run(request).await
    }
}

#[derive(Injectable)]
struct Timed;

impl Interceptor for Timed {
    async fn intercept(&self, request: &mut RequestContext, next: Next<'_>) -> Reply {
        next.run(request).await
    }

    fn changes_body(&self) -> bool {
        false
    }
}

#[derive(Injectable)]
struct Others;

/// Routes with types that are not of Helios.
#[controller(prefix = "others", interceptors = [Timed])]
impl Others {
    #[get("known")]
    fn known(&self, method: Method, parts: Parts, extension: Option<Extension<u8>>) {
        let _ = (method, parts, extension);
    }

    #[get("extracted")]
    fn extracted(&self, session: Session) {
        let Session = session;
    }

    #[post("taken")]
    #[accepts(Upload)]
    fn taken(&self, raw: Raw) {
        let Raw = raw;
    }

    #[get("enveloped")]
    #[use_interceptors(Envelope)]
    fn enveloped(&self) -> Json<Kind> {
        Json(Kind::Later)
    }

    #[get("declared")]
    #[use_interceptors(Envelope)]
    #[answers(200, Kind)]
    fn declared(&self) -> Json<Kind> {
        Json(Kind::Later)
    }

    #[get("timed")]
    fn timed(&self) -> Json<Kind> {
        Json(Kind::Later)
    }
}

#[derive(Injectable)]
struct Twins;

/// The name of one method is that of the other with a word in front of it.
#[controller(prefix = "twins")]
impl Twins {
    #[get("{id}")]
    fn order(&self, #[param] id: u64) -> String {
        format!("{id}")
    }

    #[get("{id}/about")]
    fn describe_order(&self, #[param] id: u64) -> String {
        format!("about {id}")
    }

    #[get("{id}/call")]
    fn call_order(&self, #[param] id: u64) -> String {
        format!("call {id}")
    }
}

#[server(controllers = [Orders, Open, Others])]
struct App;

pub(crate) fn document() -> OpenApiDocument {
    Helios::new(App).provide(Signed).openapi_document().unwrap()
}

/// Returns the routes without open items.
pub(crate) fn orders() -> Helios {
    #[server(controllers = [Orders])]
    struct App;

    Helios::new(App).provide(Signed)
}

fn operation(path: &str, verb: &str) -> Value {
    let document = document();
    let found = &document.v3_2()["paths"][path][verb];
    assert!(found.is_object(), "{document}");
    found.clone()
}

/// Returns the schema of one parameter, and whether it is required.
fn parameter(operation: &Value, name: &str) -> (String, Value, bool) {
    let all = operation["parameters"].as_array().unwrap();
    let found = all.iter().find(|it| it["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {operation:#}"));
    let place = found["in"].as_str().unwrap().to_owned();
    (place, found["schema"].clone(), found["required"] == true)
}

fn statuses(operation: &Value) -> Vec<&str> {
    operation["responses"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn parameters_have_their_place_type_and_default() {
    let list = operation("/orders", "get");
    let (place, size, required) = parameter(&list, "size");
    assert_eq!((place.as_str(), required), ("query", false));
    assert_eq!(
        (&size["type"], &size["default"]),
        (&json!("integer"), &json!(20))
    );
    assert_eq!(size["maximum"], 255);
    assert!(!parameter(&list, "after").2);
    assert_eq!(parameter(&list, "kind").1["default"], "later");
    assert_eq!(parameter(&list, "tags").1["type"], "array");
    assert!(!parameter(&list, "tags").2);
    assert_eq!(parameter(&list, "x-trace").0, "header");
    assert_eq!(
        (
            parameter(&list, "session").0.as_str(),
            parameter(&list, "session").2
        ),
        ("cookie", true)
    );
    assert_eq!(statuses(&list), ["200", "400"]);
}

#[test]
fn a_whole_query_or_path_is_taken_apart() {
    let search = operation("/orders/search", "get");
    assert!(parameter(&search, "text").2);
    assert_eq!(parameter(&search, "text").1["minLength"], 1);
    assert!(!parameter(&search, "kind").2);
    assert!(!parameter(&search, "tags").2);
    assert_eq!(statuses(&search), ["200", "400", "422"]);
    for path in ["/orders/at/{year}/{name}", "/orders/of/{year}/{name}"] {
        let at = operation(path, "get");
        assert_eq!(parameter(&at, "year").1["type"], "integer", "{at:#}");
        assert_eq!(parameter(&at, "name").1["type"], "string");
        assert_eq!(parameter(&at, "name").0, "path");
    }
}

#[test]
fn a_body_is_read_and_sent_in_different_shapes() {
    let create = operation("/orders", "post");
    let body = &create["requestBody"];
    assert_eq!(body["required"], true);
    let taken = &body["content"]["application/json"]["schema"]["$ref"];
    let sent = &create["responses"]["201"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(
        (taken, sent),
        (
            &json!("#/components/schemas/OrderInput"),
            &json!("#/components/schemas/Order")
        )
    );
    let document = document();
    let schemas = &document.v3_2()["components"]["schemas"];
    assert_eq!(schemas["OrderInput"]["required"], json!(["madeBy", "kind"]));
    assert_eq!(
        schemas["Order"]["required"],
        json!(["madeBy", "count", "kind"])
    );
    assert_eq!(schemas["Order"]["properties"]["madeBy"]["maxLength"], 10);
    assert_eq!(
        schemas["Order"]["properties"]["count"]["description"],
        "How many."
    );
    assert!(schemas["KindInput"].is_null(), "{schemas:#}");
    assert!(
        schemas["Filter"].is_null(),
        "what nothing refers to is left out: {schemas:#}"
    );
}

#[test]
fn statuses_are_those_that_can_occur() {
    assert_eq!(
        statuses(&operation("/orders", "post")),
        ["201", "400", "409", "410", "413", "415", "422"]
    );
    assert_eq!(
        statuses(&operation("/orders/{id}", "put")),
        ["200", "400", "404", "413", "415", "422"]
    );
    assert_eq!(
        statuses(&operation("/orders/{id}", "patch")),
        ["200", "400", "413", "415", "422", "default"]
    );
    assert_eq!(
        statuses(&operation("/orders/{id}", "delete")),
        ["204", "400", "401", "403"]
    );
    // A text may not be UTF-8, and a parameter of a path neither.
    assert_eq!(
        statuses(&operation("/orders/raw", "post")),
        ["200", "400", "413"]
    );
    assert_eq!(
        statuses(&operation("/orders/files/{rest}", "get")),
        ["200", "400", "404"]
    );
    assert_eq!(
        statuses(&operation("/orders/at/{year}/{name}", "get")),
        ["200", "400"]
    );
}

#[test]
fn bodies_have_their_media_types() {
    let content = |path, verb| {
        let content = operation(path, verb)["requestBody"]["content"].clone();
        content
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        content("/orders/{id}", "put"),
        ["application/x-www-form-urlencoded"]
    );
    assert_eq!(content("/orders/raw", "post"), ["text/plain"]);
    assert_eq!(content("/orders/files", "post"), ["multipart/form-data"]);
    assert_eq!(
        operation("/orders/{id}", "patch")["requestBody"]["required"],
        false
    );
    let upload = operation("/orders/files", "post");
    let schema = &upload["requestBody"]["content"]["multipart/form-data"]["schema"];
    assert_eq!(schema["$ref"], "#/components/schemas/Upload");
    assert_eq!(
        upload["responses"]["200"]["content"]["text/html"]["schema"]["type"],
        "string"
    );
    let image = operation("/orders/files/{rest}", "get")["responses"]["200"]["content"].clone();
    assert_eq!(image, json!({ "image/png": { "schema": {} } }));
}

#[test]
fn a_guard_says_by_which_credentials_a_request_passes() {
    let remove = operation("/orders/{id}", "delete");
    assert_eq!(
        remove["security"],
        json!([{ "bearer": [] }, { "cookie-session": [] }])
    );
    assert_eq!(remove["deprecated"], true);
    let document = document();
    let schemes = &document.v3_2()["components"]["securitySchemes"];
    assert_eq!(
        schemes["bearer"],
        json!({ "type": "http", "scheme": "bearer" })
    );
    assert_eq!(
        schemes["cookie-session"],
        json!({ "type": "apiKey", "in": "cookie", "name": "session" })
    );
}

#[test]
fn pairs_are_json_or_headers_as_they_are_sent() {
    let answers = |path| operation(path, "get")["responses"].clone();
    let items = &answers("/open/pairs")["200"]["content"]["application/json"]["schema"]["items"];
    assert_eq!(items["type"], "array");
    let beside = answers("/open/headers/beside");
    assert_eq!(beside["default"].get("content"), None, "{beside}");
    assert!(beside["404"].is_object(), "{beside}");
    let named = answers("/open/headers/named");
    assert_eq!(named["200"].get("content"), None, "{named}");
}

#[test]
fn what_no_type_says_is_listed_with_what_to_write() {
    let document = document();
    let told: Vec<_> = document.unknown().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "GET /open/schemaless: the type of its answer, `Schemaless` has no schema; write `#[derive(JsonSchema)]` above `Schemaless`",
            "GET /open/response: what it answers with; write `#[answers(200, T)]`, or `#[answers(200, \"image/png\")]` for formats other than JSON",
            "POST /open/parts: which parts its body has; write `#[accepts(T)]` with a type that has a field for each part",
            "ANY /open/any: it answers every method, and an operation is of one; write a method for each that is to be shown",
            "GET /open/status: the status of its answer; return the value alone below `#[http_code(201)]`, or write `#[answers(201, T)]`",
            "GET /open/headers/beside: the status of its answer; return the value alone below `#[http_code(201)]`, or write `#[answers(201, T)]`",
            "GET /open/headers/beside: what it answers with; write `#[answers(200, T)]`, or `#[answers(200, \"image/png\")]` for formats other than JSON",
            "GET /open/headers/named: what it answers with; write `#[answers(200, T)]`, or `#[answers(200, \"image/png\")]` for formats other than JSON",
            "GET /open/foreign: what its error `(StatusCode, &str)` is answered with; derive `HttpError` on it, or write `#[answers(409, T)]`",
            "GET /open/mapped: what the closures around it make of its answer; write `#[answers(200, T)]`",
            "GET /others/extracted: what its argument `Session` reads; write `#[accepts(T)]` if that is the body, or arguments such as `#[header] name: T` for what is in the head",
            "GET /others/enveloped: what the interceptor `Envelope` makes of its answer; write `#[answers(200, T)]`, or `false` as `Interceptor::changes_body` of it",
        ]
    );
}

#[test]
fn an_own_error_format_removes_problems_from_the_document() {
    let app = Helios::new(App)
        .provide(Signed)
        .error_format(|error| error.status().into_response());
    let document = app.openapi_document().unwrap();
    let gone = &document.v3_2()["paths"]["/orders"]["post"]["responses"]["410"];
    assert_eq!(gone, &json!({ "description": "Gone" }));
    assert!(!document.to_string().contains("HeliosProblem"));
}

#[test]
fn any_names_of_methods_stand_together() {
    #[server(controllers = [Twins])]
    struct App;

    let document = Helios::new(App).openapi_document().unwrap();
    let paths = document.v3_2()["paths"].as_object().unwrap();
    let paths: Vec<_> = paths.keys().collect();
    let expected = ["/twins/{id}", "/twins/{id}/about", "/twins/{id}/call"];
    assert_eq!(paths, expected);
}
