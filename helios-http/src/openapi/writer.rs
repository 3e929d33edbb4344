//! Writes the operations one by one, and collects what they refer to. `request` writes their input, `responses` their
//! output.

use std::collections::BTreeMap;
use std::sync::Arc;

use helios_core::route::{Template, Verb};
use helios_core::security::{Scheme, Security};
use helios_core::type_name::short_name;
use serde_json::{Map, Value, json};

use crate::error::Place;
use crate::openapi::components::valid;
use crate::openapi::describe::Description;
use crate::openapi::ids::Names;
use crate::openapi::operation::{Operation, Whole};
use crate::openapi::schema::Schemas;
use crate::openapi::unknown::Unknown;

/// Writes the operations, and collects what they refer to.
pub(super) struct Writer<'a> {
    pub(super) app: &'a Whole<'a>,
    pub(super) schemas: Schemas,
    pub(super) schemes: BTreeMap<String, Value>,
    pub(super) unknown: Vec<Unknown>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(app: &'a Whole<'a>) -> Self {
        Self {
            app,
            schemas: Schemas::new(),
            schemes: BTreeMap::new(),
            unknown: Vec::new(),
        }
    }
}

impl Writer<'_> {
    /// Writes all operations, each with its names.
    pub(super) fn paths(
        &mut self,
        operations: &[Operation],
        names: Vec<Names>,
    ) -> Map<String, Value> {
        let mut paths = Map::new();
        // Templates of the same shape are one path, with the parameter names of the first.
        let mut firsts: BTreeMap<String, Arc<Template>> = BTreeMap::new();
        for (operation, names) in operations.iter().zip(names) {
            if operation.meta.verb == Verb::Any {
                self.tell(
                    operation,
                    "it answers every method, and an operation is of one",
                    "write a method for each that is to be shown",
                );
                continue;
            }
            // OpenAPI has no wildcards.
            let first = firsts.entry(operation.template.shape().replace("{*", "{"));
            let first = Arc::clone(first.or_insert_with(|| Arc::clone(&operation.template)));
            let verb = operation.meta.verb.as_str().to_lowercase();
            let path = first.as_str().replace("{*", "{");
            let written = self.operation(operation, names, first.params());
            let entry = paths.entry(path).or_insert_with(|| json!({}));
            entry[verb] = written;
        }
        paths
    }

    pub(super) fn tell(
        &mut self,
        operation: &Operation,
        what: impl Into<String>,
        declare: impl Into<String>,
    ) {
        let Place {
            controller,
            handler,
            ..
        } = operation.place;
        self.unknown.push(Unknown {
            verb: operation.meta.verb,
            path: operation.template.as_str().to_owned(),
            handler: format!("{controller}::{handler}"),
            what: what.into(),
            declare: declare.into(),
        });
    }

    pub(super) fn tell_type(&mut self, operation: &Operation, whose: &str, name: &str) {
        let name = short_name(name);
        let what = format!("{whose} `{name}` has no schema");
        let mut declare = format!("write `#[derive(JsonSchema)]` above `{name}`");
        let controller = short_name(operation.mounted.type_name);
        // Even a type with a schema has none where it is a parameter, unless a bound says so.
        if controller.contains('<') {
            declare = format!(
                "{declare}, and a bound such as `T: JsonSchema` in `{controller}` if it comes from a parameter"
            );
        }
        self.tell(operation, what, declare);
    }

    fn operation(&mut self, operation: &Operation, names: Names, params: &[String]) -> Value {
        let mut told = Description::default();
        (operation.describe)(&mut told);
        for describe in &operation.hooks {
            let mut hook = Description::default();
            describe(&mut hook);
            told.add_hook(hook);
        }
        let mut written = json!({
            "operationId": names.id,
            "tags": [names.tag],
        });
        let (summary, description) = split(told.docs);
        for (key, text) in [("summary", summary), ("description", description)] {
            if !text.is_empty() {
                written[key] = text.into();
            }
        }
        if told.is_deprecated {
            written["deprecated"] = true.into();
        }
        let parameters = self.parameters(operation, &told, params);
        if !parameters.is_empty() {
            written["parameters"] = parameters.into();
        }
        if let Some(body) = self.body(operation, &told) {
            written["requestBody"] = body;
        }
        self.arguments(operation, &told);
        // It is not known whether a guard that does not declare its credentials requires any.
        if !operation.security.is_empty() {
            written["security"] = self.security(&operation.security).into();
        } else if !operation.is_guarded {
            written["security"] = json!([]);
        }
        written["responses"] = Value::Object(self.responses(operation, &told));
        written
    }
    /// Extractors from other crates may read anything.
    fn arguments(&mut self, operation: &Operation, told: &Description) {
        if told.accepts.is_some() {
            return;
        }
        for name in &told.extractors {
            let what = format!("what its argument `{}` reads", short_name(name));
            let declare = "write `#[accepts(T)]` if that is the body, or arguments such as `#[header] name: T` for what is in the head";
            self.tell(operation, what, declare);
        }
    }

    /// Every combination of one kind of credentials for each guard is an alternative.
    fn security(&mut self, guards: &[Security]) -> Vec<Value> {
        let mut alternatives = vec![Map::new()];
        for security in guards {
            let mut wider = Vec::new();
            for scheme in security.schemes() {
                let (name, written) = written_scheme(scheme);
                self.schemes.insert(name.clone(), written);
                wider.extend(alternatives.iter().cloned().map(|mut with| {
                    with.insert(name.clone(), json!([]));
                    with
                }));
            }
            alternatives = wider;
        }
        alternatives.into_iter().map(Value::Object).collect()
    }
}

fn written_scheme(scheme: &Scheme) -> (String, Value) {
    match scheme {
        Scheme::Basic => (
            "basic".to_owned(),
            json!({ "type": "http", "scheme": "basic" }),
        ),
        Scheme::Header(name) => (
            valid(&format!("header-{name}")),
            json!({ "type": "apiKey", "in": "header", "name": name }),
        ),
        Scheme::Cookie(name) => (
            valid(&format!("cookie-{name}")),
            json!({ "type": "apiKey", "in": "cookie", "name": name }),
        ),
        _ => (
            "bearer".to_owned(),
            json!({ "type": "http", "scheme": "bearer" }),
        ),
    }
}

/// Splits a doc comment into its first paragraph, on one line, and the rest.
fn split(docs: &str) -> (String, String) {
    let docs = docs.trim();
    let (first, rest) = docs.split_once("\n\n").unwrap_or((docs, ""));
    (first.replace('\n', " "), rest.trim().to_owned())
}
