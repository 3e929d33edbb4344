//! The document as a whole, made of what every route's table says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use helios_core::error::Location;
use helios_core::route::{RouteMeta, Template, Verb};
use helios_core::security::{Scheme, Security};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::error::{Place, StartupFault};
use crate::openapi::describe::{
    About, Answer, BYTES, Body, Content, Describe, Description, Docs, FORM, Item, JSON, MULTIPART,
    Taken, TypeSchema, Whole as WholePart,
};
use crate::openapi::events::{self, PROBLEM, STREAM};
use crate::openapi::schema::{Schemas, component};
use crate::openapi::settings::OpenApi;
use crate::sse::options::StreamOptions;
use crate::sse::{Overload, SseOptions};

/// Headers that a document does not list as parameters: their fields say it, and so does what stands for credentials.
const UNLISTED: [&str; 3] = ["accept", "content-type", "authorization"];
const LAST_EVENT_ID: &str = "last-event-id";

/// The document of an app's routes, from [`Helios::openapi_document`](crate::Helios::openapi_document). Its `Display` is that of OpenAPI
/// 3.2 as JSON, in lines, for a file.
///
/// ```
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Clock;
///
/// #[controller(prefix = "clock")]
/// impl Clock {
///     #[get]
///     fn now(&self) -> String { "late".to_owned() }
/// }
///
/// #[server(controllers = [Clock])]
/// struct App;
///
/// let document = Helios::new(App).openapi_document()?;
/// assert_eq!(document.v3_2()["paths"]["/clock"]["get"]["operationId"], "Clock.now");
/// assert!(document.unknown().is_empty());
/// assert!(document.to_string().starts_with("{\n"));
/// # Ok::<(), helios::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenApiDocument {
    newest: Value,
    of_3_1: Value,
    unknown: Vec<Unknown>,
}

impl OpenApiDocument {
    /// Returns the document of OpenAPI 3.2: a stream has an `itemSchema`, of which an item is an event as it is sent.
    #[must_use]
    pub fn v3_2(&self) -> &Value {
        &self.newest
    }

    /// Returns the document of OpenAPI 3.1, for programs that do not know 3.2 yet. It differs in streams alone: their `schema` is that of
    /// one event, and its `data` is what the text holds.
    #[must_use]
    pub fn v3_1(&self) -> &Value {
        &self.of_3_1
    }

    /// Lists what the document does not say, since no type says it.
    #[must_use]
    pub fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }
}

impl fmt::Display for OpenApiDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.newest)
    }
}

/// Something that the document does not say of a route, since no type says it. Its text says what to write.
///
/// ```
/// use helios::axum_core::response::{IntoResponse, Response};
/// use helios::prelude::*;
///
/// #[derive(Injectable)]
/// struct Reports;
///
/// #[controller(prefix = "reports")]
/// impl Reports {
///     #[get]
///     fn latest(&self) -> Response { "all is well".into_response() }
/// }
///
/// #[server(controllers = [Reports])]
/// struct App;
///
/// let document = Helios::new(App).openapi_document()?;
/// let [unknown] = document.unknown() else { panic!("{:?}", document.unknown()) };
/// assert_eq!(unknown.handler, "Reports::latest");
/// assert!(unknown.to_string().starts_with("GET /reports: what it answers with"));
/// # Ok::<(), helios::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unknown {
    /// The method.
    pub verb: Verb,
    /// The whole path template.
    pub path: String,
    /// Controller and method, such as `User::find`.
    pub handler: String,
    /// What is not known.
    pub what: String,
    /// How it is declared.
    pub declare: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            path,
            what,
            declare,
            ..
        } = self;
        write!(f, "{verb} {path}: {what}; {declare}")
    }
}

/// A route, as start-up has put it together.
pub(crate) struct Operation {
    pub(crate) place: Place,
    pub(crate) docs: Docs,
    pub(crate) meta: RouteMeta,
    pub(crate) template: Arc<Template>,
    pub(crate) describe: Describe,
    pub(crate) security: Vec<Security>,
    pub(crate) is_guarded: bool,
    /// Closures make something else of its JSON.
    pub(crate) is_mapped: bool,
    /// The options of its streams, and whether they may be in topics.
    pub(crate) stream: Option<(StreamOptions, bool)>,
}

/// What the document takes from the app as a whole.
pub(crate) struct Whole<'a> {
    pub(crate) about: About,
    pub(crate) sse: &'a SseOptions,
    /// Errors have a format of the app's own.
    pub(crate) has_error_format: bool,
}

/// Makes the document.
///
/// # Errors
///
/// Operations with one id.
pub(crate) fn document(
    operations: &[Operation],
    settings: &OpenApi,
    app: &Whole<'_>,
) -> Result<OpenApiDocument, Vec<StartupFault>> {
    let faults = doubles(operations);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut writer = Writer {
        app,
        schemas: Schemas::new(),
        schemes: BTreeMap::new(),
        unknown: Vec::new(),
    };
    let paths = writer.paths(operations);
    let mut newest = json!({
        "openapi": "3.2.0",
        "info": info(settings, app.about),
        "servers": servers(settings),
        "tags": tags(operations),
        "paths": paths,
        "components": {},
    });
    if !writer.schemes.is_empty() {
        newest["components"]["securitySchemes"] = json!(writer.schemes);
    }
    let own = events::components(app.sse);
    writer.schemas.finish(&mut newest, own);
    let mut of_3_1 = newest.clone();
    events::without_items(&mut of_3_1);
    Ok(OpenApiDocument {
        newest,
        of_3_1,
        unknown: writer.unknown,
    })
}

fn info(settings: &OpenApi, about: About) -> Value {
    let mut info = json!({
        "title": settings.title_or(about),
        "version": settings.version_or(about),
    });
    if let Some(description) = &settings.description {
        info["description"] = description.as_str().into();
    }
    info
}

/// Without one it is the server that the document is from, which some programs want to be told.
fn servers(settings: &OpenApi) -> Vec<Value> {
    let here = ["/".to_owned()];
    let servers = match settings.servers.is_empty() {
        true => &here[..],
        false => &settings.servers,
    };
    servers.iter().map(|url| json!({ "url": url })).collect()
}

fn tags(operations: &[Operation]) -> Vec<Value> {
    let mut tags = BTreeMap::new();
    for operation in operations {
        let docs = tags.entry(operation.place.controller).or_insert("");
        if docs.is_empty() {
            *docs = operation.docs;
        }
    }
    let tag = |(name, docs): (&str, &str)| events::described(json!({ "name": name }), docs);
    tags.into_iter().map(tag).collect()
}

fn id(place: Place) -> String {
    format!("{}.{}", place.controller, place.handler)
}

fn doubles(operations: &[Operation]) -> Vec<StartupFault> {
    let mut seen = BTreeMap::new();
    let mut faults = Vec::new();
    let listed = operations.iter().filter(|it| it.meta.verb != Verb::Any);
    for Operation {
        place, template, ..
    } in listed
    {
        let path = template.as_str();
        if let Some(first) = seen.insert(id(*place), path) {
            faults.push(StartupFault::SameOperation {
                place: *place,
                paths: [first.to_owned(), path.to_owned()],
            });
        }
    }
    faults
}

/// Writes the operations, and gathers what they need.
struct Writer<'a> {
    app: &'a Whole<'a>,
    schemas: Schemas,
    schemes: BTreeMap<String, Value>,
    unknown: Vec<Unknown>,
}

impl Writer<'_> {
    fn paths(&mut self, operations: &[Operation]) -> Map<String, Value> {
        let mut paths = Map::new();
        // Two templates of one shape are one path, with the names of the first.
        let mut names: BTreeMap<String, Arc<Template>> = BTreeMap::new();
        for operation in operations {
            if operation.meta.verb == Verb::Any {
                self.tell(
                    operation,
                    "it answers every method, and an operation is of one",
                    "write a method for each that is to be shown",
                );
                continue;
            }
            let first = names.entry(operation.template.shape());
            let first = Arc::clone(first.or_insert_with(|| Arc::clone(&operation.template)));
            let verb = operation.meta.verb.as_str().to_lowercase();
            let path = first.as_str().replace("{*", "{");
            let written = self.operation(operation, first.params());
            let entry = paths.entry(path).or_insert_with(|| json!({}));
            entry[verb] = written;
        }
        paths
    }

    fn tell(&mut self, operation: &Operation, what: impl Into<String>, declare: impl Into<String>) {
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

    fn tell_type(&mut self, operation: &Operation, whose: &str, name: &str) {
        let name = short(name);
        let what = format!("{whose} `{name}` has no schema");
        self.tell(
            operation,
            what,
            format!("write `#[derive(JsonSchema)]` above `{name}`"),
        );
    }

    fn operation(&mut self, operation: &Operation, names: &[String]) -> Value {
        let mut told = Description::default();
        (operation.describe)(&mut told);
        let mut written = json!({
            "operationId": id(operation.place),
            "tags": [operation.place.controller],
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
        let parameters = self.parameters(operation, &told, names);
        if !parameters.is_empty() {
            written["parameters"] = parameters.into();
        }
        if let Some(body) = self.body(operation, &told) {
            written["requestBody"] = body;
        }
        // Of a guard that says nothing it is not known whether it asks for credentials.
        if !operation.security.is_empty() {
            written["security"] = self.security(&operation.security).into();
        } else if !operation.is_guarded {
            written["security"] = json!([]);
        }
        written["responses"] = Value::Object(self.responses(operation, &told));
        written
    }

    fn parameters(
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
                Location::Header if taken.name == LAST_EVENT_ID => !reconnects(operation),
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
                Location::Path => of_path = self.whole_path(operation, whole),
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
        parameters.extend(found);
        if reconnects(operation) {
            let schema =
                json!({ "type": "string", "description": "The last id that was received." });
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

    /// Names, where they are known, and schemas.
    fn whole_path(
        &mut self,
        operation: &Operation,
        whole: &WholePart,
    ) -> Vec<(Option<String>, Value)> {
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

    fn whole_query(&mut self, operation: &Operation, whole: &WholePart) -> Vec<Value> {
        if let Some(properties) = self.schemas.properties(whole.schema) {
            let named = properties.into_iter().map(|(name, schema, required)| {
                // A list that is missing is an empty one.
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

    fn body(&mut self, operation: &Operation, told: &Description) -> Option<Value> {
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

    /// One of each guard's kinds of credentials: every combination is an alternative.
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

    fn responses(&mut self, operation: &Operation, told: &Description) -> Map<String, Value> {
        let mut responses = Map::new();
        for status in self.refusals(operation, told) {
            responses.insert(status.to_string(), self.problem(status));
        }
        if told.errors.any {
            let mut any = self.problem(0);
            any["description"] = "An error".into();
            responses.insert("default".to_owned(), any);
        }
        let declared = |answer: &&Answer| answer.status < 400;
        let is_declared = told.answers.iter().any(|answer| declared(&answer));
        for answer in &told.answers {
            responses.insert(answer.status.to_string(), self.answer(answer));
        }
        let declares_errors = told.answers.iter().any(|answer| answer.status >= 400);
        if let (Some(error), false) = (told.errors.foreign.first(), declares_errors) {
            let what = format!("what its error `{}` is answered with", short(error));
            self.tell(
                operation,
                what,
                "derive `HttpError` on it, or write `#[answers(409, T)]`",
            );
        }
        match &operation.stream {
            Some((options, may_join)) => {
                if told.may_reply && !is_declared {
                    let declare = "write `#[answers(202, T)]` for each";
                    self.tell(
                        operation,
                        "what it answers with in place of a stream",
                        declare,
                    );
                }
                let stream = self.stream(operation, told, (options, *may_join));
                responses.insert("200".to_owned(), stream);
                if !options.plain && !options.restart {
                    let seen = json!({ "description": "This client has seen the end" });
                    responses.insert("204".to_owned(), seen);
                }
            }
            None if is_declared => {}
            None => {
                let (status, success) = self.success(operation, told);
                responses.insert(status, success);
            }
        }
        responses
    }

    /// The statuses of problem JSON, each where it can be answered.
    fn refusals(&self, operation: &Operation, told: &Description) -> BTreeSet<u16> {
        let mut statuses = told.errors.statuses.clone();
        let is_refused = |taken: &Taken| {
            !taken.takes_any_text || (taken.required && taken.location != Location::Path)
        };
        let last_id = |taken: &Taken| taken.name == LAST_EVENT_ID && !taken.required;
        let mut taken = told.taken.iter();
        if taken.any(|taken| is_refused(taken) && !last_id(taken)) || !told.wholes.is_empty() {
            statuses.insert(400);
        }
        if told.wholes.iter().any(|whole| whole.is_validated) {
            statuses.insert(422);
        }
        if let Some(body) = &told.body {
            statuses.insert(413);
            if body.is_read {
                statuses.extend([400, 415]);
            }
            if body.media.iter().any(|media| [JSON, FORM].contains(media)) {
                statuses.insert(422);
            }
            if body.media == [MULTIPART] {
                statuses.extend([400, 415]);
            }
        }
        if !operation.security.is_empty() {
            statuses.extend([401, 403]);
        }
        if let Some((options, _)) = &operation.stream
            && let Overload::Status(status) = options.overload
        {
            statuses.insert(status.as_u16());
        }
        statuses
    }

    fn problem(&self, status: u16) -> Value {
        let mut problem = json!({ "description": reason(status) });
        if !self.app.has_error_format {
            problem["content"] =
                json!({ "application/problem+json": { "schema": component(PROBLEM) } });
        }
        problem
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let Answer {
            status,
            media,
            schema,
        } = answer;
        let mut written = json!({ "description": reason(*status) });
        let schema = schema.map(|schema| self.schemas.sent(schema).unwrap_or_else(|| json!({})));
        let content = match (media, schema) {
            (Some(media), schema) => {
                json!({ *media: { "schema": schema.unwrap_or_else(|| json!({})) } })
            }
            (None, Some(schema)) => json!({ JSON: { "schema": schema } }),
            (None, None) if *status >= 400 => return self.problem(*status),
            (None, None) => return written,
        };
        written["content"] = content;
        written
    }

    fn success(&mut self, operation: &Operation, told: &Description) -> (String, Value) {
        let status = operation.meta.status.unwrap_or(200);
        let key = match (told.has_own_status, told.errors.any) {
            (false, _) => status.to_string(),
            (true, false) => "default".to_owned(),
            (true, true) => "2XX".to_owned(),
        };
        if told.has_own_status {
            let declare =
                "return the value alone below `#[http_code(201)]`, or write `#[answers(201, T)]`";
            self.tell(operation, "the status of its answer", declare);
        }
        let mut written = json!({ "description": reason(status) });
        let bodiless = matches!(status, 204 | 205 | 304);
        match told.content {
            Content::Nothing => {}
            _ if bodiless => {}
            Content::Media(given) => {
                let media = told.media.unwrap_or(given);
                let schema = self.content(operation, told, media);
                written["content"] = json!({ media: { "schema": schema } });
            }
            Content::Opaque if told.media.is_some() => {
                let media = told.media.unwrap_or_default();
                written["content"] = json!({ media: { "schema": {} } });
            }
            Content::Opaque => {
                let declare = "write `#[answers(200, T)]`, or `#[answers(200, \"image/png\")]` of what is not JSON";
                self.tell(operation, "what it answers with", declare);
            }
        }
        (key, written)
    }

    fn content(&mut self, operation: &Operation, told: &Description, media: &str) -> Value {
        if operation.is_mapped && media == JSON {
            let what = "what the closures around it make of its answer";
            self.tell(operation, what, "write `#[answers(200, T)]`");
            return json!({});
        }
        let schema = told.schema.unwrap_or(TypeSchema {
            name: "",
            make: None,
        });
        self.schemas.sent(schema).unwrap_or_else(|| {
            self.tell_type(operation, "the type of its answer,", schema.name);
            json!({})
        })
    }

    fn stream(
        &mut self,
        operation: &Operation,
        told: &Description,
        options: (&StreamOptions, bool),
    ) -> Value {
        let mut nameless = Vec::new();
        let kind = match operation.is_mapped && !told.are_events_declared {
            true => Item::Unknown,
            false => told.item,
        };
        let item = events::item(
            (kind, &told.events),
            options,
            self.app.sse,
            &mut self.schemas,
            &mut nameless,
        );
        for name in nameless {
            self.tell_type(operation, "a type in its events,", name);
        }
        let item = item.unwrap_or_else(|| {
            let declare = "write `#[sse(.., events = T)]` with an enum that derives `SseEvents`";
            self.tell(operation, "which events it sends", declare);
            json!({})
        });
        json!({
            "description": "A stream of events",
            "content": { STREAM: { "itemSchema": item } },
        })
    }
}

/// Whether a client that comes back says where it was.
fn reconnects(operation: &Operation) -> bool {
    operation
        .stream
        .as_ref()
        .is_some_and(|(options, _)| !options.plain)
}

fn parameter(location: Location, name: &str, required: bool, schema: Value) -> Value {
    let mut parameter = json!({ "name": name, "in": location, "schema": schema });
    if required {
        parameter["required"] = true.into();
    }
    parameter
}

fn written_scheme(scheme: &Scheme) -> (String, Value) {
    match scheme {
        Scheme::Basic => (
            "basic".to_owned(),
            json!({ "type": "http", "scheme": "basic" }),
        ),
        Scheme::Header(name) => (
            format!("header-{name}"),
            json!({ "type": "apiKey", "in": "header", "name": name }),
        ),
        Scheme::Cookie(name) => (
            format!("cookie-{name}"),
            json!({ "type": "apiKey", "in": "cookie", "name": name }),
        ),
        _ => (
            "bearer".to_owned(),
            json!({ "type": "http", "scheme": "bearer" }),
        ),
    }
}

fn reason(status: u16) -> &'static str {
    let known = StatusCode::from_u16(status).ok();
    known
        .and_then(|status| status.canonical_reason())
        .unwrap_or("An answer")
}

/// The first paragraph of a doc comment in one line, and what follows it.
fn split(docs: &str) -> (String, String) {
    let docs = docs.trim();
    let (first, rest) = docs.split_once("\n\n").unwrap_or((docs, ""));
    (first.replace('\n', " "), rest.trim().to_owned())
}

/// `a::b::Page<c::Note>` as `Page<Note>`.
fn short(name: &str) -> String {
    helios_core::type_name::short_name(name)
}
