//! Streams in a document. In OpenAPI 3.2 an item is an event as it is sent: `data` is a text, and its schema says what
//! the text contains. Version 3.1 has no items. There the stream's own schema is that of an event, and `data` is the
//! value that the text contains.

use serde_json::{Map, Value, json};

use crate::openapi::components::component;
use crate::openapi::describe::{Data, Event, EventList, Item, TypeSchema};
use crate::openapi::schema::{Schemas, add_alternative};
use crate::sse::options::StreamOptions;
use crate::sse::{OnError, Overload, SseOptions};

pub(super) const STREAM: &str = "text/event-stream";
pub(super) const PROBLEM: &str = "HeliosProblem";

/// Helios' own events: the names of their components, their own names, and their descriptions.
const CONTROL: [(&str, &str, &str); 10] = [
    (
        "HeliosReady",
        "ready",
        "The stream is live. Its id is the client's position.",
    ),
    (
        "HeliosReset",
        "reset",
        "You have missed events of these topics. Fetch again what you show. The stream goes on.",
    ),
    (
        "HeliosStale",
        "stale",
        "Says whether what you show may be out of date.",
    ),
    (
        "HeliosReconnect",
        "reconnect",
        "The stream ends here. Reconnect after the `retry` of this event.",
    ),
    (
        "HeliosEnd",
        "end",
        "The stream is finished. Do not reconnect.",
    ),
    (
        "HeliosOverloaded",
        "overloaded",
        "There is no room for this stream. Reconnect after `retry` milliseconds.",
    ),
    ("HeliosWelcome", "welcome", "The client's id."),
    (
        "HeliosJoined",
        "joined",
        "This member is there from now on: its first stream has appeared.",
    ),
    (
        "HeliosUpdated",
        "updated",
        "This member has appeared with other data.",
    ),
    (
        "HeliosLeft",
        "left",
        "This member has left, or its server is lost.",
    ),
];
const ERROR: &str = "HeliosError";

/// The key with the schema of an item's data, from which that of 3.1 is made.
const CONTENT: &str = "contentSchema";

/// Returns the schema of a stream's items, or `None` if its events are not known. Adds types without a schema to
/// `unknown`.
pub(super) fn item(
    (kind, events): (Item, &EventList),
    (options, may_join): (&StreamOptions, bool),
    server: &SseOptions,
    schemas: &mut Schemas,
    unknown: &mut Vec<&'static str>,
) -> Option<Value> {
    if kind == Item::Unknown {
        return None;
    }
    let mut items = Vec::new();
    for event in &events.0 {
        let name = event.name.unwrap_or_default();
        // The server refuses names that are reserved for control events.
        if !name.starts_with(&server.control_prefix) {
            items.push((name.to_owned(), of(event, schemas, unknown)));
        }
    }
    items.extend(control(options, may_join, server));
    let mut items = by_name(items);
    Some(match items.len() {
        0 => json!({ "not": {} }),
        1 => items.remove(0),
        _ => json!({ "oneOf": items }),
    })
}

/// Returns one schema for each name of an event, so that an event fits into one of them only. The app may send events
/// with the names of Helios' own.
fn by_name(items: Vec<(String, Value)>) -> Vec<Value> {
    let mut found: Vec<(String, Value)> = Vec::new();
    for (name, item) in items {
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => add_alternative(known, &item),
            None => found.push((name, item)),
        }
    }
    found.into_iter().map(|(_, item)| item).collect()
}

fn of(event: &Event, schemas: &mut Schemas, unknown: &mut Vec<&'static str>) -> Value {
    let mut sent = |schema: &TypeSchema| {
        let found = schemas.sent(*schema);
        found.unwrap_or_else(|| {
            unknown.push(schema.name);
            json!({})
        })
    };
    let data = match &event.data {
        Data::Text => json!({ "type": "string" }),
        Data::Json(schema) => in_text(sent(schema)),
        Data::Tuple(of) => {
            let of: Vec<_> = of.iter().map(sent).collect();
            let count = of.len();
            in_text(json!({
                "type": "array", "prefixItems": of, "items": false, "minItems": count, "maxItems": count,
            }))
        }
        Data::Object(of) => {
            let required: Vec<_> = of.iter().map(|(name, ..)| *name).collect();
            let property = |(name, docs, schema): &(&str, &str, TypeSchema)| {
                ((*name).to_owned(), described(sent(schema), docs))
            };
            let properties: Map<_, _> = of.iter().map(property).collect();
            in_text(json!({ "type": "object", "required": required, "properties": properties }))
        }
    };
    let event_schema = match event.name {
        Some(name) => named(name, &data),
        // Some programs read the event without a name, others the name with which it is dispatched.
        None => json!({
            "type": "object",
            "required": ["data"],
            "properties": { "event": { "const": "message" }, "data": data },
        }),
    };
    described(event_schema, event.docs)
}

fn named(name: &str, data: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["event", "data"],
        "properties": { "event": { "const": name }, "data": data },
    })
}

/// Returns the schema of a text that contains JSON.
fn in_text(schema: Value) -> Value {
    json!({ "type": "string", "contentMediaType": "application/json", CONTENT: schema })
}

/// Adds a description, which may also accompany a reference.
pub(super) fn described(mut schema: Value, docs: &str) -> Value {
    if let (false, Value::Object(schema)) = (docs.is_empty(), &mut schema) {
        schema.insert("description".to_owned(), docs.trim().into());
    }
    schema
}

/// Returns Helios' own events of a stream, with their names.
fn control(options: &StreamOptions, may_join: bool, server: &SseOptions) -> Vec<(String, Value)> {
    let is_there = |name: &str| match name {
        // Changes of members are published, so plain streams have them too.
        "joined" | "updated" | "left" => may_join && !server.presence.is_empty(),
        _ if options.plain => false,
        "ready" | "reset" => may_join,
        "stale" => may_join && server.tell_stale,
        "overloaded" => options.overload == Overload::Event,
        "welcome" => server.welcome,
        _ => true,
    };
    let control = CONTROL.iter().filter(|(_, name, _)| is_there(name));
    let control = control.map(|(schema, name, _)| (sent_as(name, server), component(schema)));
    let mut items: Vec<_> = control.collect();
    if options.on_error == OnError::Event {
        items.push(("error".to_owned(), component(ERROR)));
    }
    items
}

/// Returns the name with which a control event is sent.
fn sent_as(control: &str, server: &SseOptions) -> String {
    match control {
        "welcome" => control.to_owned(),
        _ => format!("{}{control}", server.control_prefix),
    }
}

/// Returns the components that streams and errors refer to.
pub(super) fn components(server: &SseOptions) -> Map<String, Value> {
    let event = |(component, name, docs): (&str, &str, &str)| {
        let data = data_of(name);
        let name = sent_as(name, server);
        (component.to_owned(), described(named(&name, &data), docs))
    };
    let mut components: Map<_, _> = CONTROL.into_iter().map(event).collect();
    let error = named("error", &in_text(component(PROBLEM)));
    let docs = "The stream failed and ends.";
    components.insert(ERROR.to_owned(), described(error, docs));
    components.insert(PROBLEM.to_owned(), problem());
    components
}

/// Returns the data of a control event. All fields are always there. The data of an end is empty.
fn data_of(control: &str) -> Value {
    let properties = properties_of(control);
    let Value::Object(fields) = &properties else {
        return json!({ "type": "string", "const": "" });
    };
    let required: Vec<_> = fields.keys().collect();
    in_text(json!({ "type": "object", "required": required, "properties": properties }))
}

fn properties_of(control: &str) -> Value {
    let text = || json!({ "type": "string" });
    let uuid = || json!({ "type": "string", "format": "uuid" });
    let count = || json!({ "type": "integer", "minimum": 0 });
    match control {
        "ready" => json!({ "client": uuid(), "resumed": { "type": "boolean" } }),
        "reset" => json!({ "reason": text(), "topics": { "type": "array", "items": text() } }),
        "stale" => json!({ "stale": { "type": "boolean" } }),
        "reconnect" => json!({ "reason": text() }),
        "overloaded" => json!({ "retry": count() }),
        "welcome" => json!({ "uuid": uuid() }),
        "joined" => {
            let since = described(count(), "Milliseconds since 1970.");
            json!({ "key": text(), "data": {}, "since": since })
        }
        "updated" => json!({ "key": text(), "data": {} }),
        "left" => json!({ "key": text(), "reason": { "enum": ["left", "lost"] } }),
        _ => Value::Null,
    }
}

/// Returns the schema of problem JSON (RFC 9457), with the fields that Helios adds.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["in", "name"],
                    "properties": {
                        "in": { "enum": ["path", "query", "header", "cookie", "body"] },
                        "name": { "type": "string" },
                        "expected": { "type": "string" },
                        "message": { "type": "string" },
                        "got": { "type": "string" },
                    },
                },
            },
            "omitted": { "type": "integer", "minimum": 1 },
        },
    })
}

/// Turns the document of 3.2 into that of 3.1.
pub(super) fn without_items(document: &mut Value) {
    document["openapi"] = "3.1.1".into();
    let streams = |operation: &mut Value| {
        let responses = operation["responses"].as_object_mut();
        for response in responses.into_iter().flat_map(Map::values_mut) {
            let Some(content) = response.pointer_mut("/content/text~1event-stream") else {
                continue;
            };
            if let Some(mut item) = content["itemSchema"].take_some() {
                unwrap(&mut item);
                content["schema"] = item;
            }
            if let Value::Object(content) = content {
                content.remove("itemSchema");
            }
        }
    };
    let paths = document["paths"].as_object_mut().into_iter();
    for path in paths.flat_map(Map::values_mut) {
        path.as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
            .filter(|operation| operation.is_object())
            .for_each(streams);
    }
    let own = CONTROL.iter().map(|(name, ..)| *name).chain([ERROR]);
    for name in own {
        if let Some(event) = document.pointer_mut(&format!("/components/schemas/{name}")) {
            unwrap(event);
        }
    }
}

trait TakeSome {
    fn take_some(&mut self) -> Option<Value>;
}

impl TakeSome for Value {
    fn take_some(&mut self) -> Option<Value> {
        Some(self.take()).filter(|value| !value.is_null())
    }
}

/// Replaces the data of an event by the value that its text contains.
fn unwrap(item: &mut Value) {
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(items)) = item.get_mut(key) {
            items.iter_mut().for_each(unwrap);
        }
    }
    if let Some(data) = item.pointer_mut("/properties/data")
        && let Some(held) = data.get_mut(CONTENT).map(Value::take)
    {
        *data = held;
    }
}
