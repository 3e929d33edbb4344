//! Schemas of types: one set for values that are sent, and one for values that are received.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::openapi::components::{SENT, Set, TAKEN, merge};
use crate::openapi::describe::TypeSchema;

/// A field of a struct.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) schema: Value,
    pub(super) is_required: bool,
}

/// A value that is a list.
pub(super) enum List {
    /// It may have one element, of this schema.
    Of(Value),
    /// It has several elements, or elements of different types.
    Fixed,
}

/// Generates schemas. A type may have different shapes when sent and when received. A field with a default may be
/// missing from a request, but is always in a response.
pub(super) struct Schemas {
    sent: SchemaGenerator,
    taken: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = |set: Set| {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.meta_schema = None;
                settings.definitions_path = set.path.into();
            })
        };
        Self {
            sent: settings(SENT).for_serialize().into_generator(),
            taken: settings(TAKEN).for_deserialize().into_generator(),
        }
    }

    /// Returns the schema of a value that is sent.
    pub(super) fn sent(&mut self, schema: TypeSchema) -> Option<Value> {
        generated(schema, &mut self.sent)
    }

    /// Returns the schema of a value that is received.
    pub(super) fn taken(&mut self, schema: TypeSchema) -> Option<Value> {
        generated(schema, &mut self.taken)
    }

    /// Returns the fields of a value that is received, of which there are none if it is not an object with names.
    pub(super) fn fields(&self, schema: &Value) -> Vec<Field> {
        self.gathered(schema, &mut Vec::new())
    }

    /// Fields may be beside a `$ref`, as the tag of an enum is. Those of a flattened struct may be in an `allOf`, and
    /// those of a flattened enum in an `anyOf` or `oneOf`. An enum may lead to itself, so no component is entered again
    /// from within.
    fn gathered<'a>(&'a self, schema: &'a Value, within: &mut Vec<&'a str>) -> Vec<Field> {
        let mut found = own_fields(schema);
        if let Some(reference) = schema["$ref"].as_str()
            && !within.contains(&reference)
            && let Some(target) = self.component(schema)
        {
            within.push(reference);
            add_fields(&mut found, self.gathered(target, within));
            within.pop();
        }
        for part in parts(schema, "allOf") {
            add_fields(&mut found, self.gathered(part, within));
        }
        for key in ["anyOf", "oneOf"] {
            let alternatives = parts(schema, key);
            let alternatives: Vec<_> = alternatives.map(|it| self.gathered(it, within)).collect();
            add_fields(&mut found, fields_of_either(alternatives));
        }
        found
    }

    /// Returns the component that a schema refers to.
    fn component(&self, schema: &Value) -> Option<&Value> {
        let name = TAKEN.name(schema["$ref"].as_str()?)?;
        self.taken.definitions().get(&name)
    }

    /// Returns what a value consists of if it is a list.
    pub(super) fn list(&self, schema: &Value) -> Option<List> {
        let schema = self.resolved(schema);
        if !is_of(schema, "array") {
            return None;
        }
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let element = schema.get("items").filter(|_| least < 2);
        Some(match element.map(|element| as_object(element.clone())) {
            Some(element) if element.is_object() => List::Of(element),
            _ => List::Fixed,
        })
    }

    /// Returns whether a value of a whole query may be missing although its field is required. The server reads a
    /// missing list as an empty one, and anything that may be null as null.
    pub(super) fn may_be_missing(&self, schema: &Value) -> bool {
        let may_be_missing = |schema: &Value| {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            is_of(schema, "null") || is_of(schema, "array") && least == 0
        };
        let schema = self.resolved(schema);
        let mut alternatives = parts(schema, "anyOf").chain(parts(schema, "oneOf"));
        may_be_missing(schema) || alternatives.any(|it| may_be_missing(self.resolved(it)))
    }

    /// Returns the schema at the end of a chain of references.
    fn resolved<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        let mut entered = BTreeSet::new();
        while let Some(reference) = schema["$ref"].as_str()
            && entered.insert(reference)
            && let Some(target) = self.component(schema)
        {
            schema = target;
        }
        schema
    }

    /// Returns the schemas of the elements of a tuple.
    pub(super) fn elements(&self, schema: &Value) -> Option<Vec<Value>> {
        self.resolved(schema)["prefixItems"].as_array().cloned()
    }

    /// Returns the schema that each value of a list or map has.
    pub(super) fn each(&self, schema: &Value) -> Option<Value> {
        let schema = self.resolved(schema);
        let mut each = ["items", "additionalProperties"].iter();
        each.find_map(|key| schema.get(key).filter(|each| each.is_object()))
            .cloned()
    }

    /// Puts the components into the document, and makes every reference point to them.
    pub(super) fn finish(mut self, document: &mut Value, own: Map<String, Value>) {
        let sent = self.sent.take_definitions(true);
        let taken = self.taken.take_definitions(true);
        merge(document, sent, taken, own);
    }
}

/// Returns whether this is among the types that a schema allows.
fn is_of(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind || parts(schema, "type").any(|it| it == kind)
}

/// Returns the fields that a schema itself has.
fn own_fields(schema: &Value) -> Vec<Field> {
    let needed: Vec<_> = parts(schema, "required").collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let field = |(name, schema): (&String, &Value)| Field {
        name: name.clone(),
        schema: schema.clone(),
        is_required: needed.iter().any(|it| *it == name),
    };
    properties.map(field).collect()
}

fn parts<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema[key].as_array().into_iter().flatten()
}

/// Adds the fields of another part of the same value.
fn add_fields(found: &mut Vec<Field>, more: Vec<Field>) {
    for field in more {
        match found.iter_mut().find(|known| known.name == field.name) {
            None => found.push(field),
            Some(known) => {
                known.is_required |= field.is_required;
                add_alternative(&mut known.schema, &field.schema);
            }
        }
    }
}

/// Returns the fields of a value that is one of several alternatives. A field is required if all of them require it.
fn fields_of_either(alternatives: Vec<Vec<Field>>) -> Vec<Field> {
    let count = |name: &str| {
        let required = |field: &&Field| field.name == name && field.is_required;
        alternatives.iter().flatten().filter(required).count()
    };
    let mut found = Vec::new();
    for field in alternatives.iter().flatten() {
        let is_required = count(&field.name) == alternatives.len();
        let field = Field {
            is_required,
            ..field.clone()
        };
        add_fields(&mut found, vec![field]);
    }
    found
}

/// Makes a schema that accepts what either of two accepts, such as the tags of an enum's variants.
pub(super) fn add_alternative(known: &mut Value, other: &Value) {
    if known == other {
        return;
    }
    // An `anyOf` with something beside it does not accept more if it is longer.
    let is_choice = |schema: &&mut Map<String, Value>| schema.len() == 1;
    let choice = known.as_object_mut().filter(is_choice);
    match choice.and_then(|choice| choice.get_mut("anyOf")?.as_array_mut()) {
        Some(choice) if choice.contains(other) => {}
        Some(choice) => choice.push(other.clone()),
        None => *known = json!({ "anyOf": [known.take(), other] }),
    }
}

fn generated(schema: TypeSchema, generator: &mut SchemaGenerator) -> Option<Value> {
    let one = as_object(schema.make?(generator).to_value());
    Some(match schema.is_list {
        true => json!({ "type": "array", "items": one }),
        false => one,
    })
}

/// A schema for any value may be `true`, which not every program accepts.
fn as_object(schema: Value) -> Value {
    match schema {
        Value::Bool(true) => json!({}),
        other => other,
    }
}
