//! Parameters and bodies, as the server reads them.

use std::collections::HashMap;

use garde::Validate;
use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use helios::testing::TestApp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize, JsonSchema)]
struct ByName {
    name: String,
    exact: bool,
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: u32,
    exact: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "lowercase")]
enum Search {
    Name(ByName),
    Id(ById),
}

#[derive(Deserialize, JsonSchema)]
struct Paged {
    page: u32,
    #[serde(flatten)]
    search: Search,
}

#[derive(Deserialize, JsonSchema)]
struct Tags(Vec<String>);

#[derive(Deserialize, JsonSchema)]
struct Labels(Tags);

#[derive(Deserialize, JsonSchema)]
struct Limit(Option<u32>);

#[derive(Debug, Deserialize, JsonSchema)]
enum Order {
    Up,
    Down,
}

#[derive(Deserialize, JsonSchema)]
struct Ordered(Option<Order>);

#[derive(Deserialize, JsonSchema, Validate)]
struct Lists {
    #[garde(skip)]
    point: (f64, f64),
    #[garde(skip)]
    corners: [f64; 4],
    #[garde(length(min = 1))]
    some: Vec<u32>,
    #[garde(skip)]
    any: Vec<u32>,
    #[garde(skip)]
    tags: Tags,
    #[garde(skip)]
    labels: Labels,
    #[garde(skip)]
    limit: Limit,
    #[garde(skip)]
    order: Ordered,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Numbers(HashMap<String, u32>);

#[derive(Deserialize, JsonSchema)]
struct Listed {
    ids: Vec<u32>,
    name: String,
}

#[derive(Injectable)]
struct Inputs;

#[controller]
impl Inputs {
    #[get("search")]
    fn search(&self, Query(search): Query<Search>) -> String {
        found(search)
    }

    #[get("paged")]
    fn paged(&self, Query(Paged { page, search }): Query<Paged>) -> String {
        format!("{page} {}", found(search))
    }

    #[get("lists")]
    fn lists(&self, Query(lists): Query<Lists>) -> String {
        let Lists {
            point,
            corners,
            some,
            any,
            tags,
            labels,
            limit,
            order,
        } = lists;
        format!(
            "{point:?} {corners:?} {some:?} {any:?} {:?} {:?} {:?} {:?}",
            tags.0, labels.0.0, limit.0, order.0
        )
    }
}

fn found(search: Search) -> String {
    match search {
        Search::Name(ByName { name, exact }) => format!("{name} {exact}"),
        Search::Id(ById { id, exact }) => format!("{id} {exact}"),
    }
}

#[derive(Injectable)]
struct Paths;

#[controller(prefix = "paths")]
impl Paths {
    #[get("map/{a}/{b}")]
    fn map(&self, Path(map): Path<HashMap<String, u32>>) -> String {
        format!("{} {}", map["a"], map["b"])
    }

    #[get("newtype/{a}/{b}")]
    fn newtype(&self, Path(Numbers(map)): Path<Numbers>) -> String {
        format!("{} {}", map["a"], map["b"])
    }

    #[get("list/{a}/{b}")]
    fn list(&self, Path(list): Path<Vec<u32>>) -> String {
        format!("{list:?}")
    }

    #[get("array/{a}/{b}")]
    fn array(&self, Path(array): Path<[u32; 2]>) -> String {
        format!("{array:?}")
    }
}

#[derive(Injectable)]
struct Bodies;

#[controller(prefix = "bodies")]
impl Bodies {
    #[post("json")]
    fn json(&self, Json(note): Json<Option<Note>>) -> String {
        note.map_or_else(String::new, |note| note.text)
    }

    #[post("form")]
    fn form(&self, Form(note): Form<Option<Note>>) -> String {
        note.map_or_else(String::new, |note| note.text)
    }

    #[post("needed")]
    fn needed(&self, Json(note): Json<Note>) -> String {
        note.text
    }
}

#[derive(Injectable)]
struct Repeated;

#[controller(prefix = "repeated")]
impl Repeated {
    #[get("head")]
    fn head(&self, #[header] x_id: Vec<u32>, #[cookie] id: Vec<u32>) -> String {
        format!("{x_id:?} {id:?}")
    }

    #[get("path/{ids}")]
    fn path(&self, #[param] ids: Vec<u32>) -> String {
        format!("{ids:?}")
    }

    #[get("whole/{ids}/{name}")]
    fn whole(&self, Path(Listed { ids, name }): Path<Listed>) -> String {
        format!("{ids:?} {name}")
    }

    #[get("pair")]
    fn pair(&self, #[header] x_id: (u32, u32)) -> String {
        format!("{x_id:?}")
    }
}

#[server(controllers = [Inputs, Paths, Bodies, Repeated])]
struct App;

pub(crate) fn app() -> Helios {
    Helios::new(App)
}

fn document() -> OpenApiDocument {
    app().openapi_document().unwrap()
}

/// Returns the schema of each parameter, and whether it is required.
fn parameters(path: &str) -> Vec<(String, Value, bool)> {
    let document = document();
    let all = document.v3_2()["paths"][path]["get"]["parameters"].as_array();
    let told = |it: &Value| {
        let name = it["name"].as_str().unwrap().to_owned();
        (name, it["schema"].clone(), it["required"] == true)
    };
    all.unwrap().iter().map(told).collect()
}

fn required(path: &str) -> Vec<String> {
    let parameters = parameters(path).into_iter();
    let required = parameters.filter(|(.., required)| *required);
    required.map(|(name, ..)| name).collect()
}

async fn status(path: &str) -> u16 {
    let app = TestApp::start(App).unwrap();
    app.get(path).await.status().as_u16()
}

#[tokio::test]
async fn the_tag_of_an_enum_is_required_and_so_is_each_field_of_all_its_variants() {
    let of_each = ["by", "exact"];
    assert_eq!(required("/search"), of_each);
    let search = parameters("/search");
    let (_, tag, _) = search.iter().find(|(name, ..)| name == "by").unwrap();
    let values: Vec<_> = tag["anyOf"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&values[0]["const"], &values[1]["const"]),
        (&json!("name"), &json!("id"))
    );
    let names: Vec<_> = search.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["by", "exact", "name", "id"]);
    let mut paged = required("/paged");
    paged.sort();
    assert_eq!(paged, ["by", "exact", "page"]);
    for (query, expected) in [
        ("by=id&id=7&exact=true", 200),
        ("by=name&name=a&exact=true", 200),
        ("id=7&exact=true", 400),
        ("by=id&id=7", 400),
    ] {
        assert_eq!(status(&format!("/search?{query}")).await, expected);
        let paged = status(&format!("/paged?page=1&{query}")).await;
        assert_eq!(paged, expected, "{query}");
    }
}

#[tokio::test]
async fn a_list_in_a_query_may_be_missing_if_it_may_be_empty() {
    assert_eq!(required("/lists"), ["corners", "point", "some"]);
    let needed = "point=1&point=2&corners=1&corners=2&corners=3&corners=4&some=1";
    assert_eq!(status(&format!("/lists?{needed}")).await, 200);
    let statuses = [("point=", 400), ("corners=", 400), ("some=", 422)];
    for (list, expected) in statuses {
        let rest: Vec<_> = needed
            .split('&')
            .filter(|it| !it.starts_with(list))
            .collect();
        assert_eq!(
            status(&format!("/lists?{}", rest.join("&"))).await,
            expected
        );
    }
}

#[tokio::test]
async fn each_parameter_of_a_path_is_an_item_of_its_list_or_map() {
    for kind in ["map", "newtype", "list", "array"] {
        let path = format!("/paths/{kind}/{{a}}/{{b}}");
        for (name, schema, required) in parameters(&path) {
            assert_eq!(schema["format"], "uint32", "{kind} {name}");
            assert!(required);
        }
        assert_eq!(status(&format!("/paths/{kind}/1/2")).await, 200);
        assert_eq!(status(&format!("/paths/{kind}/1/x")).await, 400);
    }
}

#[tokio::test]
async fn a_body_may_be_missing_if_its_type_is_an_option() {
    let app = TestApp::start(App).unwrap();
    for (kind, media, is_required) in [
        ("json", "application/json", false),
        ("form", "application/x-www-form-urlencoded", false),
        ("needed", "application/json", true),
    ] {
        let path = format!("/bodies/{kind}");
        let body = document().v3_2()["paths"][&path]["post"]["requestBody"].clone();
        assert_eq!(body["required"], is_required, "{kind}");
        assert!(body["content"][media]["schema"].is_object());
        let empty = app.post(&path).await.status().is_success();
        assert_eq!(empty, !is_required, "{kind}");
    }
}

#[tokio::test]
async fn a_list_of_the_head_or_path_is_shown_as_its_element() {
    let app = TestApp::start(App).unwrap();
    let (head, path) = ("/repeated/head", "/repeated/path/7");
    let two = app.get(head).header("x-id", "1").header("x-id", "2").await;
    assert_eq!(two.text(), "[1, 2] []");
    let cookies = app.get(head).header("cookie", "id=1; id=2").await;
    assert_eq!(cookies.text(), "[] [1, 2]");
    assert_eq!(app.get(head).header("x-id", "1,2").await.status(), 400);
    assert_eq!(app.get(path).await.text(), "[7]");
    assert_eq!(app.get("/repeated/path/7,8").await.status(), 400);
    for path in [head, "/repeated/path/{ids}", "/repeated/whole/{ids}/{name}"] {
        for (name, schema, _) in parameters(path) {
            let is_text = name == "name";
            assert_eq!(schema["format"] == "uint32", !is_text, "{path} {name}");
        }
    }
    let document = document();
    let head = &document.v3_2()["paths"][head]["get"]["parameters"];
    let several = "May be sent several times, with one element each.";
    assert_eq!(head[0]["schema"]["description"], several);
    assert_eq!(head[1]["schema"]["description"], several);
    assert_eq!(parameters("/repeated/pair")[0].1, json!({}));
    let open: Vec<_> = document.unknown().iter().map(ToString::to_string).collect();
    assert_eq!(
        open,
        [
            "GET /repeated/pair: how the several values of `x-id` are sent; take each value as an argument of its own"
        ]
    );
}
