//! The input of an operation: its parameters and its body.

use std::collections::BTreeMap;

use helios_core::error::Location;
use serde_json::{Map, Value, json};

use crate::openapi::describe::{BYTES, Body, Description, JSON, LAST_EVENT_ID, Taken, Whole};
use crate::openapi::events::described;
use crate::openapi::operation::Operation;
use crate::openapi::schema::{Field, List};
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
        let mut of_path = OfPath::default();
        for whole in &told.wholes {
            match whole.location {
                Location::Path => of_path.add(self.whole_path(operation, whole)),
                _ => found.extend(self.whole_query(operation, whole)),
            }
        }
        let path = template.params().iter().zip(names).enumerate();
        let path = path.map(|(index, (own, shown))| {
            let schema = in_path.remove(own.as_str());
            let schema = schema.or_else(|| of_path.schema(own, index));
            let schema = schema.unwrap_or_else(|| json!({ "type": "string" }));
            let (schema, _) = self.one_text(operation, own, schema);
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
        if matches!(taken.location, Location::Header | Location::Cookie) {
            let (one, is_list) = self.one_text(operation, taken.name, schema);
            if is_list {
                return described(one, "May be sent several times, with one element each.");
            }
            schema = one;
        }
        if let (Some(default), Value::Object(schema)) = (&taken.default, &mut schema)
            && !default.is_null()
        {
            schema.insert("default".to_owned(), default.clone());
        }
        schema
    }

    /// Returns the schema of one text of the path, a header or a cookie, and whether the value is a list of them.
    /// OpenAPI writes a list into one text, with commas, and the server reads each text as one element.
    fn one_text(&mut self, operation: &Operation, name: &str, schema: Value) -> (Value, bool) {
        match self.schemas.list(&schema) {
            None => (schema, false),
            Some(List::Of(element)) => (element, true),
            Some(List::Fixed) => {
                let what = format!("how the several values of `{name}` are sent");
                self.tell(operation, what, "take each value as an argument of its own");
                (json!({}), false)
            }
        }
    }

    /// Returns the schemas of the path's parameters.
    fn whole_path(&mut self, operation: &Operation, whole: &Whole) -> OfPath {
        let mut found = OfPath::default();
        let Some(schema) = self.schemas.taken(whole.schema) else {
            self.tell_type(operation, "the type of its path,", whole.schema.name);
            return found;
        };
        found.named = self.schemas.fields(&schema);
        found.ordered = self.schemas.elements(&schema).unwrap_or_default();
        if found.named.is_empty() && found.ordered.is_empty() {
            let each = self.schemas.each(&schema);
            found.each = Some(each.unwrap_or(schema));
        }
        found
    }

    fn whole_query(&mut self, operation: &Operation, whole: &Whole) -> Vec<Value> {
        let Some(schema) = self.schemas.taken(whole.schema) else {
            self.tell_type(operation, "the type of its query,", whole.schema.name);
            return Vec::new();
        };
        let fields = self.schemas.fields(&schema);
        if fields.is_empty() {
            return vec![parameter(Location::Query, "query", false, schema)];
        }
        let named = fields.into_iter().map(|field| {
            let required = field.is_required && !self.schemas.may_be_missing(&field.schema);
            parameter(Location::Query, &field.name, required, field.schema)
        });
        named.collect()
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

/// The schemas of a path's parameters, from the type of the whole path.
#[derive(Default)]
struct OfPath {
    named: Vec<Field>,
    ordered: Vec<Value>,
    /// The schema of every parameter.
    each: Option<Value>,
}

impl OfPath {
    /// Adds what another reader of the path says, which is a connection hook.
    fn add(&mut self, other: Self) {
        self.named.extend(other.named);
        if self.ordered.is_empty() {
            self.ordered = other.ordered;
        }
        self.each = self.each.take().or(other.each);
    }

    fn schema(&self, name: &str, index: usize) -> Option<Value> {
        let named = self.named.iter().find(|field| field.name == name);
        let found = named.map(|field| &field.schema);
        let found = found.or_else(|| self.ordered.get(index));
        found.or(self.each.as_ref()).cloned()
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
