//! Every kind of handler argument and its refusals: the status, and the `errors` of the problem.
#![allow(clippy::unwrap_used)]

use garde::Validate;
use helios::http::Multipart;
use helios::prelude::*;
use helios::testing::{TestApp, TestRequest};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Up,
    Down,
}

#[derive(Deserialize, Debug)]
struct Id(u64);

#[derive(Deserialize)]
struct Page {
    size: u8,
    #[serde(default)]
    tags: Vec<u8>,
}

impl Page {
    fn text(&self) -> String {
        format!("{} {:?}", self.size, self.tags)
    }
}

#[derive(Deserialize, Validate, Debug)]
struct Order {
    #[garde(dive)]
    lines: Vec<Line>,
}

#[derive(Deserialize, Validate, Debug)]
struct Line {
    #[garde(range(min = 1))]
    count: u32,
}

#[derive(Injectable)]
struct Values;

#[controller(prefix = "values")]
impl Values {
    #[get("number/{value}")]
    fn number(&self, #[param] value: i8) -> String {
        value.to_string()
    }

    #[get("bool/{value}")]
    fn bool(&self, #[param] value: bool) -> String {
        value.to_string()
    }

    #[get("char/{value}")]
    fn char(&self, #[param] value: char) -> String {
        value.to_string()
    }

    #[get("enum/{value}")]
    fn kind(&self, #[param] value: Sort) -> String {
        format!("{value:?}")
    }

    #[get("newtype/{value}")]
    fn newtype(&self, #[param] value: Id) -> String {
        value.0.to_string()
    }

    #[get("uuid/{value}")]
    fn uuid(&self, #[param] value: Uuid) -> String {
        value.to_string()
    }

    #[get("chrono/{value}")]
    fn chrono(&self, #[param] value: chrono::DateTime<chrono::FixedOffset>) -> String {
        format!("{value:?}")
    }

    #[get("date/{value}")]
    fn date(&self, #[param] value: chrono::NaiveDate) -> String {
        value.to_string()
    }

    #[get("time/{value}")]
    fn time(&self, #[param] value: time::Date) -> String {
        value.to_string()
    }

    #[get("ip/{value}")]
    fn ip(&self, #[param] value: std::net::IpAddr) -> String {
        value.to_string()
    }

    #[get("query/required")]
    fn required(&self, #[query] value: u8) -> String {
        value.to_string()
    }

    #[get("query/option")]
    fn option(&self, #[query] value: Option<u8>) -> String {
        format!("{value:?}")
    }

    #[get("query/vec")]
    fn vec(&self, #[query] value: Vec<u8>) -> String {
        format!("{value:?}")
    }

    #[get("query/default")]
    fn default(&self, #[query(default = 20)] value: u8) -> String {
        value.to_string()
    }

    #[get("header")]
    fn header(&self, #[header] x_value: u8) -> String {
        x_value.to_string()
    }

    #[get("header/id")]
    fn header_id(&self, #[header] x_id: Uuid) -> String {
        x_id.to_string()
    }

    #[get("cookie")]
    fn cookie(&self, #[cookie] value: u8) -> String {
        value.to_string()
    }

    #[get("whole/query")]
    fn query(&self, page: Query<Page>) -> String {
        page.0.text()
    }

    #[get("whole/path/{size}")]
    fn path(&self, page: Path<Page>) -> String {
        page.0.text()
    }

    #[get("whole/path/{a}/{b}")]
    fn tuple(&self, pair: Path<(u8, Sort)>) -> String {
        format!("{:?}", pair.0)
    }

    #[post("body")]
    fn body(&self, #[body] order: Order) -> String {
        format!("{order:?}")
    }

    #[post("json")]
    fn json(&self, order: Json<Order>) -> String {
        format!("{order:?}")
    }

    #[post("form")]
    fn form(&self, page: Form<Page>) -> String {
        page.0.text()
    }

    #[post("parts")]
    async fn parts(&self, mut parts: Multipart) -> Result<usize, HttpError> {
        let mut bytes = 0;
        while let Some(part) = parts.next().await? {
            bytes += part.bytes().await?.len();
        }
        Ok(bytes)
    }

    #[post("page")]
    fn page(&self, #[body(json, form)] page: Page) -> String {
        page.text()
    }

    #[post("all/{id}")]
    fn all(
        &self,
        #[param] id: u8,
        #[query] sort: Sort,
        #[header] x_value: u8,
        #[cookie] value: u8,
        #[body] order: Order,
    ) -> String {
        format!("{id} {sort:?} {x_value} {value} {order:?}")
    }
}

#[server(controllers = [Values], body_limit = 40)]
struct App;

fn app() -> TestApp {
    TestApp::start(App).unwrap()
}

/// Returns the status and the problem's `errors`. There must always be a detail.
async fn refused(request: TestRequest) -> (u16, Value) {
    let response = request.await;
    assert_eq!(
        response.header("content-type"),
        "application/problem+json",
        "{}",
        response.text()
    );
    let problem: Value = response.json();
    let status = response.status().as_u16();
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].is_string(), "{problem}");
    (status, problem["errors"].clone())
}

#[tokio::test]
async fn a_value_is_whatever_serde_reads_from_a_text() {
    let app = app();
    let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let uuid = (format!("uuid/{uuid}"), uuid.to_owned());
    let table = [
        ("number/-7", "-7"),
        ("bool/true", "true"),
        ("char/%C3%AB", "ë"),
        ("enum/down", "Down"),
        ("newtype/7", "7"),
        (&uuid.0, &uuid.1),
        (
            "chrono/2026-02-03T04:05:06%2B01:00",
            "2026-02-03T04:05:06+01:00",
        ),
        ("date/2026-02-03", "2026-02-03"),
        ("time/2026-02-03", "2026-02-03"),
        ("ip/::1", "::1"),
        ("query/required?value=7", "7"),
        ("query/option", "None"),
        ("query/option?value=7", "Some(7)"),
        ("query/vec", "[]"),
        ("query/vec?value=7&other=1&value=8", "[7, 8]"),
        ("query/default", "20"),
        ("query/default?value=7", "7"),
        ("whole/query?size=7&tags=1&tags=2", "7 [1, 2]"),
        ("whole/path/7", "7 []"),
        ("whole/path/7/up", "(7, Up)"),
    ];
    for (path, expected) in table {
        let response = app.get(&format!("/values/{path}")).await;
        assert_eq!(response.text(), expected, "{path}");
    }
}

/// Path, part, name, what is expected (unless a library words it), and what is echoed.
type RefusedValue = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

#[rustfmt::skip]
const REFUSED_VALUES: &[RefusedValue] = &[
    ("number/128", "path", "value", "a whole number from -128 to 127", Some("128")),
    ("bool/yes", "path", "value", "true or false", Some("yes")),
    ("char/ab", "path", "value", "one character", Some("ab")),
    ("enum/Up", "path", "value", "one of `up`, `down`", Some("Up")),
    ("newtype/x", "path", "value", "a whole number, not below 0", Some("x")),
    ("uuid/7", "path", "value", "", Some("7")),
    ("chrono/today", "path", "value", "", Some("today")),
    ("date/2026-02-30", "path", "value", "", Some("2026-02-30")),
    ("time/2026-02-30", "path", "value", "", Some("2026-02-30")),
    ("ip/localhost", "path", "value", "", Some("localhost")),
    ("query/required", "query", "value", "a whole number from 0 to 255, it is missing", None),
    ("query/required?value=", "query", "value", "a whole number from 0 to 255", Some("")),
    ("query/required?value=256", "query", "value", "a whole number from 0 to 255", Some("256")),
    ("query/required?value=1&value=2", "query", "value", "a whole number from 0 to 255, it is given more than once", Some("1, 2")),
    ("query/option?value=x", "query", "value", "a whole number from 0 to 255", Some("x")),
    ("query/vec?value=1&value=x", "query", "value", "a whole number from 0 to 255", Some("1, x")),
    ("query/default?value=x", "query", "value", "a whole number from 0 to 255", Some("x")),
    ("whole/query?size=x", "query", "size", "a whole number from 0 to 255", Some("x")),
    ("whole/query?size=7&tags=1&tags=x", "query", "tags[1]", "a whole number from 0 to 255", Some("1, x")),
    ("whole/query", "query", "size", "a whole number from 0 to 255, it is missing", None),
    ("whole/path/x", "path", "size", "a whole number from 0 to 255", Some("x")),
    ("whole/path/7/x", "path", "[1]", "one of `up`, `down`", None),
];

#[tokio::test]
async fn a_bad_path_or_query_value_is_named_and_echoed() {
    let app = app();
    for &(path, part, name, expected, got) in REFUSED_VALUES {
        let (status, errors) = refused(app.get(&format!("/values/{path}"))).await;
        assert_eq!(status, 400, "{path}");
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{path}: {errors}");
        let error = &errors[0];
        assert_eq!(
            (&error["in"], &error["name"]),
            (&json!(part), &json!(name)),
            "{path}"
        );
        let told = error["expected"].as_str().unwrap();
        assert!(
            !told.is_empty() && (expected.is_empty() || told == expected),
            "{path}: {told}"
        );
        assert_eq!(
            error.get("got"),
            got.map(|got| json!(got)).as_ref(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_bad_header_or_cookie_is_named_and_never_echoed() {
    let app = app();
    let table = [
        (
            "header",
            "x-value",
            "256",
            "x-value",
            "a whole number from 0 to 255",
        ),
        (
            "header",
            "other",
            "1",
            "x-value",
            "a whole number from 0 to 255, it is missing",
        ),
        (
            "cookie",
            "cookie",
            "value=256",
            "value",
            "a whole number from 0 to 255",
        ),
        (
            "cookie",
            "cookie",
            "other=1",
            "value",
            "a whole number from 0 to 255, it is missing",
        ),
        ("header/id", "x-id", "secret", "x-id", "a valid value"),
    ];
    for (part, header, text, name, expected) in table {
        let request = app.get(&format!("/values/{part}")).header(header, text);
        let part = part.trim_end_matches("/id");
        let (status, errors) = refused(request).await;
        assert_eq!(status, 400, "{part} {text}");
        assert_eq!(
            errors,
            json!([{ "in": part, "name": name, "expected": expected }])
        );
    }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PARTS: &str = "multipart/form-data; boundary=b";
/// Over the limit.
const LARGE_PART: &str =
    "--b\r\ncontent-disposition: form-data; name=\"f\"\r\n\r\nhello\r\n--b--\r\n";
/// Over the limit.
const LARGE: &str = r#"{"lines":[{"count":1},{"count":2},{"count":3}]}"#;

/// Path, content type, body, status, and the reported part and name.
type RefusedBody = (
    &'static str,
    &'static str,
    &'static str,
    u16,
    Option<(&'static str, &'static str)>,
);

#[rustfmt::skip]
const REFUSED_BODIES: &[RefusedBody] = &[
    ("body", "text/csv", "1,2", 415, Some(("header", "content-type"))),
    ("body", "", "{}", 415, Some(("header", "content-type"))),
    ("json", FORM, "lines=1", 415, Some(("header", "content-type"))),
    ("form", JSON, "{}", 415, Some(("header", "content-type"))),
    ("body", JSON, "{\"lines\":", 400, Some(("body", ""))),
    ("json", JSON, "", 400, Some(("body", ""))),
    ("body", JSON, "[]", 422, Some(("body", ""))),
    ("body", JSON, "{\"lines\":[{\"count\":\"x\"}]}", 422, Some(("body", "lines[0].count"))),
    ("json", JSON, "{\"lines\":[{\"count\":1},{}]}", 422, Some(("body", "lines[1].count"))),
    ("page", FORM, "size=x", 422, Some(("body", "size"))),
    ("form", FORM, "size=7&tags=x", 422, Some(("body", "tags[0]"))),
    ("form", FORM, "", 422, Some(("body", "size"))),
    ("parts", JSON, "{}", 415, Some(("header", "content-type"))),
    ("parts", "multipart/form-data", "", 415, Some(("header", "content-type"))),
    ("parts", PARTS, "no parts", 400, None),
    ("parts", PARTS, LARGE_PART, 413, None),
    ("body", JSON, LARGE, 413, None),
    ("json", JSON, LARGE, 413, None),
    ("form", FORM, LARGE, 413, None),
    ("body", JSON, "{\"lines\":[{\"count\":0}]}", 422, Some(("body", "lines[0].count"))),
    ("json", JSON, "{\"lines\":[{\"count\":0}]}", 422, Some(("body", "lines[0].count"))),
];

#[tokio::test]
async fn a_bad_body_gets_its_status_and_the_faults_path() {
    let app = app();
    for &(path, kind, body, expected, fault) in REFUSED_BODIES {
        let request = app.post(&format!("/values/{path}"));
        let request = match kind {
            "" => request,
            kind => request.content(kind, body.to_owned()),
        };
        let (status, errors) = refused(request).await;
        assert_eq!(status, expected, "{path} {body}: {errors}");
        let told = &errors[0];
        match fault {
            Some((part, name)) => {
                assert_eq!(
                    (&told["in"], &told["name"]),
                    (&json!(part), &json!(name)),
                    "{path} {body}"
                );
                assert!(told.get("got").is_none(), "{told}");
            }
            None => assert!(errors.is_null(), "{path} {body}: {errors}"),
        }
    }
}

#[tokio::test]
async fn all_faults_of_a_request_are_reported_at_once() {
    let request = app()
        .request(Method::POST, "/values/all/x?sort=sideways")
        .header("x-value", "secret")
        .header("cookie", "value=secret")
        .json(&json!({ "lines": [{ "count": 0 }] }));
    let (status, errors) = refused(request).await;
    assert_eq!(status, 400);
    assert_eq!(
        errors,
        json!([
            { "in": "path", "name": "id", "expected": "a whole number from 0 to 255", "got": "x" },
            { "in": "query", "name": "sort", "expected": "one of `up`, `down`", "got": "sideways" },
            { "in": "header", "name": "x-value", "expected": "a whole number from 0 to 255" },
            { "in": "cookie", "name": "value", "expected": "a whole number from 0 to 255" },
            { "in": "body", "name": "lines[0].count", "message": "lower than 1" },
        ])
    );
}
