//! Schemas of types: one set of components for what is sent, and one for what is taken, put together where they are the same.

use std::collections::{BTreeMap, BTreeSet};

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::openapi::describe::TypeSchema;

/// Where components are.
pub(super) const COMPONENTS: &str = "#/components/schemas/";

/// Where those of what is taken are, until they are told apart.
const TAKEN: &str = "#/components/taken/";

/// Behind the name of a component that differs where it is taken.
const SUFFIX: &str = "Input";

/// Makes schemas. A type may be sent in another shape than it is taken: a field with a default need not be there in a body, and is
/// always there in an answer.
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

    /// That of a value that is sent.
    pub(super) fn sent(&mut self, schema: TypeSchema) -> Option<Value> {
        let make = schema.make?;
        Some(as_object(make(&mut self.sent).to_value()))
    }

    /// That of a value that is taken.
    pub(super) fn taken(&mut self, schema: TypeSchema) -> Option<Value> {
        let make = schema.make?;
        Some(as_object(make(&mut self.taken).to_value()))
    }

    /// The properties of a struct that is taken, each with whether it is required; `None` if it is no struct.
    pub(super) fn properties(&mut self, schema: TypeSchema) -> Option<Vec<(String, Value, bool)>> {
        let whole = self.taken(schema)?;
        let mut found = Vec::new();
        self.gather(&whole, true, &mut found);
        (!found.is_empty()).then_some(found)
    }

    /// What is flattened into a struct may be in an `allOf`, and that of an enum in one of several.
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

    /// The schemas of a tuple's elements.
    pub(super) fn elements(&mut self, schema: TypeSchema) -> Option<Vec<Value>> {
        let whole = self.taken(schema)?;
        self.resolved(&whole)["prefixItems"].as_array().cloned()
    }

    /// Puts the components into the document, and lets every reference in it lead to them. Those that nothing needs are left out.
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

/// The names of which both sets have another schema, by themselves or by what they lead to.
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

/// The components that a schema names.
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

/// Any value is `true`, too, which not every program takes.
fn as_object(schema: Value) -> Value {
    match schema {
        Value::Bool(true) => json!({}),
        other => other,
    }
}

/// A reference to a component.
pub(super) fn component(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}
