//! The input of an operation: its parameters and its body.

use std::collections::BTreeMap;

use helios_core::error::Location;
use serde_json::{Map, Value, json};

use crate::openapi::describe::{BYTES, Body, Description, JSON, LAST_EVENT_ID, Taken, Whole};
use crate::openapi::operation::Operation;
use crate::openapi::writer::Writer;

/// Headers that a document does not list as parameters. Media types and credentials have fields of their own.
const UNLISTED: [&str; 3] = ["accept", "content-type", "authorization"];

impl Writer<'_> {
    pub(super) fn parameters(
        &mut self,
        operation: &Operation,
        told: &Description,
        names: &[String],
    ) -> Vec<Value> {
        let mut found = Vec::new();
        let template = &operation.template;
        let mut in_path: BTreeMap<&str, Value> = BTreeMap::new();
        for taken in &told.taken {
            let is_listed = match taken.location {
                Location::Header if taken.name == LAST_EVENT_ID => !operation.resumes(told),
                Location::Header => !UNLISTED.contains(&taken.name),
                _ => true,
            };
            let schema = self.value(operation, taken);
            match taken.location {
                Location::Path => {
                    in_path.insert(taken.name, schema);
                }
                _ if is_listed => found.push(parameter(
                    taken.location,
                    taken.name,
                    taken.required,
                    schema,
                )),
                _ => {}
            }
        }
        let mut of_path = Vec::new();
        for whole in &told.wholes {
            match whole.location {
                Location::Path => of_path.extend(self.whole_path(operation, whole)),
                _ => found.extend(self.whole_query(operation, whole)),
            }
        }
        let path = template.params().iter().zip(names).enumerate();
        let path = path.map(|(index, (own, shown))| {
            let schema = in_path.remove(own.as_str()).or_else(|| {
                let named = of_path
                    .iter()
                    .position(|(name, _)| name.as_deref() == Some(own));
                let ordered = of_path.get(index).filter(|(name, _)| name.is_none());
                let found = named.map(|at| &of_path[at]).or(ordered);
                found.map(|(_, schema)| schema.clone())
            });
            let schema = schema.unwrap_or_else(|| json!({ "type": "string" }));
            parameter(Location::Path, shown, true, schema)
        });
        let mut parameters: Vec<_> = path.collect();
        for parameter in found {
            add(&mut parameters, parameter);
        }
        if operation.resumes(told) {
            let schema =
                json!({ "type": "string", "description": "The last event id that you received." });
            parameters.push(parameter(Location::Header, "Last-Event-ID", false, schema));
        }
        parameters
    }

    fn value(&mut self, operation: &Operation, taken: &Taken) -> Value {
        let schema = self.schemas.taken(taken.schema);
        let mut schema = schema.unwrap_or_else(|| {
            self.tell_type(
                operation,
                &format!("the type of `{}`,", taken.name),
                taken.schema.name,
            );
            json!({})
        });
        if let (Some(default), Value::Object(schema)) = (&taken.default, &mut schema)
            && !default.is_null()
        {
            schema.insert("default".to_owned(), default.clone());
        }
        schema
    }

    /// Returns the schemas of the path's parameters, with their names if they are known.
    fn whole_path(&mut self, operation: &Operation, whole: &Whole) -> Vec<(Option<String>, Value)> {
        if let Some(properties) = self.schemas.properties(whole.schema) {
            let named = properties.into_iter();
            return named
                .map(|(name, schema, _)| (Some(name), schema))
                .collect();
        }
        if let Some(elements) = self.schemas.elements(whole.schema) {
            return elements.into_iter().map(|schema| (None, schema)).collect();
        }
        match self.schemas.taken(whole.schema) {
            Some(one) => vec![(None, one)],
            None => {
                self.tell_type(operation, "the type of its path,", whole.schema.name);
                Vec::new()
            }
        }
    }

    fn whole_query(&mut self, operation: &Operation, whole: &Whole) -> Vec<Value> {
        if let Some(properties) = self.schemas.properties(whole.schema) {
            let named = properties.into_iter().map(|(name, schema, required)| {
                // A missing list is an empty one.
                let required = required && schema["type"] != "array";
                parameter(Location::Query, &name, required, schema)
            });
            return named.collect();
        }
        match self.schemas.taken(whole.schema) {
            Some(map) => vec![parameter(Location::Query, "query", false, map)],
            None => {
                self.tell_type(operation, "the type of its query,", whole.schema.name);
                Vec::new()
            }
        }
    }

    pub(super) fn body(&mut self, operation: &Operation, told: &Description) -> Option<Value> {
        let none = Body {
            media: Vec::new(),
            schema: None,
            required: true,
            is_read: false,
        };
        let body = match (&told.body, &told.accepts) {
            (Some(body), _) => body,
            (None, Some(_)) => &none,
            (None, None) => return None,
        };
        let (media, schema) = match &told.accepts {
            Some((Some(media), schema)) => (vec![*media], Some(*schema)),
            Some((None, schema)) if body.media.is_empty() => (vec![JSON], Some(*schema)),
            Some((None, schema)) => (body.media.clone(), Some(*schema)),
            None => (body.media.clone(), body.schema),
        };
        let schema = match schema {
            Some(schema) => self.schemas.taken(schema).unwrap_or_else(|| {
                self.tell_type(operation, "the type of its body,", schema.name);
                json!({})
            }),
            None if media == [BYTES] => json!({}),
            None => {
                let declare = "write `#[accepts(T)]` with a type that has a field for each part";
                self.tell(operation, "which parts its body has", declare);
                json!({ "type": "object" })
            }
        };
        let content: Map<_, _> = media
            .iter()
            .map(|media| ((*media).to_owned(), json!({ "schema": schema })))
            .collect();
        Some(json!({ "required": body.required, "content": content }))
    }
}

/// Adds a parameter, or what a second reader of the same one requires.
fn add(parameters: &mut Vec<Value>, new: Value) {
    let is_same = |known: &&mut Value| known["name"] == new["name"] && known["in"] == new["in"];
    match parameters.iter_mut().find(is_same) {
        Some(known) if new["required"] == true => known["required"] = true.into(),
        Some(_) => {}
        None => parameters.push(new),
    }
}

fn parameter(location: Location, name: &str, required: bool, schema: Value) -> Value {
    let mut parameter = json!({ "name": name, "in": location, "schema": schema });
    if required {
        parameter["required"] = true.into();
    }
    parameter
}
