//! The names of components: each is valid, stands for one type, and every reference leads to one.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Tree {
    value: String,
    children: Vec<Tree>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Page<T> {
    items: Vec<T>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Pair<A, B>(A, B);

/// Names that the generated code could use itself.
#[derive(Serialize, Deserialize, JsonSchema)]
enum Opened {
    Optional,
    Required,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {
    inferred: Inferred,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Inferred(Vec<Opened>);

/// With a name of its own, all types have that one.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename = "Boxed")]
struct Wrapped<T> {
    content: T,
}

/// Without a schema: it only says of which kind an id is.
struct Guest;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Id<T, V> {
    value: V,
    #[serde(skip)]
    of: PhantomData<T>,
}

/// Has its marker in a tuple.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Tagged<T, V>((V, PhantomData<fn() -> T>));

struct Opaque<T>(PhantomData<T>);

impl<T> Serialize for Opaque<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq([0; 0])
    }
}

/// An attribute names the type of a field.
#[derive(Serialize, JsonSchema)]
struct Replaced<T, V> {
    #[schemars(with = "Vec<T>")]
    all: Opaque<T>,
    one: V,
}

trait Kind {
    type Key;
}

impl Kind for Guest {
    type Key = u64;
}

/// The bound is for a type that schemars cannot find by itself. It binds a type with the name of this one.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(bound = "")]
#[schemars(bound = "T: Kind<Key = u64>")]
struct Key<T: Kind<Key = u64>> {
    key: T::Key,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Größe {
    höhe: u8,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename = "a / name~1 <with> %41")]
struct Odd {
    odd: bool,
}

/// Received in another shape than it is sent.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    #[serde(default)]
    count: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct OrderInput {
    own: String,
}

/// Has the name of a component of Helios.
#[derive(Serialize, Deserialize, JsonSchema)]
struct HeliosReady {
    mine: bool,
}

/// Leads to itself, in a query.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum Term {
    Not { not: Box<Term> },
    Word { word: String },
    Again(Box<Term>),
}

mod other {
    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Tree {
        pub(super) rings: u32,
    }
}

#[derive(Injectable)]
struct Named {
    sse: SseService,
}

#[controller]
impl Named {
    #[get("trees")]
    fn trees(&self) -> Json<Page<Tree>> {
        unreachable!()
    }

    #[get("orders")]
    fn orders(&self) -> Json<Page<Order>> {
        unreachable!()
    }

    #[get("pages")]
    fn pages(&self) -> Json<Page<Page<u8>>> {
        unreachable!()
    }

    #[get("pair")]
    fn pair(&self) -> Json<Pair<Order, Option<Tree>>> {
        unreachable!()
    }

    #[get("boxed/order")]
    fn boxed_order(&self) -> Json<Wrapped<Order>> {
        unreachable!()
    }

    #[get("boxed/tree")]
    fn boxed_tree(&self) -> Json<Wrapped<Tree>> {
        unreachable!()
    }

    #[get("id")]
    fn id(&self) -> Json<Id<Guest, u64>> {
        unreachable!()
    }

    #[get("tagged")]
    fn tagged(&self) -> Json<Tagged<Guest, u64>> {
        unreachable!()
    }

    #[get("replaced")]
    fn replaced(&self) -> Json<Replaced<u8, u64>> {
        unreachable!()
    }

    #[get("key")]
    fn key(&self) -> Json<Key<Guest>> {
        unreachable!()
    }

    #[post("size")]
    fn size(&self, #[body] size: Größe) -> Json<Größe> {
        Json(size)
    }

    #[post("odd")]
    fn odd(&self, #[body] odd: Odd) -> Json<Odd> {
        Json(odd)
    }

    #[post("order")]
    fn order(&self, #[body] order: Order) -> Json<Order> {
        Json(order)
    }

    #[post("input")]
    fn input(&self, #[body] order: OrderInput) -> Json<OrderInput> {
        Json(order)
    }

    #[post("ready")]
    fn ready(&self, #[body] ready: HeliosReady) -> Json<HeliosReady> {
        Json(ready)
    }

    #[post("nothing")]
    fn nothing(&self, #[query] opened: Opened, #[body] mut nothing: Nothing) -> Json<Nothing> {
        nothing.inferred.0.push(opened);
        Json(nothing)
    }

    #[post("other")]
    fn other(&self, #[body] tree: other::Tree) -> Json<u32> {
        Json(tree.rings)
    }

    #[sse("live", events = String)]
    async fn live(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["live"]).await
    }
}

#[server(controllers = [Named], sse(enabled = true))]
struct Server;

#[derive(Injectable)]
struct Terms;

#[controller]
impl Terms {
    #[get("terms")]
    fn find(&self, Query(term): Query<Term>) {
        drop(term);
    }
}

#[server(controllers = [Terms])]
struct OfTerms;

pub(crate) fn document() -> OpenApiDocument {
    Helios::new(Server).openapi_document().unwrap()
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The component of a JSON body: of the request, or of the response.
fn component<'a>(document: &'a Value, path: &str, is_sent: bool) -> (&'a str, &'a Value) {
    let route = &document["paths"][path];
    let operation = route.get("get").unwrap_or(&route["post"]);
    let body = match is_sent {
        true => &operation["responses"]["200"],
        false => &operation["requestBody"],
    };
    let schema = &body["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    (name, &document["components"]["schemas"][name])
}

#[test]
fn every_name_is_valid_and_every_reference_leads_to_a_component() {
    let document = document();
    for document in [document.v3_2(), document.v3_1()] {
        let components = document["components"]["schemas"].as_object().unwrap();
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        for name in components.keys() {
            assert!(!name.is_empty() && name.chars().all(is_valid), "{name}");
        }
        let mut found = BTreeSet::new();
        references(document, &mut found);
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/");
            assert!(
                name.is_some_and(|it| components.contains_key(it)),
                "{reference}"
            );
        }
    }
}

#[test]
fn a_generic_type_is_named_with_its_arguments() {
    let document = document();
    let name = |path| component(document.v3_2(), path, true).0;
    assert_eq!(name("/trees"), "Page_of_Tree");
    assert_eq!(name("/orders"), "Page_of_Order");
    assert_eq!(name("/pages"), "Page_of_Page_of_uint8");
    assert_eq!(name("/pair"), "Pair_of_Order_and_Nullable_Tree");
    assert_eq!(name("/boxed/order"), "Boxed");
    assert_eq!(name("/boxed/tree"), "Boxed2");
}

#[test]
fn a_parameter_without_a_schema_is_not_in_the_name() {
    let document = document();
    let name = |path| component(document.v3_2(), path, true).0;
    assert_eq!(name("/id"), "Id_of_uint64");
    assert_eq!(name("/tagged"), "Tagged_of_uint64");
    assert_eq!(name("/replaced"), "Replaced_of_uint8_and_uint64");
    assert_eq!(name("/key"), "Key");
}

#[test]
fn a_name_stands_for_one_type() {
    let document = document();
    let fields = |path, is_sent| {
        let (name, schema) = component(document.v3_2(), path, is_sent);
        let fields = schema["properties"].as_object().unwrap();
        (name, fields.keys().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(fields("/order", true), ("Order", vec!["count"]));
    assert_eq!(fields("/order", false), ("OrderInput2", vec!["count"]));
    assert_eq!(fields("/input", false), ("OrderInput", vec!["own"]));
    assert_eq!(fields("/ready", true), ("HeliosReady2", vec!["mine"]));
    assert_eq!(fields("/other", false).1, ["rings"]);
    assert_eq!(fields("/size", true), ("Gr__e", vec!["höhe"]));
    assert_eq!(fields("/odd", false).1, ["odd"]);
    let ready = &document.v3_2()["components"]["schemas"]["HeliosReady"];
    assert_eq!(ready["properties"]["event"]["const"], "helios:ready");
}

#[test]
fn a_query_that_leads_to_itself_ends() {
    let document = Helios::new(OfTerms).openapi_document().unwrap();
    let parameters = &document.v3_2()["paths"]["/terms"]["get"]["parameters"];
    let names = parameters.as_array().unwrap().iter().map(|it| &it["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["not", "word"]);
}
