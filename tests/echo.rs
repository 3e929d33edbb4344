//! How much of a request an error response repeats: nothing of a body, a header or a cookie, a little of the path and
//! the query, and never more than 4 KiB.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use axum_core::body::Body;
use axum_core::extract::{FromRequest, Request};
use axum_core::response::IntoResponse;
use garde::Validate;
use helios::http::{Fault, Location, Multipart};
use helios::prelude::*;
use helios::testing::{TestApp, TestRequest, TestResponse};
use http::Method;
use http_body_util::BodyExt;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// The longest error response, in bytes.
const MOST: usize = 4_096;
/// Part of every text, and of every key, that a response must not repeat.
const SECRET: &str = "hunter2";
/// Part of every number that a response must not repeat.
const SECRET_NUMBER: i64 = 7_654_321;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PARTS: &str = "multipart/form-data; boundary=b";

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    On,
    Off,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Shape {
    Circle { radius: u8 },
    Line(u8, u8),
}

/// Its error quotes the refused text.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Password;

impl TryFrom<String> for Password {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Err(format!("`{text}` is not a password"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Limits {
    most: u8,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Account {
    n: Option<u32>,
    name: Option<String>,
    mode: Option<Mode>,
    modes: Option<Vec<Mode>>,
    shape: Option<Shape>,
    limits: Option<Limits>,
    pair: Option<(u8, u8)>,
    password: Option<Password>,
    id: Option<Uuid>,
    by_name: Option<HashMap<String, u8>>,
    by_number: Option<HashMap<u8, bool>>,
    rest: Option<Rest>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Rest {
    size: u8,
    #[serde(flatten)]
    others: HashMap<String, bool>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Page {
    size: u8,
    mode: Option<Mode>,
    tags: Option<Vec<u8>>,
    password: Option<Password>,
}

#[derive(Deserialize, Validate)]
struct Lines {
    #[garde(dive)]
    lines: Vec<Line>,
}

#[derive(Deserialize, Validate)]
struct Line {
    #[garde(length(max = 3))]
    text: String,
}

/// An extractor like those of other crates, whose rejection quotes the body.
struct Shout;

impl<S: Sync> FromRequest<S> for Shout {
    type Rejection = (StatusCode, String);

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        if request.headers().contains_key("x-quiet") {
            return Err((StatusCode::IM_A_TEAPOT, "no shouting".to_owned()));
        }
        let body: Body = request.into_body();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        Err((StatusCode::IM_A_TEAPOT, format!("no {text}")))
    }
}

#[derive(Injectable)]
struct Secrets;

#[controller(prefix = "secrets")]
impl Secrets {
    #[post("{id}/body")]
    #[allow(clippy::too_many_arguments)]
    fn body(
        &self,
        #[param] id: u8,
        #[query] mode: Mode,
        #[query] password: Option<Password>,
        #[header] x_secret: u8,
        #[header] x_id: Uuid,
        #[cookie] session: u8,
        #[cookie] token: Password,
        #[body] account: Account,
    ) {
        let _ = (id, mode, password, x_secret, x_id, session, token, account);
    }

    #[post("{id}/plain")]
    fn plain(&self, #[param] id: u8, #[body] account: Account) {
        let _ = (id, account);
    }

    #[post("{id}/json")]
    fn json(&self, id: Path<u8>, page: Query<Page>, account: Json<Account>) {
        let _ = (id, page, account);
    }

    #[post("{id}/form")]
    fn form(&self, ids: Path<HashMap<String, Uuid>>, page: Form<Page>) {
        let _ = (ids, page);
    }

    #[post("page")]
    fn page(&self, tags: Query<HashMap<String, Vec<u8>>>, #[body(json, form)] page: Page) {
        let _ = (tags, page);
    }

    #[post("lines")]
    fn lines(&self, #[body] lines: Lines) {
        let _ = lines.lines.len();
    }

    #[post("parts")]
    async fn parts(&self, mut parts: Multipart) -> Result<(), HttpError> {
        while parts.next().await?.is_some() {}
        Ok(())
    }

    #[post("shout")]
    fn shout(&self, _shout: Shout) {}
}

#[server(controllers = [Secrets])]
struct App;

fn app() -> TestApp {
    TestApp::start(App).unwrap()
}

/// Returns an app that formats errors itself, with everything that it knows of them.
fn app_with_its_own_format() -> TestApp {
    let app = Helios::new(App).error_format(|error| {
        let faults = serde_json::to_string(error.faults()).unwrap();
        let detail = serde_json::to_string(error.detail()).unwrap();
        (error.status(), format!("{detail}{faults}")).into_response()
    });
    TestApp::start(app).unwrap()
}

fn assert_small_and_silent(answer: &TestResponse) {
    let text = answer.text();
    let told: String = text.chars().take(2_000).collect();
    assert!(
        text.len() <= MOST,
        "{} bytes: {}: {told}",
        text.len(),
        answer.status()
    );
    assert!(!text.contains(SECRET), "{told}");
    assert!(!text.contains(&SECRET_NUMBER.to_string()), "{told}");
}

/// Returns the fault of a 422 with one fault: its name, and what was expected.
async fn fault_of(request: TestRequest) -> (String, String) {
    let answer = request.await;
    assert_small_and_silent(&answer);
    let problem: Value = answer.json();
    assert_eq!(problem["status"], 422, "{problem}");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
    let text = |member: &str| problem["errors"][0][member].as_str().unwrap().to_owned();
    (text("name"), text("expected"))
}

const BYTE: &str = "a whole number from 0 to 255";
const NUMBER: &str = "a whole number from 0 to 4294967295";

#[tokio::test]
async fn a_json_fault_has_its_place_but_not_its_value() {
    let app = app();
    let table = [
        (json!({ "n": SECRET }), "n", NUMBER),
        (json!({ "n": -SECRET_NUMBER }), "n", NUMBER),
        (json!({ "n": [SECRET] }), "n", NUMBER),
        (json!({ "name": SECRET_NUMBER }), "name", "a text"),
        (json!({ "mode": SECRET }), "mode", "one of `on`, `off`"),
        (
            json!({ "modes": ["on", SECRET] }),
            "modes[1]",
            "one of `on`, `off`",
        ),
        (
            json!({ "shape": { SECRET: 1 } }),
            "shape",
            "one of `circle`, `line`",
        ),
        (
            json!({ "shape": { "circle": { "radius": SECRET } } }),
            "shape.circle.radius",
            BYTE,
        ),
        (
            json!({ "shape": { "line": [1, SECRET] } }),
            "shape.line[1]",
            BYTE,
        ),
        (
            json!({ "limits": { SECRET: 1 } }),
            "limits",
            "only the field `most`",
        ),
        (
            json!({ "limits": {} }),
            "limits.most",
            "a value, it is missing",
        ),
        (json!({ "pair": [1] }), "pair", "a list of 2"),
        (json!({ "password": SECRET }), "password", "a valid value"),
        (json!({ "id": SECRET }), "id", "a valid value"),
        (json!({ "by_name": { SECRET: SECRET } }), "by_name.*", BYTE),
        (
            json!({ "rest": { "size": SECRET, SECRET: true } }),
            "rest.size",
            BYTE,
        ),
        (
            json!({ "rest": { "size": 1, SECRET: SECRET } }),
            "rest",
            "true or false",
        ),
        (json!(SECRET), "", "an object"),
    ];
    for (body, name, expected) in table {
        let told = fault_of(app.post("/secrets/1/plain").json(&body)).await;
        assert_eq!(told, (name.to_owned(), expected.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_form_fault_has_its_place_but_not_its_value() {
    let app = app();
    let table = [
        ("size=hunter2", "size", BYTE),
        (
            "size=1&size=7654321",
            "size",
            "a whole number from 0 to 255, it is given more than once",
        ),
        ("size=1&mode=hunter2", "mode", "one of `on`, `off`"),
        ("size=1&tags=1&tags=hunter2", "tags[1]", BYTE),
        ("size=1&password=hunter2", "password", "a valid value"),
        (
            "hunter2=1",
            "size",
            "a whole number from 0 to 255, it is missing",
        ),
    ];
    for (body, name, expected) in table {
        let told = fault_of(app.post("/secrets/page").content(FORM, body)).await;
        assert_eq!(told, (name.to_owned(), expected.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn broken_json_is_told_with_its_position_alone() {
    let body = format!("{{\"name\": \"{SECRET}\",\n {SECRET}");
    let answer = app().post("/secrets/1/plain").content(JSON, body).await;
    assert_small_and_silent(&answer);
    let problem: Value = answer.json();
    assert_eq!(problem["status"], 400);
    let expected = "JSON (key must be a string at line 2 column 2)";
    assert_eq!(problem["errors"][0]["expected"], expected);
}

#[tokio::test]
async fn an_extractor_that_has_read_the_body_is_not_quoted() {
    let app = app();
    let read = app.post("/secrets/shout").content("text/plain", SECRET);
    let read = read.await;
    assert_eq!(read.status(), StatusCode::IM_A_TEAPOT);
    assert_small_and_silent(&read);
    let unread = app.post("/secrets/shout").content("text/plain", SECRET);
    let unread: Value = unread.header("x-quiet", "1").await.json();
    assert_eq!(unread["detail"], "no shouting");
}

#[tokio::test]
async fn as_many_faults_as_fit_are_listed_and_others_counted() {
    let lines: Vec<_> = (0..1_000).map(|_| json!({ "text": SECRET })).collect();
    let answer = app()
        .post("/secrets/lines")
        .json(&json!({ "lines": lines }))
        .await;
    assert_small_and_silent(&answer);
    let problem: Value = answer.json();
    let told = problem["errors"].as_array().unwrap().len();
    assert!(told > 10, "{problem}");
    assert_eq!(problem["omitted"], 1_000 - told, "{problem}");
}

#[tokio::test]
async fn long_text_of_a_path_or_query_is_cut() {
    let app = app();
    let long = "%01".repeat(4_000);
    for path in [
        format!("/secrets/{long}/plain?mode={long}"),
        format!("/secrets/{long}/json?mode={long}&size={long}"),
        format!("/secrets/1/json?{long}={long}"),
        format!("/secrets/page?{long}={long}"),
        format!("/{long}"),
    ] {
        let answer = app.post(&path).json(&json!({})).await;
        assert!(answer.status().is_client_error(), "{path:.40}");
        assert_small_and_silent(&answer);
    }
}

/// Even an app's own text is cut if nothing else helps, so that the JSON stays whole.
#[test]
fn an_apps_own_error_of_any_size_is_short() {
    let long = "\u{1}\"ë".repeat(10_000);
    let mut fault = Fault::new(Location::Body, long.clone(), long.clone());
    fault.got = Some(long.clone());
    let mut error = HttpError::bad_request(long.clone()).with_title(long);
    for _ in 0..100 {
        error = error.with_fault(fault.clone());
    }
    let problem = error.to_problem_json();
    assert!(problem.len() <= MOST, "{}", problem.len());
    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert!(problem["detail"].as_str().unwrap().ends_with('…'));
    let told = problem["errors"].as_array().unwrap().len();
    assert_eq!(problem["omitted"], 100 - told);
    assert_eq!(error.faults().len(), told);
}

/// Any text, short or long, including characters that grow when they are escaped.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        2 => proptest::char::range('\0', '\u{1f}'),
        2 => select(vec!['"', '\\', '/', '[', ']', '.', '…', 'ë', '\u{1f600}']),
        1 => any::<char>(),
    ];
    let characters = vec(character, 0..40);
    (
        characters,
        prop_oneof![3 => Just(1_usize), 1 => 100..400_usize],
    )
        .prop_map(|(characters, times)| {
            let text: String = characters.into_iter().collect();
            text.repeat(times)
        })
}

fn secret() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("{SECRET}{text}"))
}

/// A key that the types know, or a secret one.
fn key() -> impl Strategy<Value = String> {
    let known = select(vec![
        "n",
        "name",
        "mode",
        "modes",
        "shape",
        "limits",
        "pair",
        "password",
        "id",
        "by_name",
        "by_number",
        "rest",
        "size",
        "circle",
        "line",
        "radius",
        "most",
        "tags",
        "lines",
        "text",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => secret()]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec![1, -SECRET_NUMBER, SECRET_NUMBER]).prop_map(Value::from),
        Just(Value::from(SECRET_NUMBER as f64 + 0.5)),
        secret().prop_map(Value::from),
        Just(Value::from("on")),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            vec((key(), inner), 0..6).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| format!("%{byte:02x}"));
    bytes.collect()
}

fn pairs(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    vec((key, value), 0..6).prop_map(|pairs| {
        let pairs = pairs.iter();
        let pairs: Vec<_> = pairs
            .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
            .collect();
        pairs.join("&")
    })
}

fn body() -> impl Strategy<Value = (&'static str, String)> {
    let parts = (secret(), secret()).prop_map(|(name, text)| {
        format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}")
    });
    prop_oneof![
        4 => json().prop_map(|body| (JSON, body.to_string())),
        1 => (json(), 0..100_usize).prop_map(|(body, cut)| {
            let cut = body.to_string().chars().take(cut).collect();
            (JSON, cut)
        }),
        1 => secret().prop_map(|text| (JSON, text)),
        3 => pairs(key(), secret()).prop_map(|body| (FORM, body)),
        1 => parts.prop_map(|body| (PARTS, body)),
        1 => secret().prop_map(|text| ("text/plain", text)),
    ]
}

#[derive(Clone, Debug)]
struct Asked {
    path: String,
    headers: Vec<(&'static str, String)>,
    kind: &'static str,
    body: String,
}

fn asked() -> impl Strategy<Value = Asked> {
    let route = select(vec![
        "{id}/body",
        "{id}/plain",
        "{id}/json",
        "{id}/form",
        "{id}",
        "page",
        "lines",
        "parts",
        "shout",
    ]);
    // A request target has at most 64 KiB.
    let short = || text().prop_map(|text| text.chars().take(1_000).collect::<String>());
    let id = prop_oneof![1 => Just("1".to_owned()), 1 => short().prop_map(|id| encoded(&id))];
    let name = prop_oneof![
        2 => select(vec!["size", "mode", "tags", "password"]).prop_map(str::to_owned),
        1 => short(),
    ];
    let visible = || "[ -~]{0,200}".prop_map(|text| format!("{SECRET}{text}"));
    let headers = (
        option::of(visible()),
        option::of(visible()),
        option::of(visible()),
    );
    (id, route, pairs(name, short()), headers, body()).prop_map(
        |(id, route, query, (secret, other, cookie), (kind, body))| {
            let cookie = cookie.map(|value| format!("session={value}; token={value}"));
            let headers = [("x-secret", secret), ("x-id", other), ("cookie", cookie)];
            let headers = headers.into_iter();
            Asked {
                path: format!("/secrets/{}?{query}", route.replace("{id}", &id)),
                headers: headers
                    .filter_map(|(name, value)| Some((name, value?)))
                    .collect(),
                kind,
                body,
            }
        },
    )
}

/// Sends requests of every kind, with secrets wherever a response must not repeat them.
fn ask_anything(app: &TestApp) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    proptest!(ProptestConfig::with_cases(256), |(asked in asked())| {
        let mut request = app.request(Method::POST, &asked.path);
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        let answer = runtime.block_on(request.content(asked.kind, asked.body.clone()).into_future());
        prop_assert!(!answer.status().is_server_error(), "{}", answer.status());
        assert_small_and_silent(&answer);
    });
}

#[test]
fn no_request_causes_a_large_response_or_a_leak() {
    ask_anything(&app());
}

#[test]
fn an_error_format_is_told_no_more() {
    ask_anything(&app_with_its_own_format());
}
