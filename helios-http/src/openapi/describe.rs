//! What a route's table says of its types: what generated code writes into, and the document is made of.

use std::any::type_name;
use std::collections::BTreeSet;

use helios_core::bind::probe::{may_be_absent, may_have_no_body, takes_any_text};
use helios_core::bind::{FromBody, FromValue};
use helios_core::error::{HttpError, Location};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// Describes a route.
pub type Describe = fn(&mut Description);

/// A text of a doc comment.
pub type Docs = &'static str;

/// The name and version of the app's package.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// `CARGO_PKG_NAME`
    pub title: &'static str,
    /// `CARGO_PKG_VERSION`
    pub version: &'static str,
}

/// Stands for a value in code that is compiled for its types and never run.
#[must_use]
pub fn never<T>() -> T {
    unreachable!("this code is only there for its types")
}

/// A type, and its schema if it has one.
#[derive(Clone, Copy, Debug)]
pub struct TypeSchema {
    pub(crate) name: &'static str,
    pub(crate) make: Option<fn(&mut SchemaGenerator) -> Schema>,
}

impl TypeSchema {
    /// That of a type with a schema.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        Self {
            name: type_name::<T>(),
            make: Some(SchemaGenerator::subschema_for::<T>),
        }
    }

    /// That of any other type.
    #[must_use]
    pub fn unknown<T>() -> Self {
        Self {
            name: type_name::<T>(),
            make: None,
        }
    }
}

/// A type that has a JSON schema, where one is asked for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no JSON schema",
    label = "the OpenAPI document needs the schema of `{Self}` here",
    note = "write `#[derive(helios::JsonSchema)]` above `{Self}` if it is your type, and above each type of yours inside of it",
    note = "a type of another crate may have a schema behind a feature of `schemars`, such as `chrono04`; otherwise write \
            `#[schemars(with = \"String\")]` above the field that holds it"
)]
pub trait HasSchema {
    #[doc(hidden)]
    fn schema() -> TypeSchema;
}

#[diagnostic::do_not_recommend]
impl<T: JsonSchema> HasSchema for T {
    fn schema() -> TypeSchema {
        TypeSchema::of::<T>()
    }
}

/// Demands the schema of a field's type, so that a missing one is an error at that type that says what to write.
pub const fn has_schema<T: HasSchema>() {}

/// A kind of events, as `#[derive(SseEvents)]` says.
pub trait Events {
    #[doc(hidden)]
    fn list(events: &mut EventList);
}

/// The events that `#[sse(.., events = T)]` names: all data in them has a schema.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which events there are",
    label = "not an enum of events",
    note = "write `#[derive(helios::SseEvents)]` above the enum `{Self}`; or name `String`, for text in events without a name"
)]
pub trait EventsWithSchemas: Events {}

/// Events without a name, whose data is text.
impl Events for String {
    fn list(events: &mut EventList) {
        events.unnamed(Data::Text);
    }
}

impl EventsWithSchemas for String {}

/// What an error type answers with, as `#[derive(HttpError)]` says.
pub trait ErrorStatuses {
    #[doc(hidden)]
    fn list(errors: &mut Errors);
}

/// It may have any status.
impl ErrorStatuses for HttpError {
    fn list(errors: &mut Errors) {
        errors.any = true;
    }
}

/// It does not happen.
impl ErrorStatuses for std::convert::Infallible {
    fn list(_: &mut Errors) {}
}

/// The statuses of errors.
#[derive(Debug, Default)]
pub struct Errors {
    /// Those of problem JSON.
    pub(crate) statuses: BTreeSet<u16>,
    /// Others may come as problem JSON.
    pub(crate) any: bool,
    /// Types that answer in their own way.
    pub(crate) foreign: Vec<&'static str>,
}

impl Errors {
    /// One has this status.
    pub fn status(&mut self, status: u16) {
        self.statuses.insert(status);
    }
}

/// The events of a stream.
#[derive(Debug, Default)]
pub struct EventList(pub(crate) Vec<Event>);

#[derive(Debug)]
pub(crate) struct Event {
    /// `None` if it has no name.
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
    /// An event whose data is one value.
    pub fn value(&mut self, name: &'static str, docs: &'static str, schema: TypeSchema) {
        self.push(Some(name), docs, Data::Json(schema));
    }

    /// An event whose data is a list of values.
    pub fn tuple(&mut self, name: &'static str, docs: &'static str, of: Vec<TypeSchema>) {
        self.push(Some(name), docs, Data::Tuple(of));
    }

    /// An event whose data is an object: names, doc comments and types.
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

/// One value of the request that a route takes.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) location: Location,
    pub(crate) name: &'static str,
    pub(crate) schema: TypeSchema,
    pub(crate) required: bool,
    pub(crate) takes_any_text: bool,
    pub(crate) default: Option<Value>,
}

/// All of the path or the query as one value.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) location: Location,
    pub(crate) schema: TypeSchema,
    pub(crate) is_validated: bool,
}

/// The body that a route takes.
#[derive(Debug)]
pub(crate) struct Body {
    /// The media types.
    pub(crate) media: Vec<&'static str>,
    /// `None` if nothing is known of what is in it.
    pub(crate) schema: Option<TypeSchema>,
    pub(crate) required: bool,
    /// Another media type is refused, and so is what is not of the shape.
    pub(crate) is_read: bool,
}

/// What `#[answers(..)]` says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media: Option<&'static str>,
    pub(crate) schema: Option<TypeSchema>,
}

/// What a plain route's response carries.
#[derive(Debug, Default)]
pub(crate) enum Content {
    Nothing,
    Media(&'static str),
    /// A response that says nothing by its type.
    #[default]
    Opaque,
}

/// What an argument without an attribute is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Argument {
    Query,
    Path,
    Json,
    Form,
    Text,
    Bytes,
    /// Nothing that a document shows.
    Head,
    /// Of this name.
    #[default]
    Other,
}

/// What is known of a stream's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Item {
    Text,
    Json,
    Listed,
    #[default]
    Unknown,
}

/// All that a route's types and attributes say.
#[derive(Debug, Default)]
pub struct Description {
    pub(crate) docs: &'static str,
    pub(crate) is_deprecated: bool,
    pub(crate) taken: Vec<Taken>,
    pub(crate) wholes: Vec<Whole>,
    pub(crate) body: Option<Body>,
    /// What `#[accepts(..)]` says: a media type, and a type.
    pub(crate) accepts: Option<(Option<&'static str>, TypeSchema)>,
    pub(crate) errors: Errors,
    pub(crate) content: Content,
    pub(crate) schema: Option<TypeSchema>,
    /// `#[header("content-type", "text/css")]`
    pub(crate) media: Option<&'static str>,
    /// The handler chooses the status at run time.
    pub(crate) has_own_status: bool,
    pub(crate) answers: Vec<Answer>,
    pub(crate) events: EventList,
    pub(crate) item: Item,
    /// It may answer with a response in place of the stream.
    pub(crate) may_reply: bool,
    /// `events = T` was given: what the stream's own type says does not count.
    pub(crate) are_events_declared: bool,
    /// The argument that is being described.
    pub(crate) argument: Argument,
    pub(crate) is_optional: bool,
    /// The arguments of which it is not known what they read.
    pub(crate) extractors: Vec<&'static str>,
}

impl Description {
    /// The doc comment.
    pub fn docs(&mut self, docs: &'static str) {
        self.docs = docs;
    }

    /// It is marked `#[deprecated]`.
    pub fn deprecated(&mut self) {
        self.is_deprecated = true;
    }

    /// A parameter of the path.
    pub fn param<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Path, name, schema);
    }

    /// A key of the query.
    pub fn query<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Query, name, schema);
    }

    /// A header.
    pub fn header<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Header, name, schema);
    }

    /// A cookie.
    pub fn cookie<T: FromValue>(&mut self, name: &'static str, schema: TypeSchema) {
        self.take::<T>(Location::Cookie, name, schema);
    }

    fn take<T: FromValue>(&mut self, location: Location, name: &'static str, schema: TypeSchema) {
        self.taken.push(Taken {
            location,
            name,
            schema,
            required: location == Location::Path || !may_be_absent::<T>(),
            takes_any_text: takes_any_text::<T>(),
            default: None,
        });
    }

    /// What the value that was described last is if it is absent; `None` if that does not serialise.
    pub fn absent_as(&mut self, value: Option<Value>) {
        if let Some(taken) = self.taken.last_mut() {
            taken.required = false;
            taken.default = value;
        }
    }

    /// `#[body]`, read as these.
    pub fn body<T: FromBody>(&mut self, json: bool, form: bool, schema: TypeSchema) {
        let media = [(json || !form, JSON), (form, FORM)];
        let media = media.into_iter().filter(|(is_read, _)| *is_read);
        self.body = Some(Body {
            media: media.map(|(_, media)| media).collect(),
            schema: Some(schema),
            required: !may_have_no_body::<T>(),
            is_read: true,
        });
    }

    /// An argument without an attribute, of which the rungs have noted what it is.
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
            Argument::Head => {}
        }
    }

    /// What a header that is set says of the answer.
    pub fn media(&mut self, media: &'static str) {
        self.media = Some(media.split(';').next().unwrap_or(media).trim());
    }

    /// `#[accepts(T)]`
    pub fn accepts<T: HasSchema>(&mut self, media: Option<&'static str>) {
        self.accepts = Some((media, T::schema()));
    }

    /// `#[answers(201, T)]`
    pub fn answers<T: HasSchema>(&mut self, status: u16, media: Option<&'static str>) {
        let schema = Some(T::schema());
        self.answers.push(Answer {
            status,
            media,
            schema,
        });
    }

    /// `#[answers(204)]`, `#[answers(200, "image/png")]`
    pub fn answers_with(&mut self, status: u16, media: Option<&'static str>) {
        self.answers.push(Answer {
            status,
            media,
            schema: None,
        });
    }

    /// `events = T`
    pub fn events<T: EventsWithSchemas>(&mut self) {
        self.are_events_declared = true;
        self.item = Item::Listed;
        T::list(&mut self.events);
    }

    /// What a plain route gives, of which the rungs have noted what it is.
    pub fn gives(&mut self, schema: TypeSchema) {
        self.schema = Some(schema);
    }

    /// What a stream yields, of which the rungs have noted what it is.
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

/// What the rungs have found of an item.
#[derive(Clone, Copy, Debug)]
pub struct Item_(pub(crate) Item);

/// The header by which a client says where it was.
pub(crate) const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const TEXT: &str = "text/plain";
pub(crate) const HTML: &str = "text/html";
pub(crate) const BYTES: &str = "application/octet-stream";
pub(crate) const MULTIPART: &str = "multipart/form-data";

/// What layers of the app have left on the request, where it goes, and what becomes of its connection: axum's, which Helios does not
/// depend on.
const NOTHING_TO_SHOW: [&str; 3] = [
    "axum::extension::Extension<",
    "axum::extract::matched_path::MatchedPath",
    "axum::extract::ws::WebSocketUpgrade",
];

/// The extractor is behind a feature of the crate that has it.
const MULTIPART_TYPE: &str = "helios_core::multipart::Multipart";
