//! Types that name themselves. The derive copies a type, and the copy has none of the type's constants, functions and traits.

use std::marker::PhantomData;

use helios::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize, garde::Validate, JsonSchema)]
struct New {
    #[garde(length(max = Self::MOST))]
    name: String,
    #[garde(length(min = New::LEAST, max = 9))]
    text: String,
    #[garde(skip)]
    #[schemars(range(max = Self::MOST), extend("x-most" = Self::MOST), description = Self::about())]
    count: u32,
    #[garde(skip)]
    #[schemars(transform = Self::tidy)]
    tidy: String,
}

impl New {
    const MOST: usize = 20;
    const LEAST: usize = 2;

    fn about() -> &'static str {
        "How many."
    }

    fn tidy(schema: &mut schemars::Schema) {
        schema.insert("x-tidy".to_owned(), true.into());
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(example = Shown { text: "a".into() }, example = Self::other())]
struct Shown {
    text: String,
}

impl Shown {
    fn other() -> Self {
        Self { text: "b".into() }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(example = Tuple("a".into(), 1))]
struct Tuple(String, u8);

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[repr(u8)]
enum Piece {
    King = b'K',
    Queen = b'Q',
}

#[derive(Serialize, JsonSchema)]
#[repr(u8)]
enum Either {
    Piece(Piece) = 1,
    Either(u8) = Self::LAST,
}

impl Either {
    const LAST: u8 = 7;
}

#[derive(Serialize, JsonSchema)]
struct Packet {
    data: [u8; Packet::LEN],
    more: [u8; Self::LEN],
    next: Option<Box<Self>>,
}

impl Packet {
    const LEN: usize = 3;
}

trait Entity {}

#[derive(Serialize, JsonSchema)]
struct Id<T: Entity> {
    value: u64,
    #[serde(skip)]
    of: PhantomData<T>,
}

#[derive(Serialize, JsonSchema)]
struct User {
    id: Id<User>,
    friend: Id<Self>,
    #[serde(rename = "User")]
    #[schemars(with = "Option<Box<Self>>")]
    boss: (),
}

impl Entity for User {}

#[derive(Serialize, JsonSchema)]
struct Node<T>
where
    Node<T>: Entity,
{
    value: T,
    next: Vec<Node<T>>,
}

impl<T> Entity for Node<T> {}

#[derive(Default)]
struct Limits {
    least: usize,
}

#[derive(Serialize, Deserialize, garde::Validate, JsonSchema)]
#[garde(context(Limits as limits))]
struct Limited {
    #[garde(length(min = limits.least), contains("a"))]
    name: String,
    #[garde(range(max = self.most))]
    count: u32,
    #[garde(skip)]
    most: u32,
}

#[derive(Injectable)]
struct Copied;

#[controller]
impl Copied {
    #[post("new")]
    fn new_one(&self, #[body] new: New) -> String {
        new.name
    }

    #[get("shown")]
    fn shown(&self) -> Json<(Shown, Tuple)> {
        Json((Shown::other(), Tuple("a".into(), 1)))
    }

    #[get("either")]
    fn either(&self) -> Json<Vec<Either>> {
        Json(vec![
            Either::Piece(Piece::King),
            Either::Piece(Piece::Queen),
            Either::Either(1),
        ])
    }

    #[get("packet")]
    fn packet(&self) -> Option<Json<Packet>> {
        None
    }

    #[get("user")]
    fn user(&self) -> Option<Json<(User, Node<u8>)>> {
        None
    }

    #[post("limited")]
    fn limited(&self, #[body] limited: Limited) -> String {
        limited.name
    }
}

#[server(controllers = [Copied])]
struct Server;

fn component(name: &str) -> Value {
    let document = Helios::new(Server).openapi_document().unwrap();
    assert!(document.unknown().is_empty(), "{:?}", document.unknown());
    document.v3_2()["components"]["schemas"][name].clone()
}

#[test]
fn constants_and_functions_of_a_type_are_in_its_rules() {
    let new = &component("New")["properties"];
    assert_eq!(new["name"], json!({ "type": "string", "maxLength": 20 }));
    let text = json!({ "type": "string", "minLength": 2, "maxLength": 9 });
    assert_eq!(new["text"], text);
    assert_eq!(new["count"]["maximum"], 20);
    assert_eq!(new["count"]["x-most"], 20);
    assert_eq!(new["count"]["description"], "How many.");
    assert_eq!(new["tidy"]["x-tidy"], true);
}

#[test]
fn an_example_may_be_a_value_of_the_type() {
    let examples = json!([{ "text": "a" }, { "text": "b" }]);
    assert_eq!(component("Shown")["examples"], examples);
    assert_eq!(component("Tuple")["examples"], json!([["a", 1]]));
}

#[test]
fn discriminants_do_not_matter() {
    assert_eq!(component("Piece")["enum"], json!(["King", "Queen"]));
    let either = &component("Either")["oneOf"];
    assert_eq!(either[1]["required"], json!(["Either"]));
}

#[test]
fn a_type_may_name_itself_in_its_fields() {
    let packet = &component("Packet")["properties"];
    assert_eq!(packet["data"]["maxItems"], 3);
    assert_eq!(packet["more"]["maxItems"], 3);
    let here = json!({ "$ref": "#/components/schemas/Packet" });
    assert_eq!(packet["next"]["anyOf"][0], here);
    let user = &component("User")["properties"];
    assert_eq!(user["id"], user["friend"]);
    assert_eq!(
        user["User"]["anyOf"][0]["$ref"],
        "#/components/schemas/User"
    );
    let node = &component("Node_of_uint8")["properties"];
    assert_eq!(
        node["next"]["items"]["$ref"],
        "#/components/schemas/Node_of_uint8"
    );
}

#[test]
fn a_rule_that_needs_a_value_is_left_out() {
    let limited = &component("Limited")["properties"];
    assert_eq!(limited["name"], json!({ "type": "string", "pattern": "a" }));
    assert!(limited["count"]["maximum"].is_null());
}
