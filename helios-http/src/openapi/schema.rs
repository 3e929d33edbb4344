//! Schemas of types. There is one set of components for values that are sent and one for values that are received.
//! Equal components are merged.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::openapi::describe::TypeSchema;

/// The path of components.
pub(super) const COMPONENTS: &str = "#/components/schemas/";

/// The path of received components, until both sets are merged.
const TAKEN: &str = "#/components/taken/";

/// The suffix of a received component that differs from the sent one.
const SUFFIX: &str = "Input";

/// Generates schemas. A type may have different shapes when sent and when received. A field with a default may be
/// missing from a request, but is always in a response.
pub(super) struct Schemas {
    sent: SchemaGenerator,
    taken: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = |path: &'static str| {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.meta_schema = None;
                settings.definitions_path = path.into();
            })
        };
        Self {
            sent: settings("/components/schemas")
                .for_serialize()
                .into_generator(),
            taken: settings("/components/taken")
                .for_deserialize()
                .into_generator(),
        }
    }

    /// Returns the schema of a value that is sent.
    pub(super) fn sent(&mut self, schema: TypeSchema) -> Option<Value> {
        let make = schema.make?;
        Some(as_object(make(&mut self.sent).to_value()))
    }

    /// Returns the schema of a value that is received.
    pub(super) fn taken(&mut self, schema: TypeSchema) -> Option<Value> {
        let make = schema.make?;
        Some(as_object(make(&mut self.taken).to_value()))
    }

    /// Returns the properties of a struct that is received, each with whether it is required; `None` if the type is not
    /// a struct.
    pub(super) fn properties(&mut self, schema: TypeSchema) -> Option<Vec<(String, Value, bool)>> {
        let whole = self.taken(schema)?;
        let mut found = Vec::new();
        self.gather(&whole, true, &mut found);
        (!found.is_empty()).then_some(found)
    }

    /// Fields of a flattened struct may be in an `allOf`, and those of a flattened enum in an `anyOf` or `oneOf`.
    fn gather(&self, schema: &Value, required: bool, found: &mut Vec<(String, Value, bool)>) {
        let schema = self.resolved(schema);
        let needed: Vec<_> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required && needed.iter().any(|it| *it == name);
            if !found.iter().any(|(known, ..)| known == name) {
                found.push((name.clone(), property.clone(), is_required));
            }
        }
        for (key, required) in [("allOf", required), ("anyOf", false), ("oneOf", false)] {
            for part in schema[key].as_array().into_iter().flatten() {
                self.gather(part, required, found);
            }
        }
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"]
            .as_str()
            .and_then(|it| it.strip_prefix(TAKEN));
        let found = name.and_then(|name| self.taken.definitions().get(name));
        found.unwrap_or(schema)
    }

    /// Returns the schemas of a tuple's elements.
    pub(super) fn elements(&mut self, schema: TypeSchema) -> Option<Vec<Value>> {
        let whole = self.taken(schema)?;
        self.resolved(&whole)["prefixItems"].as_array().cloned()
    }

    /// Puts the components into the document, and makes every reference point to them. Components without a reference
    /// are left out.
    pub(super) fn finish(mut self, document: &mut Value, own: Map<String, Value>) {
        let mut sent = self.sent.take_definitions(true);
        let mut taken = self.taken.take_definitions(true);
        let apart = told_apart(&sent, &taken);
        let name = |name: &str| match apart.contains(name) {
            true => format!("{COMPONENTS}{name}{SUFFIX}"),
            false => format!("{COMPONENTS}{name}"),
        };
        let moved = |reference: &mut String| {
            if let Some(of) = reference.strip_prefix(TAKEN) {
                *reference = name(of);
            }
        };
        for schema in taken.values_mut() {
            each_reference(schema, &moved);
        }
        each_reference(document, &moved);
        for (name, schema) in taken {
            match apart.contains(&name) {
                true => sent.insert(format!("{name}{SUFFIX}"), schema),
                false => sent.insert(name, schema),
            };
        }
        sent.extend(own);
        let needed = needed(document, &sent);
        sent.retain(|name, _| needed.contains(name));
        if !sent.is_empty() {
            document["components"]["schemas"] = Value::Object(sent);
        }
    }
}

/// Returns the names whose schemas differ between the two sets, directly or through a reference.
fn told_apart(sent: &Map<String, Value>, taken: &Map<String, Value>) -> BTreeSet<String> {
    let both: BTreeMap<&String, (Value, &Value)> = taken
        .iter()
        .filter_map(|(name, schema)| {
            let mut schema = schema.clone();
            each_reference(&mut schema, &|reference| {
                if let Some(of) = reference.strip_prefix(TAKEN) {
                    *reference = format!("{COMPONENTS}{of}");
                }
            });
            Some((name, (schema, sent.get(name)?)))
        })
        .collect();
    let differ = both.iter().filter(|(_, (taken, sent))| taken != *sent);
    let mut apart: BTreeSet<String> = differ.map(|(name, _)| (*name).clone()).collect();
    loop {
        let leads = |schema: &Value| references(schema).iter().any(|name| apart.contains(name));
        let more = both
            .iter()
            .filter(|(name, (schema, _))| !apart.contains(**name) && leads(schema));
        let more: Vec<_> = more.map(|(name, _)| (*name).clone()).collect();
        if more.is_empty() {
            return apart;
        }
        apart.extend(more);
    }
}

fn needed(document: &Value, components: &Map<String, Value>) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<_> = references(document).into_iter().collect();
    while let Some(name) = open.pop() {
        if let Some(schema) = components.get(&name)
            && needed.insert(name)
        {
            open.extend(references(schema));
        }
    }
    needed
}

/// Returns the components that a schema refers to.
fn references(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(object) => {
                let name = object.get("$ref").and_then(Value::as_str);
                let name = name.and_then(|name| name.strip_prefix(COMPONENTS));
                found.extend(name.map(str::to_owned));
                open.extend(object.values());
            }
            Value::Array(values) => open.extend(values),
            _ => {}
        }
    }
    found
}

fn each_reference(value: &mut Value, change: &impl Fn(&mut String)) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                change(reference);
            }
            object
                .values_mut()
                .for_each(|value| each_reference(value, change));
        }
        Value::Array(values) => {
            values
                .iter_mut()
                .for_each(|value| each_reference(value, change));
        }
        _ => {}
    }
}

/// A schema for any value may be `true`, which not every program accepts.
fn as_object(schema: Value) -> Value {
    match schema {
        Value::Bool(true) => json!({}),
        other => other,
    }
}

/// Returns a reference to a component.
pub(super) fn component(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}
