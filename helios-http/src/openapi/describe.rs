//! Descriptions of routes. Generated code fills them in, and the document is made of them.

use std::any::type_name;
use std::collections::BTreeSet;

use helios_core::bind::probe::{may_be_absent, may_be_refused, may_have_no_body};
use helios_core::bind::{FromBody, FromValue};
use helios_core::error::{HttpError, Location};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

/// Describes a route.
pub type Describe = fn(&mut Description);

/// Describe the hooks that every stream below a controller passes.
pub type DescribeHooks = &'static [Describe];

/// The text of a doc comment.
pub type Docs = &'static str;

/// The name and version of the app's package.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// `CARGO_PKG_NAME`
    pub title: &'static str,
    /// `CARGO_PKG_VERSION`
    pub version: &'static str,
}

/// Returns a value in code that is compiled only for its types and never runs.
#[must_use]
pub fn never<T>() -> T {
    unreachable!("this code is only there for its types")
}

/// A type, and its schema if it has one.
#[derive(Clone, Copy, Debug, Default)]
pub struct TypeSchema {
    pub(crate) name: &'static str,
    pub(crate) make: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Whether it is a list, of which `make` generates the items.
    pub(crate) is_list: bool,
}

impl TypeSchema {
    /// Returns the schema of a type that has one.
    #[must_use]
    pub fn of<T: schemars::JsonSchema>() -> Self {
        Self {
            name: type_name::<T>(),
            make: Some(SchemaGenerator::subschema_for::<T>),
            is_list: false,
        }
    }

    /// Returns the schema of a list. schemars generates the same one, but with several functions for each type of list.
    #[must_use]
    pub fn of_list<T: schemars::JsonSchema>() -> Self {
        Self {
            name: type_name::<Vec<T>>(),
            is_list: true,
            ..Self::of::<T>()
        }
    }

    /// Returns a type without a schema.
    #[must_use]
    pub fn unknown<T>() -> Self {
        Self {
            name: type_name::<T>(),
            make: None,
            is_list: false,
        }
    }
}

/// A type with a JSON schema, as the derive of the same name implements it. Write it as a bound where a type is a parameter, because the
/// OpenAPI document then knows no more of the type than its bounds. Without the feature `openapi` every type meets it.
///
/// ```
/// use helios::prelude::*;
/// use serde::Serialize;
///
/// #[derive(Injectable)]
/// struct Crud<T: Send + Sync + 'static> {
///     #[inject(default)]
///     all: std::sync::Mutex<Vec<T>>,
/// }
///
/// #[controller]
/// impl<T: Clone + Serialize + JsonSchema + Send + Sync + 'static> Crud<T> {
///     #[get]
///     fn list(&self) -> Json<Vec<T>> {
///         Json(self.all.lock().unwrap().clone())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no JSON schema",
    label = "the OpenAPI document needs the schema of `{Self}` here",
    note = "write `#[derive(helios::JsonSchema)]` above `{Self}` if it is your type, and above each type of yours inside of it",
    note = "a type of another crate may have a schema behind a feature of `schemars`, such as `chrono04`; otherwise write \
            `#[schemars(with = \"String\")]` above the field that holds it",
    note = "write a bound such as `T: helios::JsonSchema` if it comes from a parameter"
)]
pub trait JsonSchema: schemars::JsonSchema {
    #[doc(hidden)]
    fn __schema() -> TypeSchema;
}

#[diagnostic::do_not_recommend]
impl<T: schemars::JsonSchema> JsonSchema for T {
    fn __schema() -> TypeSchema {
        TypeSchema::of::<T>()
    }
}

/// Requires the schema of a field's type, so that a missing one is an error at that type that says what to write.
pub const fn has_schema<T: JsonSchema>() {}

/// Returns the schema of a value that functions of the app convert.
#[must_use]
pub fn open_schema(_: &mut SchemaGenerator) -> Schema {
    Schema::default()
}

/// A kind of events, as `#[derive(SseEvents)]` declares it.
pub trait Events {
    #[doc(hidden)]
    fn list(events: &mut EventList);
}

/// The events that `#[sse(.., events = T)]` names. All data in them has a schema.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which events there are",
    label = "not an enum of events",
    note = "write `#[derive(helios::SseEvents)]` above the enum `{Self}`; or name `String`, for text in events without a name"
)]
pub trait EventsWithSchemas: Events {
    /// Lists the events. Of a parameter of the enum, only this implementation knows the schema.
    #[doc(hidden)]
    fn list_with_schemas(events: &mut EventList) {
        Self::list(events);
    }
}

/// Events without a name, whose data is text.
impl Events for String {
    fn list(events: &mut EventList) {
        events.unnamed(Data::Text);
    }
}

impl EventsWithSchemas for String {}

/// The statuses of an error type, as `#[derive(HttpError)]` declares them.
pub trait ErrorStatuses {
    #[doc(hidden)]
    fn list(errors: &mut Errors);
}

/// An `HttpError` may have any status.
impl ErrorStatuses for HttpError {
    fn list(errors: &mut Errors) {
        errors.any = true;
    }
}

/// `Infallible` never occurs.
impl ErrorStatuses for std::convert::Infallible {
    fn list(_: &mut Errors) {}
}

/// The statuses of errors.
#[derive(Debug, Default)]
pub struct Errors {
    /// The statuses of errors that are sent as problem JSON.
    pub(crate) statuses: BTreeSet<u16>,
    /// Whether other statuses may be sent as problem JSON, too.
    pub(crate) any: bool,
    /// Types whose response is their own.
    pub(crate) foreign: Vec<&'static str>,
}

impl Errors {
    /// Adds the status of an error.
    pub fn status(&mut self, status: u16) {
        self.statuses.insert(status);
    }
}

/// The events of a stream.
#[derive(Debug, Default)]
pub struct EventList(pub(crate) Vec<Event>);

#[derive(Debug)]
pub(crate) struct Event {
    /// `None` if the event has no name.
    pub(crate) name: Option<&'static str>,
    pub(crate) docs: &'static str,
    pub(crate) data: Data,
}

#[derive(Debug)]
pub(crate) enum Data {
    Text,
    Json(TypeSchema),
    Tuple(Vec<TypeSchema>),
    Object(Vec<(&'static str, &'static str, TypeSchema)>),
}

impl EventList {
    /// Adds an event whose data is one value.
    pub fn value(&mut self, name: &'static str, docs: &'static str, schema: TypeSchema) {
        self.push(Some(name), docs, Data::Json(schema));
    }

    /// Adds an event whose data is a list of values.
    pub fn tuple(&mut self, name: &'static str, docs: &'static str, of: Vec<TypeSchema>) {
        self.push(Some(name), docs, Data::Tuple(of));
    }

    /// Adds an event whose data is an object: names, doc comments and types.
    pub fn object(
        &mut self,
        name: &'static str,
        docs: &'static str,
        of: Vec<(&'static str, &'static str, TypeSchema)>,
    ) {
        self.push(Some(name), docs, Data::Object(of));
    }

    pub(crate) fn unnamed(&mut self, data: Data) {
        self.push(None, "", data);
    }

    fn push(&mut self, name: Option<&'static str>, docs: &'static str, data: Data) {
        self.0.push(Event { name, docs, data });
    }
}

/// One value of the request that a route reads.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) location: Location,
    pub(crate) name: &'static str,
    pub(crate) schema: TypeSchema,
    pub(crate) required: bool,
    /// Whether a value that is there may be refused.
    pub(crate) may_be_refused: bool,
    pub(crate) default: Option<Value>,
}

/// The whole path or query, read as one value.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) location: Location,
    pub(crate) schema: TypeSchema,
    pub(crate) is_validated: bool,
}

/// The body that a route reads.
#[derive(Debug)]
pub(crate) struct Body {
    /// The media types.
    pub(crate) media: Vec<&'static str>,
    /// `None` if nothing is known about the content.
    pub(crate) schema: Option<TypeSchema>,
    pub(crate) required: bool,
    /// Whether another media type, or a body of another shape, is refused.
    pub(crate) is_read: bool,
}

/// A response that `#[answers(..)]` declares.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media: Option<&'static str>,
    pub(crate) schema: Option<TypeSchema>,
}

/// The body of a plain route's response.
#[derive(Debug, Default)]
pub(crate) enum Content {
    Nothing,
    Media(&'static str),
    /// A response whose type does not show its body.
    #[default]
    Opaque,
}

/// The kind of an argument without an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Argument {
    Query,
    Path,
    Json,
    Form,
    Text,
    Bytes,
    /// Reads parts of the head that a document does not show.
    Head,
    /// The handle of the stream.
    Stream,
    /// Any other type, known only by its name.
    #[default]
    Other,
}

/// Knowledge about a stream's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Item {
    Text,
    Json,
    Listed,
    #[default]
    Unknown,
}

/// Everything that a route's types and attributes say.
#[derive(Debug, Default)]
pub struct Description {
    pub(crate) docs: &'static str,
    pub(crate) is_deprecated: bool,
    pub(crate) taken: Vec<Taken>,
    pub(crate) wholes: Vec<Whole>,
    pub(crate) body: Option<Body>,
    /// The media type and the type that `#[accepts(..)]` declares.
    pub(crate) accepts: Option<(Option<&'static str>, TypeSchema)>,
    pub(crate) errors: Errors,
    pub(crate) content: Content,
    pub(crate) schema: Option<TypeSchema>,
    /// `#[header("content-type", "text/css")]`
    pub(crate) media: Option<&'static str>,
    /// Whether the handler chooses the status at run time.
    pub(crate) has_own_status: bool,
    pub(crate) answers: Vec<Answer>,
    pub(crate) events: EventList,
    pub(crate) item: Item,
    /// Whether it may answer with a response in place of the stream.
    pub(crate) may_reply: bool,
    /// Whether code that has a handle of the stream may join topics.
    pub(crate) may_join: bool,
    /// Whether `events = T` was given, which overrides the type of the stream.
    pub(crate) are_events_declared: bool,
    /// The argument that is being described.
    pub(crate) argument: Argument,
    pub(crate) is_optional: bool,
    /// Arguments of unknown types, which may read anything.
    pub(crate) extractors: Vec<&'static str>,
}

impl Description {
    /// Sets the doc comment.
    pub fn docs(&mut self, docs: &'static str) {
        self.docs = docs;
    }

    /// Marks the route as deprecated.
    pub fn deprecated(&mut self) {
        self.is_deprecated = true;
    }

    /// Adds a parameter of the path.
    pub fn param<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Path, name, schema);
    }

    /// Adds a key of the query.
    pub fn query<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Query, name, schema);
    }

    /// Adds a header.
    pub fn header<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Header, name, schema);
    }

    /// Adds a cookie.
    pub fn cookie<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Cookie, name, schema);
    }

    fn take<T: FromValue>(&mut self, location: Location, name: &'static str, schema: TypeSchema) {
        self.taken.push(Taken {
            location,
            name,
            schema,
            required: location == Location::Path || !may_be_absent::<T>(),
            may_be_refused: may_be_refused::<T>(location),
            default: None,
        });
    }

    /// Sets the default of the value that was described last; `None` if the default does not serialise.
    pub fn absent_as(&mut self, value: Option<Value>) {
        if let Some(taken) = self.taken.last_mut() {
            taken.required = false;
            taken.default = value;
        }
    }

    /// Sets the type of `#[body]`, and the formats in which it is read.
    pub fn body<T: FromBody>(&mut self, json: bool, form: bool, schema: TypeSchema) {
        self.read_body(json, form, schema, !may_have_no_body::<T>());
    }

    /// The part that is the same for every type, which is thus compiled once and not for each type.
    fn read_body(&mut self, json: bool, form: bool, schema: TypeSchema, required: bool) {
        let media = [(json || !form, JSON), (form, FORM)];
        let media = media.into_iter().filter(|(is_read, _)| *is_read);
        self.body = Some(Body {
            media: media.map(|(_, media)| media).collect(),
            schema: Some(schema),
            required,
            is_read: true,
        });
    }

    /// Adds an argument without an attribute, whose kind the rungs have recorded.
    pub fn argument(&mut self, schema: TypeSchema, is_validated: bool) {
        let is_optional = std::mem::take(&mut self.is_optional);
        let whole = |location| Whole {
            location,
            schema,
            is_validated,
        };
        let body = |media, schema, is_read| Body {
            media: vec![media],
            schema,
            required: !is_optional,
            is_read,
        };
        match std::mem::take(&mut self.argument) {
            Argument::Query => self.wholes.push(whole(Location::Query)),
            Argument::Path => self.wholes.push(whole(Location::Path)),
            Argument::Json => self.body = Some(body(JSON, Some(schema), true)),
            Argument::Form => self.body = Some(body(FORM, Some(schema), true)),
            Argument::Text => self.body = Some(body(TEXT, Some(schema), false)),
            Argument::Bytes => self.body = Some(body(BYTES, None, false)),
            Argument::Other if schema.name == MULTIPART_TYPE => {
                self.body = Some(body(MULTIPART, None, true));
            }
            Argument::Other if NOTHING_TO_SHOW.iter().any(|it| schema.name.starts_with(it)) => {}
            Argument::Other => self.extractors.push(schema.name),
            Argument::Stream => self.may_join = true,
            Argument::Head => {}
        }
    }

    /// Adds what a connection hook reads, and how it refuses a stream. With a handle it may also let the stream join topics.
    pub(crate) fn add_hook(&mut self, hook: Self) {
        for taken in hook.taken {
            let is_same = |it: &&mut Taken| (it.location, it.name) == (taken.location, taken.name);
            match self.taken.iter_mut().find(is_same) {
                Some(own) => {
                    own.required |= taken.required;
                    own.may_be_refused |= taken.may_be_refused;
                }
                None => self.taken.push(taken),
            }
        }
        self.wholes.extend(hook.wholes);
        self.extractors.extend(hook.extractors);
        self.errors.statuses.extend(hook.errors.statuses);
        self.errors.any |= hook.errors.any;
        self.errors.foreign.extend(hook.errors.foreign);
        self.may_join |= hook.may_join;
    }

    /// Sets the media type from a `content-type` header that the route sets.
    pub fn media(&mut self, media: &'static str) {
        self.media = Some(media.split(';').next().unwrap_or(media).trim());
    }

    /// Handles `#[accepts(T)]`.
    pub fn accepts<T: JsonSchema>(&mut self, media: Option<&'static str>) {
        self.accepts = Some((media, T::__schema()));
    }

    /// Handles `#[answers(201, T)]`.
    pub fn answers<T: JsonSchema>(&mut self, status: u16, media: Option<&'static str>) {
        let schema = Some(T::__schema());
        self.answers.push(Answer {
            status,
            media,
            schema,
        });
    }

    /// Handles `#[answers(204)]` and `#[answers(200, "image/png")]`.
    pub fn answers_with(&mut self, status: u16, media: Option<&'static str>) {
        self.answers.push(Answer {
            status,
            media,
            schema: None,
        });
    }

    /// Handles `events = T`.
    pub fn events<T: EventsWithSchemas>(&mut self) {
        self.are_events_declared = true;
        self.item = Item::Listed;
        T::list_with_schemas(&mut self.events);
    }

    /// Sets the type that a plain route returns, whose kind the rungs have recorded.
    pub fn gives(&mut self, schema: TypeSchema) {
        self.schema = Some(schema);
    }

    /// Sets the type that a stream yields, whose kind the rungs have recorded.
    pub fn yields(&mut self, item: Item_, schema: TypeSchema) {
        if self.are_events_declared {
            return;
        }
        self.item = item.0;
        match item.0 {
            Item::Text => self.events.unnamed(Data::Text),
            Item::Json => self.events.unnamed(Data::Json(schema)),
            Item::Listed | Item::Unknown => {}
        }
    }
}

/// The kind of an item, as the rungs have determined it.
#[derive(Clone, Copy, Debug)]
pub struct Item_(pub(crate) Item);

/// The header in which a client sends its position.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const TEXT: &str = "text/plain";
pub(crate) const HTML: &str = "text/html";
pub(crate) const BYTES: &str = "application/octet-stream";
pub(crate) const MULTIPART: &str = "multipart/form-data";

/// Extractors of axum, on which Helios does not depend. They read values that layers have put on the request, the
/// matched path, or the upgrade of the connection.
const NOTHING_TO_SHOW: [&str; 3] = [
    "axum::extension::Extension<",
    "axum::extract::matched_path::MatchedPath",
    "axum::extract::ws::WebSocketUpgrade",
];

/// Named by a text, because the extractor is behind a feature of the crate that defines it.
const MULTIPART_TYPE: &str = "helios_core::multipart::Multipart";
