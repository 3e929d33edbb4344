//! Schemas of types: one set for values that are sent, and one for values that are received.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::openapi::components::{SENT, Set, TAKEN, merge};
use crate::openapi::describe::TypeSchema;

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

    /// Returns the properties of a struct that is received, each with whether it is required; `None` if the type is not
    /// a struct.
    pub(super) fn properties(&mut self, schema: TypeSchema) -> Option<Vec<(String, Value, bool)>> {
        let whole = self.taken(schema)?;
        let mut found = Vec::new();
        self.gather(&whole, true, &mut BTreeSet::new(), &mut found);
        (!found.is_empty()).then_some(found)
    }

    /// Fields of a flattened struct may be in an `allOf`, and those of a flattened enum in an `anyOf` or `oneOf`. An
    /// enum may lead to itself, so each component is entered once.
    fn gather<'a>(
        &'a self,
        schema: &'a Value,
        required: bool,
        entered: &mut BTreeSet<&'a str>,
        found: &mut Vec<(String, Value, bool)>,
    ) {
        let reference = schema["$ref"].as_str();
        if reference.is_some_and(|reference| !entered.insert(reference)) {
            return;
        }
        let schema = self.resolved(schema);
        let needed: Vec<_> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required && needed.iter().any(|it| *it == name);
            match found.iter_mut().find(|(known, ..)| known == name) {
                None => found.push((name.clone(), property.clone(), is_required)),
                Some((_, known, _)) => add_alternative(known, property),
            }
        }
        for (key, required) in [("allOf", required), ("anyOf", false), ("oneOf", false)] {
            for part in schema[key].as_array().into_iter().flatten() {
                self.gather(part, required, entered, found);
            }
        }
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|it| TAKEN.name(it));
        let found = name.and_then(|name| self.taken.definitions().get(&name));
        found.unwrap_or(schema)
    }

    /// Returns the schemas of a tuple's elements.
    pub(super) fn elements(&mut self, schema: TypeSchema) -> Option<Vec<Value>> {
        let whole = self.taken(schema)?;
        self.resolved(&whole)["prefixItems"].as_array().cloned()
    }

    /// Puts the components into the document, and makes every reference point to them.
    pub(super) fn finish(mut self, document: &mut Value, own: Map<String, Value>) {
        let sent = self.sent.take_definitions(true);
        let taken = self.taken.take_definitions(true);
        merge(document, sent, taken, own);
    }
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
