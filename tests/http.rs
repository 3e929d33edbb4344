//! Plain routes over a real socket: routing, binding, bodies, errors, limits, guards, interceptors, start-up checks.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use helios::axum_core::response::IntoResponse;
use helios::http::{Multipart, SameOrigin};
use helios::prelude::*;
use http::Method;
use serde::{Deserialize, Serialize};
use support::{TestServer, read_to_end, within};

#[derive(Serialize, Deserialize)]
struct Item {
    id: u64,
    name: String,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Up,
    Down,
}

#[derive(Injectable)]
struct Items {
    counter: Arc<Counter>,
}

#[derive(Injectable)]
struct Counter {
    #[inject(default)]
    count: AtomicUsize,
}

#[controller(prefix = "items", controllers = [Parts])]
impl Items {
    #[get]
    fn list(&self, #[query] sort: Option<Sort>, #[query] tag: Vec<String>) -> String {
        format!("{sort:?} {tag:?}")
    }

    #[get("{id}")]
    async fn find(&self, #[param] id: u64, #[query] verbose: Option<bool>) -> Option<Item> {
        let name = format!("verbose {verbose:?}");
        (id < 100).then_some(Item { id, name })
    }

    #[post]
    #[http_code(201)]
    async fn create(&self, #[body] item: Item) -> Item {
        item
    }

    #[post("form")]
    fn form(&self, #[body(form)] item: Item) -> Item {
        item
    }

    #[post("either")]
    fn either(&self, #[body(json, form)] item: Item) -> Item {
        item
    }

    #[post("guarded")]
    #[use_guards(SameOrigin)]
    fn guarded(&self) -> &str {
        "done"
    }

    #[post("whole")]
    fn whole(&self, item: Json<Item>) -> Json<Item> {
        item
    }

    #[post("bytes")]
    fn bytes(&self, bytes: Bytes) -> usize {
        bytes.len()
    }

    #[post("text")]
    fn text(&self, text: String) -> String {
        text
    }

    #[post("upload")]
    async fn upload(&self, mut parts: Multipart) -> Result<(), HttpError> {
        while parts.next().await?.is_some() {}
        Ok(())
    }

    #[get("by-version")]
    fn by_version(&self, #[header("x-api-version")] version: u32) -> String {
        format!("v{version}")
    }

    #[get("limited")]
    fn limited(&self, #[query(default = 20)] limit: u32) -> String {
        limit.to_string()
    }

    #[get("count")]
    fn count(&self) -> usize {
        self.counter.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    #[get("teapot")]
    #[header("x-kind", "tea")]
    fn teapot(&self, #[res] res: &mut ResponseHead) -> &'static str {
        res.set_status(StatusCode::IM_A_TEAPOT);
        "short and stout"
    }

    #[get("who")]
    fn who(&self, #[req] req: &RequestContext) -> String {
        format!("{} {}", req.method(), req.route())
    }

    #[get("panics")]
    fn panics(&self) -> String {
        panic!("the secret is 42")
    }

    #[get("fails")]
    fn fails(&self) -> Result<String, HttpError> {
        Err(HttpError::internal("the secret is 42").with_source("the secret is 42"))
    }

    #[get("nothing")]
    #[http_code(204)]
    fn nothing(&self) -> &str {
        "not so much"
    }

    #[get("pairs")]
    fn pairs(&self) -> [(&str, String); 2] {
        [("a", "1".to_owned()), ("b", "2".to_owned())]
    }

    #[get("headers")]
    fn headers(&self) -> impl IntoResponse {
        ([("a", "1")], "x")
    }

    #[any("any")]
    fn any(&self, #[req] req: &RequestContext) -> String {
        req.method().to_string()
    }
}

#[derive(Injectable)]
struct Parts;

#[controller(prefix = "{id}/parts")]
impl Parts {
    #[get("{part}")]
    fn part(&self, #[param] id: u64, #[param] part: String) -> String {
        format!("{id}:{part}")
    }
}

struct KeyGuard;

impl Guard for KeyGuard {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        match request.header("x-key").map(str::to_owned) {
            Some(key) => {
                request.extensions_mut().insert(User(key));
                Ok(())
            }
            None => Err(HttpError::unauthorized("send `x-key`")),
        }
    }
}

#[derive(Clone)]
struct User(String);

#[derive(Injectable)]
struct Secrets;

#[controller(
    prefix = "secrets",
    guards = [KeyGuard],
    interceptor = |data, req, res| {
        res.set_header(http::HeaderName::from_static("x-mapped"), http::HeaderValue::from_static("yes"));
        json!({ "data": data, "path": req.uri().path() })
    },
)]
impl Secrets {
    #[get]
    fn mine(&self, #[req] req: &RequestContext) -> serde_json::Value {
        let user = req.extensions().get::<User>().map(|user| user.0.clone());
        json!({ "user": user })
    }

    #[get("text")]
    fn text(&self) -> &'static str {
        "not JSON"
    }

    #[get("missing")]
    fn missing(&self) -> Option<Item> {
        None
    }

    #[post]
    fn store(&self, #[body] _item: Item) -> StatusCode {
        StatusCode::ACCEPTED
    }
}

#[server(controllers = [Items, Secrets])]
struct App;

async fn server() -> TestServer {
    TestServer::start(Helios::new(App).provide(KeyGuard)).await
}

#[tokio::test]
async fn values_are_bound_from_path_query_and_header() {
    let server = server().await;
    let item = server.get("/items/7?verbose=true").await;
    assert_eq!(
        item.json(),
        json!({ "id": 7, "name": "verbose Some(true)" })
    );
    assert_eq!(item.header("content-type"), "application/json");
    assert_eq!(
        server.get("/items?sort=down&tag=a&tag=b%20c").await.text(),
        r#"Some(Down) ["a", "b c"]"#
    );
    assert_eq!(server.get("/items").await.text(), "None []");
    assert_eq!(server.get("/items/limited").await.text(), "20");
    assert_eq!(server.get("/items/limited?limit=5").await.text(), "5");
    let version = server
        .send(
            Method::GET,
            "/items/by-version",
            &[("x-api-version", "3")],
            "",
        )
        .await;
    assert_eq!(version.text(), "v3");
    assert_eq!(server.get("/items/7/parts/a%2Fb").await.text(), "7:a/b");
}

#[tokio::test]
async fn a_value_that_does_not_parse_is_named_and_explained() {
    let server = server().await;
    let path = server.get("/items/seven").await;
    assert_eq!(path.status, 400);
    assert_eq!(
        path.problem()["errors"],
        json!([{ "in": "path", "name": "id", "expected": "a whole number, not below 0", "got": "seven" }])
    );
    let both = server.get("/items/seven?verbose=perhaps").await.problem();
    assert_eq!(both["errors"].as_array().unwrap().len(), 2, "{both}");
    let query = server.get("/items?sort=sideways").await.problem();
    assert_eq!(query["errors"][0]["expected"], "one of `up`, `down`");
    let header = server
        .send(
            Method::GET,
            "/items/by-version",
            &[("x-api-version", "s3cret")],
            "",
        )
        .await;
    assert_eq!(header.status, 400);
    assert_eq!(
        header.problem()["errors"],
        json!([{ "in": "header", "name": "x-api-version", "expected": "a whole number from 0 to 4294967295" }]),
        "headers are not echoed"
    );
    let absent = server.get("/items/by-version").await.problem();
    assert_eq!(
        absent["errors"][0]["expected"],
        "a whole number from 0 to 4294967295, it is missing"
    );
}

#[tokio::test]
async fn a_body_is_json_or_on_request_a_form() {
    let server = server().await;
    let json = r#"{"id":1,"name":"a"}"#;
    let as_json = ("application/json; charset=utf-8", json);
    let as_form = ("application/x-www-form-urlencoded", "id=1&name=a");
    for (path, sent, status) in [
        ("/items", as_json, 201),
        ("/items", as_form, 415),
        ("/items/form", as_json, 415),
        ("/items/form", as_form, 200),
        ("/items/either", as_json, 200),
        ("/items/either", as_form, 200),
    ] {
        let answer = server.post(path, sent.0, sent.1).await;
        assert_eq!(answer.status, status, "{path} {sent:?} {}", answer.text());
        assert!(status == 415 || answer.text() == json, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_guard_refuses_requests_that_other_sites_can_send() {
    let server = server().await;
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "http://test", 200),
        ("x-of-no-browser", "1", 200),
    ] {
        let answer = server
            .send(Method::POST, "/items/guarded", &[(name, value)], "")
            .await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn bad_bodies_are_refused_with_the_status_that_says_why() {
    let server = server().await;
    let malformed = server.post("/items", "application/json", "{\"id\":").await;
    assert_eq!(malformed.problem()["status"], 400);
    let wrong = server
        .post("/items", "application/json", r#"{"id":"x","name":"a"}"#)
        .await;
    assert_eq!(wrong.problem()["status"], 422);
    assert_eq!(wrong.problem()["errors"][0]["in"], "body");
    let unknown = server.post("/items", "text/csv", "1,a").await;
    assert_eq!(unknown.problem()["status"], 415);
    let none = server.send(Method::POST, "/items", &[], "{}").await;
    assert_eq!(none.problem()["status"], 415);
    let large = server
        .post("/items", "application/json", vec![b' '; (2 << 20) + 1])
        .await;
    assert_eq!(large.problem()["status"], 413);
}

#[tokio::test]
async fn a_large_body_without_an_announced_length_is_refused_too() {
    let server = TestServer::start(Helios::new(App).provide(KeyGuard).body_limit(10)).await;
    let head = "POST /items HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let body = "transfer-encoding: chunked\r\n\r\n14\r\n                    \r\n0\r\n\r\n";
    let mut stream = server.raw(&format!("{head}{body}")).await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let server = server().await;
    let unknown = server.get("/nowhere").await;
    assert_eq!(
        (unknown.status, unknown.problem()["title"].as_str()),
        (404, Some("Not Found"))
    );
    let method = server.send(Method::DELETE, "/items", &[], "").await;
    assert_eq!(method.problem()["status"], 405);
    assert_eq!(method.header("allow"), "GET, POST, HEAD, OPTIONS");
    let options = server.send(Method::OPTIONS, "/items", &[], "").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, "GET, POST, HEAD, OPTIONS")
    );
    let patch = server.send(Method::PATCH, "/items/any", &[], "").await;
    assert_eq!(patch.text(), "PATCH");
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let server = server().await;
    let head = server.send(Method::HEAD, "/items/7", &[], "").await;
    let get = server.get("/items/7").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn a_slash_at_the_end_makes_no_difference() {
    let server = server().await;
    assert_eq!(server.get("/items/7/").await.status, 200);
    assert_eq!(server.get("/items/").await.status, 200);
    assert_eq!(server.get("/items/7//").await.status, 404);
}

#[tokio::test]
async fn percent_encoding_that_is_not_utf_8_is_refused() {
    let server = server().await;
    assert_eq!(server.get("/items/%ff").await.problem()["status"], 400);
    assert_eq!(server.get("/items?tag=%ff").await.problem()["status"], 400);
}

#[tokio::test]
async fn a_head_over_the_limit_is_431() {
    let server = server().await;
    let long = "a".repeat(100 * 1024);
    let mut stream = server
        .raw(&format!(
            "GET / HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n"
        ))
        .await;
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:.100}");
}

#[tokio::test]
async fn a_missing_double_or_invalid_host_is_400() {
    let server = server().await;
    let hosts = [
        "",
        "host: a\r\nhost: b\r\n",
        "host: a b/@\r\n",
        "host: a\r\nhost: a\r\n",
    ];
    for host in hosts {
        let request = format!("GET /items/7 HTTP/1.1\r\n{host}connection: close\r\n\r\n");
        let answer = read_to_end(&mut server.raw(&request).await).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{host:?} {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}

#[tokio::test]
async fn an_empty_host_or_none_in_http_1_0_passes() {
    let server = server().await;
    for head in [
        "HTTP/1.1\r\nhost:",
        "HTTP/1.1\r\nhost: [::1]:80",
        "HTTP/1.0\r\nx: y",
    ] {
        let request = format!("GET /items/7 {head}\r\nconnection: close\r\n\r\n");
        let answer = read_to_end(&mut server.raw(&request).await).await;
        assert!(answer.contains(" 200 OK\r\n"), "{head:?} {answer}");
    }
}

#[tokio::test]
async fn a_204_has_no_length_for_head_or_get() {
    let server = server().await;
    for method in [Method::HEAD, Method::GET] {
        let answer = server.send(method, "/items/nothing", &[], "").await;
        assert_eq!((answer.status, answer.header("content-length")), (204, ""));
        assert_eq!(answer.text(), "");
    }
}

#[tokio::test]
async fn pairs_are_json_and_headers_only_beside_something() {
    let server = server().await;
    let pairs = server.get("/items/pairs").await;
    assert_eq!(
        (pairs.text().as_str(), pairs.header("a")),
        (r#"[["a","1"],["b","2"]]"#, "")
    );
    let headers = server.get("/items/headers").await;
    assert_eq!((headers.text().as_str(), headers.header("a")), ("x", "1"));
}

#[tokio::test]
async fn a_client_that_sends_half_a_request_is_let_go() {
    let app = Helios::new(App).provide(KeyGuard);
    let server = TestServer::start(app.header_timeout(Duration::from_millis(100))).await;
    for half in ["", "P", "GET /items HTTP/1.1\r\nho"] {
        let mut stream = server.raw(half).await;
        read_to_end(&mut stream).await;
    }
}

#[tokio::test]
async fn no_timeout_is_too_long() {
    let app = Helios::new(App).provide(KeyGuard);
    let app = app
        .header_timeout(Duration::MAX)
        .body_timeout(Duration::MAX)
        .drain_deadline(Duration::MAX)
        .sse_options(|sse| sse.stuck_after = Duration::MAX);
    let server = TestServer::start(app).await;
    assert_eq!(server.get("/items/pairs").await.status, 200);
}

/// Every way in which a method accepts a body, and a body for it.
const BODIES: [(&str, &str); 5] = [
    ("/items", "application/json"),
    ("/items/whole", "application/json"),
    ("/items/bytes", "text/plain"),
    ("/items/text", "text/plain"),
    ("/items/upload", "multipart/form-data; boundary=x"),
];

#[tokio::test]
async fn a_body_announced_as_too_large_is_refused_unsent() {
    let server = server().await;
    for (path, kind) in BODIES {
        for expect in ["", "expect: 100-continue\r\n"] {
            let head =
                format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n{expect}");
            let announced = format!("{head}content-length: 999999999\r\n\r\n");
            let answer = read_to_end(&mut server.raw(&announced).await).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{path} {answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_half_a_body_is_answered_408() {
    let app = Helios::new(App).provide(KeyGuard);
    let server = TestServer::start(app.body_timeout(Duration::from_millis(100))).await;
    for (path, kind) in BODIES {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n");
        let half = format!("{head}connection: close\r\ncontent-length: 100\r\n\r\n{{");
        let answer = read_to_end(&mut server.raw(&half).await).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path} {answer}");
    }
}

#[tokio::test]
async fn guards_come_before_binding_and_hand_values_on() {
    let server = server().await;
    let refused = server
        .post("/secrets", "application/json", "not json")
        .await;
    assert_eq!(
        refused.problem()["status"],
        401,
        "the body was not even looked at"
    );
    let mine = server
        .send(Method::GET, "/secrets", &[("x-key", "ann")], "")
        .await;
    assert_eq!(
        mine.json(),
        json!({ "data": { "user": "ann" }, "path": "/secrets" })
    );
    assert_eq!(mine.header("x-mapped"), "yes");
}

#[tokio::test]
async fn the_closure_interceptor_maps_json_and_passes_everything_else() {
    let server = server().await;
    let key = [("x-key", "ann")];
    let text = server.send(Method::GET, "/secrets/text", &key, "").await;
    assert_eq!(
        (text.text().as_str(), text.header("x-mapped")),
        ("not JSON", "")
    );
    let missing = server.send(Method::GET, "/secrets/missing", &key, "").await;
    assert_eq!(missing.problem()["status"], 404, "errors are not mapped");
}

#[tokio::test]
async fn a_handler_sets_status_and_headers_through_res() {
    let server = server().await;
    let teapot = server.get("/items/teapot").await;
    assert_eq!((teapot.status, teapot.header("x-kind")), (418, "tea"));
    assert_eq!(server.get("/items/who").await.text(), "GET /items/who");
}

#[tokio::test]
async fn server_errors_and_panics_leak_nothing_and_keep_the_connection() {
    let server = server().await;
    for path in ["/items/fails", "/items/panics"] {
        let failed = server.get(path).await;
        assert_eq!(failed.problem()["status"], 500);
        assert!(!failed.text().contains("secret"), "{}", failed.text());
    }
    let two = "GET /items/panics HTTP/1.1\r\nhost: x\r\n\r\nGET /items/count HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = read_to_end(&mut server.raw(two).await).await;
    assert!(
        answers.contains("HTTP/1.1 500 ") && answers.ends_with("\r\n\r\n1"),
        "{answers}"
    );
}

#[tokio::test]
async fn singletons_are_shared_between_requests() {
    let server = server().await;
    assert_eq!(server.get("/items/count").await.text(), "1");
    assert_eq!(server.get("/items/count").await.text(), "2");
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish() {
    let server = server().await;
    let head = "POST /items HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 19\r\n\r\n";
    let mut stream = server.raw(head).await;
    assert_eq!(server.get("/items/count").await.status, 200);
    let stopping = tokio::spawn(server.stop());
    tokio::io::AsyncWriteExt::write_all(&mut stream, br#"{"id":1,"name":"a"}"#)
        .await
        .unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 201 "));
    within(stopping).await.unwrap().unwrap();
}

mod start_up {
    use super::*;

    trait Mailer: Send + Sync {}

    #[derive(Injectable)]
    struct Broken {
        #[expect(dead_code)]
        pool: Arc<Pool>,
        #[expect(dead_code)]
        mailer: Arc<dyn Mailer>,
    }

    struct Pool;

    #[controller(prefix = "broken")]
    impl Broken {
        #[get]
        fn list(&self) {}

        #[sse("live")]
        fn live(&self) -> SseStream {
            SseStream::new()
        }
    }

    #[derive(Injectable)]
    struct First;

    #[controller]
    impl First {
        #[get("same/{id}")]
        fn here(&self, #[param] id: u64) -> u64 {
            id
        }

        #[get("outer")]
        fn outer(&self, #[param(outer)] org: String) -> String {
            org
        }
    }

    #[derive(Injectable)]
    struct Second;

    #[controller(prefix = "same")]
    impl Second {
        #[get("{name}")]
        fn there(&self, #[param] name: String) -> String {
            name
        }

        #[sse]
        fn live(&self) -> SseStream {
            SseStream::new()
        }
    }

    #[server(controllers = [Broken])]
    struct Unprovided;

    #[server(controllers = [First, Second], sse(enabled = true))]
    struct Colliding;

    #[server(controllers = [Second])]
    struct WithoutSse;

    fn faults(app: Helios) -> String {
        app.into_service()
            .err()
            .expect("it must not start")
            .to_string()
    }

    #[derive(Injectable)]
    struct Ouroboros;

    #[controller(prefix = "tail", controllers = [Ouroboros])]
    impl Ouroboros {
        #[get]
        fn head(&self) {}
    }

    #[server(controllers = [Ouroboros])]
    struct Circular;

    #[test]
    fn a_controller_nested_in_itself_fails_at_start_up() {
        let text = faults(Helios::new(Circular));
        assert!(
            text.contains("the controller `Ouroboros` is nested in itself"),
            "{text}"
        );
    }

    #[test]
    fn every_missing_provider_is_listed_with_who_needs_it() {
        let text = faults(Helios::new(Unprovided));
        assert!(text.contains("`Pool`, needed by `Broken`"), "{text}");
        assert!(
            text.contains(
                "`dyn Mailer`, needed by `Broken`: call `.provide_as::<dyn Mailer>(Arc::new(..))` with a value that implements it"
            ),
            "{text}"
        );
    }

    #[test]
    fn start_up_names_the_handlers_of_colliding_routes() {
        let text = faults(Helios::new(Colliding));
        assert!(text.contains("#[param(outer)] org"), "{text}");
        assert!(
            text.contains("`First::here` and `Second::there` both answer GET /same/{name}"),
            "{text}"
        );
    }

    #[test]
    fn an_sse_route_on_a_server_without_sse_is_named() {
        let text = faults(Helios::new(WithoutSse));
        assert!(
            text.contains("`Second::live` serves events at /same"),
            "{text}"
        );
        assert!(text.contains("sse(enabled = true)"), "{text}");
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let app = Helios::new(Empty)
            .banner(false)
            .host("127.0.0.1")
            .port(port);
        let error = runtime.block_on(app.listen()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("cannot listen on 127.0.0.1:{port}")),
            "{error}"
        );
        assert!(
            error.ends_with("; give `Helios::port` another port"),
            "{error}"
        );
    }

    #[server(controllers = [])]
    struct Empty;
}

mod modules {
    use super::*;
    use helios::testing::TestApp;

    struct Title(&'static str);

    #[derive(Injectable)]
    struct Visits {
        #[inject(default)]
        count: AtomicUsize,
    }

    #[derive(Injectable)]
    struct Blog {
        title: Arc<Title>,
        visits: Arc<Visits>,
        owner: Arc<String>,
    }

    #[controller(prefix = "blog")]
    impl Blog {
        #[get]
        fn index(&self, #[param(outer)] lang: String, #[inject] again: Arc<Title>) -> String {
            assert_eq!(self.title.0, again.0);
            let count = self.visits.count.fetch_add(1, Ordering::Relaxed) + 1;
            format!(
                "{} of {} in {lang}, visit {count}",
                self.title.0, self.owner
            )
        }
    }

    fn blog(path: &str, title: &'static str) -> Module {
        Module::new(path).provide(Title(title)).controller::<Blog>()
    }

    #[server(prefix = "api", controllers = [])]
    struct Site;

    #[tokio::test]
    async fn a_module_is_used_twice_with_different_settings() {
        let app = Helios::new(Site)
            .provide("ann".to_owned())
            .module(blog("{lang}/news", "News"))
            .module(blog("{lang}/team", "Team"));
        let app = TestApp::start(app).unwrap();
        let text = async |path: &str| app.get(path).await.text();
        assert_eq!(
            text("/api/en/news/blog").await,
            "News of ann in en, visit 1"
        );
        assert_eq!(
            text("/api/de/team/blog").await,
            "Team of ann in de, visit 1"
        );
        assert_eq!(
            text("/api/en/news/blog").await,
            "News of ann in en, visit 2"
        );
    }

    #[test]
    fn start_up_reports_colliding_modules_and_what_they_lack() {
        let app = Helios::new(Site)
            .module(blog("{lang}", "A"))
            .module(blog("{locale}", "B"));
        let error = app.into_service().err().unwrap().to_string();
        assert_eq!(
            error.matches("nothing provides `String`").count(),
            2,
            "{error}"
        );
        let app = Helios::new(Site)
            .provide("ann".to_owned())
            .module(blog("{lang}", "A"))
            .module(blog("{lang}", "B"));
        let error = app.into_service().err().unwrap().to_string();
        assert!(
            error.contains(
                "`Blog::index` answers GET /api/{lang}/blog twice: list its controller once"
            ),
            "{error}"
        );
    }
}

mod uploads {
    use super::*;
    use helios::http::Multipart;
    use helios::testing::TestApp;

    #[derive(Injectable)]
    struct Uploads;

    #[controller(prefix = "uploads")]
    impl Uploads {
        #[post("{folder}/{name}")]
        async fn store(
            &self,
            Path((folder, name)): Path<(String, u8)>,
            mut parts: Multipart,
        ) -> Result<String, HttpError> {
            let mut seen = format!("{folder}/{name}");
            while let Some(part) = parts.next().await? {
                let name = part.name().unwrap_or_default().to_owned();
                let file = part.file_name().unwrap_or("-").to_owned();
                seen = format!("{seen} {name} {file} {}", part.bytes().await?.len());
            }
            Ok(seen)
        }
    }

    #[server(controllers = [Uploads], body_limit = 300)]
    struct App;

    async fn post(body: &str) -> (u16, String) {
        let app = TestApp::start(App).unwrap();
        let request = app
            .post("/uploads/a/7")
            .content("multipart/form-data; boundary=b", body.to_owned());
        let response = request.await;
        (response.status().as_u16(), response.text())
    }

    fn part(head: &str, body: &str) -> String {
        format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n")
    }

    #[tokio::test]
    async fn parts_are_read_in_turn_beside_the_whole_path() {
        let body =
            part("name=\"note\"", "hello") + &part("name=\"f\"; filename=\"a.txt\"", "1234567");
        assert_eq!(
            post(&(body + "--b--\r\n")).await,
            (200, "a/7 note - 5 f a.txt 7".to_owned())
        );
    }

    #[tokio::test]
    async fn an_oversized_malformed_or_broken_body_is_refused() {
        let large = part("name=\"f\"", &"x".repeat(1_000)) + "--b--\r\n";
        assert_eq!(post(&large).await.0, 413);
        assert_eq!(post("no parts at all").await.0, 400);
        assert_eq!(post(&part("name=\"f\"", "cut")[..50]).await.0, 400);
        let app = TestApp::start(App).unwrap();
        let wrong = app.post("/uploads/a/7").json(&1).await;
        assert_eq!(wrong.status(), 415);
        let path = app
            .post("/uploads/a/x")
            .content("multipart/form-data; boundary=b", "")
            .await;
        assert_eq!(path.status(), 400);
    }
}

mod paths {
    use std::convert::Infallible;

    use axum_core::body::Body;
    use axum_core::response::{IntoResponse, Response};
    use http::Request;

    use super::*;

    #[derive(Injectable)]
    struct Pages;

    #[controller(prefix = "größe", controllers = [Users, Files])]
    impl Pages {
        #[get("naïve")]
        fn naive(&self, #[req] request: &RequestContext) -> String {
            format!("{} {}", request.route(), request.uri().path())
        }

        #[get("~{user}")]
        fn home(&self, #[param] user: String) -> String {
            user
        }
    }

    #[derive(Injectable)]
    struct Users;

    #[controller(prefix = "users")]
    impl Users {
        #[get("new")]
        fn form(&self) -> &str {
            "form"
        }

        #[delete("{id}")]
        fn delete(&self, #[param] id: &str) -> String {
            format!("deleted {id}")
        }
    }

    #[derive(Injectable)]
    struct Files;

    #[controller(prefix = "%66iles")]
    impl Files {
        #[get("{*rest}")]
        fn file(&self, #[param] rest: String) -> String {
            format!("file {rest}")
        }
    }

    #[server(controllers = [Pages])]
    struct Site;

    async fn server() -> TestServer {
        let echo = tower::service_fn(async |request: Request<Body>| {
            let text = format!("mount {}", request.uri());
            Ok::<Response, Infallible>(text.into_response())
        });
        TestServer::start(Helios::new(Site).mount("/café", echo)).await
    }

    #[tokio::test]
    async fn every_spelling_of_a_path_matches_and_arrives_unchanged() {
        let server = server().await;
        for path in [
            "/gr%C3%B6%C3%9Fe/na%C3%AFve",
            "/gr%c3%b6%c3%9fe/na%c3%afve",
            "/%67r%C3%B6%c3%9Fe/n%61%C3%AFve/",
        ] {
            let found = server.get(path).await.text();
            assert_eq!(found, format!("/größe/naïve {path}"));
        }
        let home = async |path: &str| server.get(&format!("/gr%c3%b6%c3%9fe/{path}")).await;
        assert_eq!(home("%7Eann").await.text(), "ann");
        assert_eq!(home("~%7e%2541%2f").await.text(), "~%41/", "decoded once");
        assert_eq!(home("~%ff").await.problem()["status"], 400);
        assert_eq!(home("naive").await.status, 404);
        let mounted = server.get("/caf%c3%a9/%7ea%2fb/?q=%7e").await.text();
        assert_eq!(mounted, "mount /%7ea%2fb/?q=%7e");
    }

    #[tokio::test]
    async fn dot_segments_are_400_for_routes_and_mounts() {
        let server = server().await;
        let paths = [
            "/caf%C3%A9/../x",
            "/caf%C3%A9/%2e%2E/x",
            "/./",
            "/nowhere/.%2e",
        ];
        for path in paths {
            assert_eq!(server.get(path).await.problem()["status"], 400, "{path}");
        }
        let file = server.get("/gr%C3%B6%C3%9Fe/files/...").await;
        assert_eq!(file.text(), "file ...");
    }

    #[tokio::test]
    async fn a_verb_keeps_its_paths_beside_the_routes_of_others() {
        let server = server().await;
        let path = "/gr%C3%B6%C3%9Fe/users/new";
        let send = async |method| server.send(method, path, &[], "").await;
        assert_eq!(send(Method::DELETE).await.text(), "deleted new");
        assert_eq!(send(Method::GET).await.text(), "form");
        let refused = send(Method::PUT).await;
        assert_eq!(refused.problem()["status"], 405);
        assert_eq!(refused.header("allow"), "GET, DELETE, HEAD, OPTIONS");
        let options = send(Method::OPTIONS).await;
        assert_eq!(
            (options.status, options.header("allow")),
            (204, "GET, DELETE, HEAD, OPTIONS")
        );
        assert_eq!(send(Method::HEAD).await.header("content-length"), "4");
    }

    #[tokio::test]
    async fn a_rest_keeps_its_last_slash_and_may_be_empty() {
        let server = server().await;
        let get = async |path: &str| server.get(&format!("/gr%C3%B6%C3%9Fe/{path}")).await;
        assert_eq!(get("files/a/").await.text(), "file a/");
        assert_eq!(get("files/a/b").await.text(), "file a/b");
        assert_eq!(get("files/").await.text(), "file ");
        assert_eq!(get("files").await.status, 404);
    }

    #[test]
    fn an_impossible_prefix_is_a_fault_at_start_up() {
        for (prefix, mistake) in [("a/..", "`..`"), ("100%", "%25"), ("{id", "{name}")] {
            let module = Module::new(prefix).controller::<Users>();
            let error = Helios::new(Site).module(module).into_service().err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("`Users::form` is at"), "{prefix}: {error}");
            assert!(error.contains(mistake), "{prefix}: {error}");
        }
    }
}
