//! What the arguments of handlers are bound from, and how a request that does not fit is refused.
#![allow(clippy::unwrap_used)]

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

#[server(controllers = [Cookies])]
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
