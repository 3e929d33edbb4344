//! The shared list of `examples/htmx.rs`: the fragments that each page gets, and their escaping.
#![allow(clippy::unwrap_used)]

#[path = "../examples/htmx.rs"]
#[allow(dead_code)]
mod htmx;

use helios::testing::{TestApp, TestRequest, TestResponse, TestStream};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

async fn add(app: &TestApp, text: &str) -> TestResponse {
    posted(app.post("/todos"), text).await
}

fn posted(request: TestRequest, text: &str) -> TestRequest {
    let text = utf8_percent_encode(text, NON_ALPHANUMERIC);
    request.content("application/x-www-form-urlencoded", format!("text={text}"))
}

/// Returns the next fragment, without white space between lines.
async fn told(page: &mut TestStream) -> String {
    loop {
        let event = page.next().await.unwrap();
        if event.event == "message" {
            break event.data.lines().map(str::trim).collect();
        }
    }
}

fn item(id: u64, attributes: &str, checked: &str, text: &str) -> String {
    let label = format!(
        r#"<label><input type="checkbox" hx-patch="/todos/{id}"{checked}> <span>{text}</span></label>"#
    );
    let button = format!(
        r#"<button class="plain" hx-delete="/todos/{id}" aria-label="Delete {text}">Delete</button>"#
    );
    format!(r#"<li id="todo-{id}"{attributes}>{label}{button}</li>"#)
}

fn list(how: &str, items: &str) -> String {
    format!(r#"<ul id="todos" hx-swap-oob="{how}">{items}</ul>"#)
}

#[tokio::test]
async fn every_page_gets_each_change_and_new_ones_everything() {
    let app = TestApp::start(htmx::App).unwrap();
    let (mut first, mut second) = (app.sse("/todos").await, app.sse("/todos").await);
    for page in [&mut first, &mut second] {
        assert_eq!(told(page).await, list("innerHTML", ""));
    }
    assert_eq!(add(&app, "tea").await.status(), 200);
    add(&app, "bread").await;
    assert_eq!(app.request(Method::PATCH, "/todos/0").await.status(), 200);
    assert_eq!(app.request(Method::DELETE, "/todos/1").await.status(), 200);
    for page in [&mut first, &mut second] {
        assert_eq!(told(page).await, list("beforeend", &item(0, "", "", "tea")));
        assert_eq!(
            told(page).await,
            list("beforeend", &item(1, "", "", "bread"))
        );
        let toggled = item(0, r#" hx-swap-oob="true""#, " checked", "tea");
        assert_eq!(told(page).await, toggled);
        assert_eq!(
            told(page).await,
            r#"<li id="todo-1" hx-swap-oob="delete"></li>"#
        );
    }
    let mut late = app.sse("/todos").await;
    assert_eq!(
        told(&mut late).await,
        list("innerHTML", &item(0, "", " checked", "tea"))
    );
}

#[tokio::test]
async fn what_somebody_writes_is_text_between_tags_and_in_attributes() {
    let app = TestApp::start(htmx::App).unwrap();
    let mut page = app.sse("/todos").await;
    told(&mut page).await;
    add(&app, r#"<script>"&'</script>"#).await;
    let text = "&#60;script&#62;&#34;&#38;&#39;&#60;/script&#62;";
    assert_eq!(
        told(&mut page).await,
        list("beforeend", &item(0, "", "", text))
    );
    let mut late = app.sse("/todos").await;
    assert_eq!(
        told(&mut late).await,
        list("innerHTML", &item(0, "", "", text))
    );
    // A line break does not end the event.
    add(&app, "a\r\n\r\ndata: b").await;
    assert!(told(&mut page).await.contains("<span>adata: b</span>"));
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let app = TestApp::start(htmx::App).unwrap();
    assert_eq!(add(&app, "").await.status(), 422);
    assert_eq!(add(&app, &"x".repeat(201)).await.status(), 422);
    let elsewhere = app.post("/todos").header("sec-fetch-site", "cross-site");
    assert_eq!(posted(elsewhere, "x").await.status(), 403);
    assert_eq!(app.request(Method::DELETE, "/todos/7").await.status(), 404);
    for n in 0..100 {
        assert_eq!(add(&app, &n.to_string()).await.status(), 200);
    }
    assert_eq!(add(&app, "one more").await.status(), 409);
    let mut page = app.sse("/todos").await;
    assert_eq!(told(&mut page).await.matches("<li ").count(), 100);
}
