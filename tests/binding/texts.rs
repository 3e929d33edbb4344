//! The guide's table of text conversions. All readers of text agree with each row.

use helios::prelude::*;
use helios::testing::{TestApp, TestRequest};
use serde::Deserialize;
use serde_json::Value;

macro_rules! readers {
    ($($module:ident $prefix:literal $type:ty, [$($query:tt)*] [$($serde:tt)*];)*) => {
        $(
            mod $module {
                use helios::prelude::*;
                use serde::Deserialize;

                #[derive(Deserialize)]
                struct Whole {
                    $($serde)*
                    v: $type,
                }

                #[derive(Injectable)]
                pub(super) struct Readers;

                #[controller(prefix = $prefix)]
                impl Readers {
                    #[get("single")]
                    fn single(&self, $($query)* v: $type) -> String {
                        format!("{v:?}")
                    }

                    #[get("query")]
                    fn query(&self, Query(whole): Query<Whole>) -> String {
                        format!("{:?}", whole.v)
                    }

                    #[post("form")]
                    fn form(&self, Form(whole): Form<Whole>) -> String {
                        format!("{:?}", whole.v)
                    }

                    #[get("path/{*v}")]
                    fn path(&self, Path(whole): Path<Whole>) -> String {
                        format!("{:?}", whole.v)
                    }
                }
            }
        )*
    };
}

fn seven() -> u32 {
    7
}

fn text() -> String {
    "a".to_owned()
}

readers! {
    of_text "text" String, [#[query]] [];
    of_number "number" u32, [#[query]] [];
    of_truth "truth" bool, [#[query]] [];
    of_optional_text "optional/text" Option<String>, [#[query]] [];
    of_optional_number "optional/number" Option<u32>, [#[query]] [];
    of_optional_truth "optional/truth" Option<bool>, [#[query]] [];
    of_texts "texts" Vec<String>, [#[query]] [];
    of_numbers "numbers" Vec<u32>, [#[query]] [];
    of_default_number "default/number" u32, [#[query(default = 7)]] [#[serde(default = "super::seven")]];
    of_default_text "default/text" String, [#[query(default = "a".to_owned())]] [#[serde(default = "super::text")]];
}

/// The guide's names of types, and the fields here that have these types.
const TYPES: &[(&str, &str)] = &[
    ("`String`", "text"),
    ("`u32`", "number"),
    ("`bool`", "truth"),
    ("`Option<String>`", "optional/text"),
    ("`Option<u32>`", "optional/number"),
    ("`Option<bool>`", "optional/truth"),
    ("`Vec<String>`", "texts"),
    ("`Vec<u32>`", "numbers"),
    ("`u32`, default `7`", "default/number"),
    ("`String`, default `a`", "default/text"),
];

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Injectable)]
struct Others;

#[derive(Deserialize, Debug)]
struct Listing {
    sort: String,
    #[serde(flatten)]
    paging: Paging,
}

#[derive(Deserialize, Debug)]
struct Paging {
    limit: u32,
    factor: Option<f64>,
    all: Option<bool>,
    tag: Vec<String>,
}

#[controller(prefix = "others")]
impl Others {
    #[get("listing")]
    fn listing(&self, Query(listing): Query<Listing>) -> String {
        let Listing { sort, paging } = listing;
        let Paging {
            limit,
            factor,
            all,
            tag,
        } = paging;
        format!("{sort} {limit} {factor:?} {all:?} {tag:?}")
    }

    #[post("body")]
    fn body(&self, #[body(form)] listing: Listing) -> String {
        format!("{listing:?}")
    }
}

#[server(controllers = [
    of_text::Readers, of_number::Readers, of_truth::Readers, of_optional_text::Readers,
    of_optional_number::Readers, of_optional_truth::Readers, of_texts::Readers, of_numbers::Readers,
    of_default_number::Readers, of_default_text::Readers, Others
])]
struct App;

/// Returns the rows of the guide's table, cell by cell.
fn rows() -> Vec<Vec<&'static str>> {
    let guide = include_str!("../../src/guide/controllers.md");
    let lines = guide
        .lines()
        .skip_while(|line| !line.starts_with("| type of `v`"));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    rows.map(cells).collect()
}

async fn check(request: TestRequest, cell: &str, refusal: u16, asked: &str) {
    let response = request.await;
    let (status, text) = (response.status().as_u16(), response.text());
    match cell {
        "refused" => {
            assert_eq!(status, refusal, "{asked}: {text}");
            let problem: Value = response.json();
            let name = problem["errors"][0]["name"].as_str().unwrap_or_default();
            let key = name.split('[').next();
            assert_eq!(key, Some("v"), "{asked}: {problem}");
        }
        cell => assert_eq!(
            (status, text.as_ref()),
            (200, cell.trim_matches('`')),
            "{asked}"
        ),
    }
}

#[tokio::test]
async fn every_reader_of_texts_holds_every_row_of_the_table() {
    let app = TestApp::start(App).unwrap();
    let rows = rows();
    assert_eq!(rows.len(), TYPES.len());
    for row in rows {
        let of_row = |(name, _): &&(&str, &str)| *name == row[0];
        let (_, prefix) = TYPES.iter().find(of_row).unwrap();
        let repeated = match prefix.ends_with("truth") {
            true => "v=true&v=false",
            false => "v=1&v=2",
        };
        for (cell, query) in row[1..].iter().zip(["", "v=", repeated, "v=%ff"]) {
            for reader in ["single", "query"] {
                let path = format!("/{prefix}/{reader}?{query}");
                check(app.get(&path), cell, 400, &path).await;
            }
            let path = format!("/{prefix}/form");
            let refusal = if query == "v=%ff" { 400 } else { 422 };
            let form = app.post(&path).content(FORM, query.to_owned());
            check(form, cell, refusal, &format!("{path} {query}")).await;
        }
        let path = format!("/{prefix}/path/");
        if !prefix.ends_with('s') {
            check(app.get(&path), row[2], 400, &path).await;
        }
    }
}

#[tokio::test]
async fn a_flattened_value_is_read_as_its_own_type() {
    let app = TestApp::start(App).unwrap();
    let read = [
        ("sort=7&limit=7", "7 7 None None []"),
        (
            "limit=3&sort=&tag=1&factor=1.5&all=true",
            r#" 3 Some(1.5) Some(true) ["1"]"#,
        ),
        (
            "sort=a&limit=3&tag=1&tag=b&factor=&all=",
            r#"a 3 None None ["1", "b"]"#,
        ),
    ];
    for (query, expected) in read {
        let response = app.get(&format!("/others/listing?{query}")).await;
        assert_eq!(response.text(), expected, "{query}");
    }
    let refused = [
        ("sort=a&limit=x", "limit"),
        ("sort=a&limit=-1", "limit"),
        ("sort=a&limit=", "limit"),
        ("sort=a&limit=1&factor=x", "factor"),
        ("sort=a&limit=1&factor=NaN", "factor"),
        ("sort=a&limit=1&factor=1e999", "factor"),
        ("sort=a&limit=1&all=3", "all"),
        ("sort=a", "limit"),
        ("sort=a&limit=%ff", "limit"),
        ("limit=3", "sort"),
    ];
    for (query, name) in refused {
        let response = app.get(&format!("/others/listing?{query}")).await;
        assert_eq!(response.status(), 400, "{query}");
        let problem: Value = response.json();
        assert_eq!(problem["errors"][0]["name"], name, "{query}: {problem}");
        assert!(!response.text().contains("u32"), "{problem}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_faults_only_its_own_key() {
    let app = TestApp::start(App).unwrap();
    assert_eq!(app.get("/number/single?v=1&other=%ff").await.text(), "1");
    assert_eq!(
        app.get("/number/query?v=1&other=%ff&%ff=2").await.text(),
        "1"
    );
    let form = app.post("/others/body").content(FORM, "sort=%ff&limit=1");
    assert_eq!(form.await.status(), 400);
}
