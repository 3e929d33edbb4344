//! Types whose attributes name the type itself, or functions of it.

use helios::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Every field may be missing.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct Settings {
    per_page: u32,
    theme: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            per_page: 20,
            theme: "dark".to_owned(),
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    #[serde(default = "Note::size", skip_serializing_if = "Self::is_small")]
    size: u32,
    #[serde(default = "Note::text")]
    text: String,
    #[serde(default = "self::colour")]
    colour: String,
}

impl Note {
    fn size() -> u32 {
        3
    }

    fn text() -> String {
        "empty".to_owned()
    }

    fn is_small(size: &u32) -> bool {
        *size < 2
    }
}

fn colour() -> String {
    "red".to_owned()
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Pair<T: Default> {
    left: T,
    #[serde(default = "Pair::<T>::right")]
    right: u8,
}

impl<T: Default> Pair<T> {
    fn right() -> u8 {
        7
    }
}

impl<T: Default> Default for Pair<T> {
    fn default() -> Self {
        Self {
            left: T::default(),
            right: 1,
        }
    }
}

#[derive(Injectable)]
struct Attributes;

#[controller]
impl Attributes {
    #[post("settings")]
    fn settings(&self, #[body] settings: Settings) -> Json<Settings> {
        Json(settings)
    }

    #[post("note")]
    fn note(&self, #[body] note: Note) -> Json<Note> {
        Json(note)
    }

    #[post("pair")]
    fn pair(&self, #[body] pair: Pair<u8>) -> Json<Pair<u8>> {
        Json(pair)
    }
}

#[server(controllers = [Attributes])]
struct Server;

/// The fields of a component with their defaults, and those that are required.
fn fields(name: &str) -> (Value, Value) {
    let document = Helios::new(Server).openapi_document().unwrap();
    let component = &document.v3_2()["components"]["schemas"][name];
    let properties = component["properties"].as_object().unwrap();
    let default = |(name, schema): (&String, &Value)| (name.clone(), schema["default"].clone());
    let defaults = properties.iter().map(default).collect();
    (Value::Object(defaults), component["required"].clone())
}

#[test]
fn the_default_of_a_type_is_that_of_its_fields() {
    let expected = json!({ "perPage": 20, "theme": "dark" });
    assert_eq!(fields("SettingsInput"), (expected, Value::Null));
    // Nobody knows whether a `T` serialises.
    let expected = json!({ "left": null, "right": 7 });
    assert_eq!(fields("Pair_of_uint8Input"), (expected, Value::Null));
}

#[test]
fn a_function_of_the_type_gives_a_default() {
    let expected = json!({ "size": 3, "text": "empty", "colour": "red" });
    assert_eq!(fields("NoteInput"), (expected, Value::Null));
}
