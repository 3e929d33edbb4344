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

/// A type that has no schema, and no way to serialise by itself.
#[derive(Default)]
struct Celsius(f64);

mod celsius {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Celsius;

    pub(super) fn serialize<S: Serializer>(it: &Celsius, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{} °C", it.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Celsius, D::Error> {
        f64::deserialize(from).map(Celsius)
    }
}

fn in_full<S: serde::Serializer>(count: &u32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format!("{count} pieces"))
}

/// Functions convert the fields, so that their types say nothing about the JSON.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Converted {
    #[serde(with = "celsius")]
    open: Celsius,
    #[serde(with = "celsius", default)]
    with_default: Celsius,
    #[serde(with = "celsius")]
    #[schemars(with = "String")]
    known: Celsius,
    #[serde(serialize_with = "in_full")]
    count: u32,
    #[serde(
        serialize_with = "celsius::serialize",
        deserialize_with = "celsius::deserialize"
    )]
    both: Celsius,
}

#[derive(Serialize, JsonSchema)]
enum Reading {
    #[serde(serialize_with = "celsius::serialize")]
    Celsius(Celsius),
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

    #[post("converted")]
    fn converted(&self, #[body] converted: Converted) -> Json<Converted> {
        Json(converted)
    }

    #[get("reading")]
    fn reading(&self) -> Json<Reading> {
        Json(Reading::Celsius(Celsius(1.0)))
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

#[test]
fn a_converted_field_is_open_unless_an_attribute_says_more() {
    let document = Helios::new(Server).openapi_document().unwrap();
    let schemas = &document.v3_2()["components"]["schemas"];
    let fields = &schemas["Converted"]["properties"];
    for field in ["open", "count", "both"] {
        assert_eq!(fields[field], json!({}), "{field}");
    }
    assert_eq!(fields["with_default"], json!({ "default": "0 °C" }));
    assert_eq!(fields["known"], json!({ "type": "string" }));
    let reading = &schemas["Reading"]["oneOf"][0]["properties"];
    assert_eq!(reading["Celsius"], json!({}));
}
