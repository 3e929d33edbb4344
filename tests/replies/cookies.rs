//! Cookies, from the handler that sets them to the one that reads them.

use helios::http::SameSite;
use helios::prelude::*;
use helios::testing::TestApp;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Wanted {
    name: String,
    value: String,
}

#[derive(Injectable)]
struct Cookies;

#[controller]
impl Cookies {
    #[post("set")]
    fn set(&self, #[body] wanted: Wanted, #[res] res: &mut ResponseHead) {
        res.set_cookie(Cookie::new(wanted.name, wanted.value));
    }

    #[post("read")]
    fn read(&self, #[body] name: String, #[req] req: &RequestContext) -> Option<Json<String>> {
        req.cookie(&name).map(Json)
    }

    #[post("my-cart")]
    fn set_cart(&self, #[body] value: String, #[res] res: &mut ResponseHead) {
        let cookie = Cookie::new("my cart", value).path("my shop");
        res.set_cookie(cookie.same_site(SameSite::Strict).http_only(false));
    }

    #[get("my%20shop/cart")]
    fn cart(&self, #[req] req: &RequestContext) -> Json<Option<String>> {
        Json(req.cookie("my cart"))
    }

    #[delete("my-cart")]
    fn empty_cart(&self, #[res] res: &mut ResponseHead) {
        res.set_cookie(Cookie::removal("my cart").path("/my shop"));
    }

    #[sse("stream")]
    fn stream(
        &self,
        #[cookie] user: Option<String>,
        #[res] res: &mut ResponseHead,
    ) -> impl Stream<Item = SseEvent> + use<> {
        res.set_cookie(Cookie::new("user", "björn"));
        stream! { yield SseEvent::json(user); }
    }
}

#[server(controllers = [Cookies], sse(enabled = true))]
struct App;

fn app() -> TestApp {
    TestApp::start(App).unwrap().with_cookies()
}

#[tokio::test]
async fn a_cookie_of_any_name_is_read_and_removed() {
    let app = app();
    let set = app.post("/my-cart").json(&"a lamp; x=y").await;
    assert_eq!(
        set.header("set-cookie"),
        "my%20cart=a%20lamp%3B%20x=y; Path=/my%20shop; SameSite=Strict"
    );
    let cart = app.get("/my%20shop/cart").await;
    assert_eq!(
        cart.json::<Option<String>>().as_deref(),
        Some("a lamp; x=y")
    );
    app.delete("/my-cart").await;
    assert_eq!(
        app.get("/my%20shop/cart").await.json::<Option<String>>(),
        None
    );
}

#[tokio::test]
async fn a_stream_takes_and_gives_cookies() {
    let app = app();
    for user in [None, Some("björn".to_owned())] {
        let event = app.sse("/stream").await.next().await.unwrap();
        assert_eq!(event.json::<Option<String>>().unwrap(), user);
    }
}

async fn read_back(wanted: &Wanted) -> Option<String> {
    let app = app();
    let other = Wanted {
        name: "other".to_owned(),
        value: "x".to_owned(),
    };
    for wanted in [&other, wanted] {
        assert_eq!(app.post("/set").json(wanted).await.status(), 200);
    }
    let read = app.post("/read").json(&wanted.name).await;
    (read.status() == 200).then(|| read.json())
}

/// Any text, with many of the characters that have a meaning in a header.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        "([;=,% \"\\\\]|%2[0-9a-f]|[a-zä]){0,12}"
    ]
}

proptest! {
    #[test]
    fn what_is_set_is_read_back_unchanged(start in "[a-z%; é]", rest in text(), value in text()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wanted = Wanted { name: start + &rest, value };
        let read = runtime.block_on(read_back(&wanted));
        prop_assert_eq!(read, Some(wanted.value));
    }
}
