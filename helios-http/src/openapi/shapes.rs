//! Chooses by the shape of a type what it says about a route, as [`helios_core::reply`] chooses how to turn its value
//! into a response. Only the rungs run. Of the handler, only the types are used.

/// Returns the schema of a type, or that it has none.
#[macro_export]
#[doc(hidden)]
macro_rules! __schema {
    ($ty:ty) => {{
        use $crate::rt::ladder_of_shapes::*;
        (&&&$crate::__Shape::<$ty>::NEW).schema()
    }};
}

/// Returns a value as JSON, if it serialises.
#[macro_export]
#[doc(hidden)]
macro_rules! __default_value {
    ($ty:ty, $value:expr) => {{
        use $crate::rt::ladder_of_shapes::*;
        let value: $ty = $value;
        (&&$crate::__Shape::<$ty>::NEW).json(&value)
    }};
}

/// Describes an argument without an attribute.
#[macro_export]
#[doc(hidden)]
macro_rules! __described_argument {
    ($told:ident, $ty:ty) => {{
        use $crate::rt::judged::*;
        use $crate::rt::ladder_of_shapes::*;
        let shape = (&&$crate::__Shape::<$ty>::NEW).attempted();
        let shape = (&&shape).optional($told);
        let shape = (&&shape).argument($told);
        let (schema, is_validated) = ((&&&shape).schema(), (&&shape).is_validated());
        $told.argument(schema, is_validated);
    }};
}

/// Describes the return type of a plain route.
#[macro_export]
#[doc(hidden)]
macro_rules! __described_reply {
    ($told:ident, $is_of:ident $call:expr) => {{
        use $crate::rt::ladder_of_shapes::*;
        let shape = $crate::__Shape::NEW;
        let _ = || shape.$is_of($call);
        let shape = (&&&&shape).result($told.errors_mut());
        let shape = (&&&&shape).opened($told);
        let shape = (&&&&shape).content($told);
        $told.gives((&&&shape).schema());
    }};
}

/// Describes the stream that a route returns.
#[macro_export]
#[doc(hidden)]
macro_rules! __described_stream {
    ($told:ident, $is_of:ident $call:expr) => {{
        use $crate::rt::ladder_of_shapes::*;
        let shape = $crate::__Shape::NEW;
        let _ = || shape.$is_of($call);
        let shape = (&&&&shape).result($told.errors_mut());
        let shape = (&&&&shape).opened($told);
        let shape = (&&shape).reply($told);
        let shape = (&&shape).items($told);
        let shape = (&&&&shape).result($told.errors_mut());
        let (item, shape) = (&&&&shape).item($told);
        $told.yields(item, (&&&shape).schema());
    }};
}

/// Describes the errors with which a hook refuses a stream.
#[macro_export]
#[doc(hidden)]
macro_rules! __described_hook {
    ($told:ident, $is_of:ident $call:expr) => {{
        use $crate::rt::ladder_of_shapes::*;
        let shape = $crate::__Shape::NEW;
        let _ = || shape.$is_of($call);
        (&&&&shape).result($told.errors_mut());
    }};
}

/// Lists the statuses of an error type.
#[macro_export]
#[doc(hidden)]
macro_rules! __error_statuses {
    ($errors:expr, $ty:ty) => {{
        use $crate::rt::ladder_of_shapes::*;
        (&&&&$crate::__Shape::<$crate::__Result<(), $ty>>::NEW).result($errors);
    }};
}

/// Brings the rungs into scope without a name, because a type of the user may have the same one.
#[doc(hidden)]
pub mod ladder {
    pub use super::rungs::{
        ArgumentKnown as _, ArgumentOther as _, AsJson as _, Attempted as _, ContentJson as _,
        ContentKnown as _, ContentOpaque as _, ContentOther as _, InReply as _, Inferred as _,
        ItemKnown as _, ItemListed as _, ItemUnknown as _, ItemWithSchemas as _,
        ItemsOfStream as _, ItemsUnseen as _, NoJson as _, NoReply as _, NoResult as _,
        NotAttempted as _, NotOpened as _, Opened as _, OpenedToHeaders as _, OpenedTwice as _,
        Optional as _, Required as _, ResultAny as _, ResultForeign as _, ResultListed as _,
        SchemaKnown as _, SchemaOfList as _, SchemaUnknown as _,
    };
}

#[allow(missing_docs)]
mod rungs {
    use std::borrow::Cow;

    use axum_core::response::{IntoResponse, Response};
    use bytes::Bytes;
    use futures_core::Stream;
    use helios_core::bind::probe::may_have_no_body;
    use helios_core::bind::{Form, FromBody, Json, Path, Query};
    use helios_core::error::HttpError;
    use helios_core::event::SseEvent;
    use helios_core::html::Html;
    use helios_core::reply::Shape;
    use http::request::Parts;
    use http::{Extensions, HeaderMap, Method, StatusCode, Uri, Version};
    use schemars::JsonSchema;
    use serde::Serialize;
    use serde_json::Value;

    use crate::openapi::describe::{
        Argument, BYTES, Content, Description, ErrorStatuses, Errors, Events, EventsWithSchemas,
        HTML, Item, Item_, JSON, TEXT, TypeSchema,
    };
    use crate::remote_addr::RemoteAddr;
    use crate::sse::{SseReply, SseStream};

    impl Description {
        /// Returns the errors, to which the rungs add.
        pub fn errors_mut(&mut self) -> &mut Errors {
            &mut self.errors
        }
    }

    /// Infers the type of a shape from a call, in a closure that never runs. So it becomes no machine code.
    pub trait Inferred<T>: Sized {
        fn is_of(&self, _: T) {}
        fn is_of_future<F: Future<Output = T>>(&self, _: F) {}
    }

    impl<T> Inferred<T> for Shape<T> {}

    /// A type that does not matter.
    pub struct Nothing;

    pub trait SchemaOfList {
        fn schema(&self) -> TypeSchema;
    }

    impl<T: JsonSchema> SchemaOfList for &&Shape<Vec<T>> {
        fn schema(&self) -> TypeSchema {
            TypeSchema::of_list::<T>()
        }
    }

    pub trait SchemaKnown {
        fn schema(&self) -> TypeSchema;
    }

    impl<T: JsonSchema> SchemaKnown for &Shape<T> {
        fn schema(&self) -> TypeSchema {
            TypeSchema::of::<T>()
        }
    }

    pub trait SchemaUnknown {
        fn schema(&self) -> TypeSchema;
    }

    impl<T> SchemaUnknown for Shape<T> {
        fn schema(&self) -> TypeSchema {
            TypeSchema::unknown::<T>()
        }
    }

    pub trait AsJson<T> {
        fn json(&self, value: &T) -> Option<Value>;
    }

    impl<T: Serialize> AsJson<T> for &Shape<T> {
        fn json(&self, value: &T) -> Option<Value> {
            serde_json::to_value(value).ok()
        }
    }

    pub trait NoJson<T> {
        fn json(&self, value: &T) -> Option<Value>;
    }

    impl<T> NoJson<T> for Shape<T> {
        fn json(&self, _: &T) -> Option<Value> {
            None
        }
    }

    /// The value in a `Result`. Its error is listed.
    pub trait ResultListed {
        type Value;
        fn result(&self, errors: &mut Errors) -> Shape<Self::Value>;
    }

    impl<T, E: ErrorStatuses> ResultListed for &&&Shape<Result<T, E>> {
        type Value = T;
        fn result(&self, errors: &mut Errors) -> Shape<T> {
            E::list(errors);
            Shape::NEW
        }
    }

    pub trait ResultAny {
        type Value;
        fn result(&self, errors: &mut Errors) -> Shape<Self::Value>;
    }

    impl<T, E: Into<HttpError>> ResultAny for &&Shape<Result<T, E>> {
        type Value = T;
        fn result(&self, errors: &mut Errors) -> Shape<T> {
            errors.any = true;
            Shape::NEW
        }
    }

    pub trait ResultForeign {
        type Value;
        fn result(&self, errors: &mut Errors) -> Shape<Self::Value>;
    }

    impl<T, E> ResultForeign for &Shape<Result<T, E>> {
        type Value = T;
        fn result(&self, errors: &mut Errors) -> Shape<T> {
            errors.foreign.push(std::any::type_name::<E>());
            Shape::NEW
        }
    }

    pub trait NoResult {
        type Value;
        fn result(&self, errors: &mut Errors) -> Shape<Self::Value>;
    }

    impl<T> NoResult for Shape<T> {
        type Value = T;
        fn result(&self, _: &mut Errors) -> Shape<T> {
            Shape::NEW
        }
    }

    /// Pairs beside a status, which are headers.
    pub trait OpenedToHeaders {
        type Value;
        fn opened(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<K, V, const N: usize> OpenedToHeaders for &&&Shape<(StatusCode, [(K, V); N])> {
        type Value = Response;
        fn opened(&self, told: &mut Description) -> Shape<Response> {
            told.has_own_status = true;
            Shape::NEW
        }
    }

    impl<K, V, const N: usize> OpenedToHeaders for &&&Shape<Option<(StatusCode, [(K, V); N])>> {
        type Value = Response;
        fn opened(&self, told: &mut Description) -> Shape<Response> {
            told.errors.status(404);
            told.has_own_status = true;
            Shape::NEW
        }
    }

    /// The value in an `Option`, beside a status, or both. One step is cheaper to compile than two.
    pub trait OpenedTwice {
        type Value;
        fn opened(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T> OpenedTwice for &&Shape<Option<(StatusCode, T)>> {
        type Value = T;
        fn opened(&self, told: &mut Description) -> Shape<T> {
            told.errors.status(404);
            told.has_own_status = true;
            Shape::NEW
        }
    }

    pub trait Opened {
        type Value;
        fn opened(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T> Opened for &Shape<Option<T>> {
        type Value = T;
        fn opened(&self, told: &mut Description) -> Shape<T> {
            told.errors.status(404);
            Shape::NEW
        }
    }

    impl<T> Opened for &Shape<(StatusCode, T)> {
        type Value = T;
        fn opened(&self, told: &mut Description) -> Shape<T> {
            told.has_own_status = true;
            Shape::NEW
        }
    }

    pub trait NotOpened {
        type Value;
        fn opened(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T> NotOpened for Shape<T> {
        type Value = T;
        fn opened(&self, _: &mut Description) -> Shape<T> {
            Shape::NEW
        }
    }

    /// Types whose response is known.
    pub trait ContentKnown {
        type Value;
        fn content(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    macro_rules! contents {
        ($([$($generics:tt)*] $ty:ty => $content:expr, $value:ty;)*) => {
            $(
                impl<$($generics)*> ContentKnown for &&&Shape<$ty> {
                    type Value = $value;
                    fn content(&self, told: &mut Description) -> Shape<$value> {
                        told.content = $content;
                        Shape::NEW
                    }
                }
            )*
        };
    }

    contents! {
        [] () => Content::Nothing, Nothing;
        [] String => Content::Media(TEXT), String;
        ['a] &'a str => Content::Media(TEXT), String;
        ['a] Cow<'a, str> => Content::Media(TEXT), String;
        [T] Html<T> => Content::Media(HTML), String;
        [T] Json<T> => Content::Media(JSON), T;
        [] Vec<u8> => Content::Media(BYTES), Value;
        [] Bytes => Content::Media(BYTES), Value;
        [] Response => Content::Opaque, Nothing;
    }

    /// Other pairs are headers.
    impl<K: Serialize, V: Serialize, const N: usize> ContentKnown for &&&Shape<[(K, V); N]> {
        type Value = Vec<(K, V)>;
        fn content(&self, told: &mut Description) -> Shape<Vec<(K, V)>> {
            told.content = Content::Media(JSON);
            Shape::NEW
        }
    }

    impl ContentKnown for &&&Shape<StatusCode> {
        type Value = Nothing;
        fn content(&self, told: &mut Description) -> Shape<Nothing> {
            told.content = Content::Nothing;
            told.has_own_status = true;
            Shape::NEW
        }
    }

    pub trait ContentOpaque {
        fn content(&self, told: &mut Description) -> Shape<Nothing>;
    }

    impl<T: IntoResponse> ContentOpaque for &&Shape<T> {
        fn content(&self, told: &mut Description) -> Shape<Nothing> {
            told.content = Content::Opaque;
            Shape::NEW
        }
    }

    pub trait ContentJson {
        type Value;
        fn content(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T: Serialize> ContentJson for &Shape<T> {
        type Value = T;
        fn content(&self, told: &mut Description) -> Shape<T> {
            told.content = Content::Media(JSON);
            Shape::NEW
        }
    }

    pub trait ContentOther {
        fn content(&self, told: &mut Description) -> Shape<Nothing>;
    }

    impl<T> ContentOther for Shape<T> {
        fn content(&self, _: &mut Description) -> Shape<Nothing> {
            Shape::NEW
        }
    }

    /// An argument whose error the handler receives.
    pub trait Attempted {
        type Value;
        fn attempted(&self) -> Shape<Self::Value>;
    }

    impl<T, E> Attempted for &Shape<Result<T, E>> {
        type Value = T;
        fn attempted(&self) -> Shape<T> {
            Shape::NEW
        }
    }

    pub trait NotAttempted {
        type Value;
        fn attempted(&self) -> Shape<Self::Value>;
    }

    impl<T> NotAttempted for Shape<T> {
        type Value = T;
        fn attempted(&self) -> Shape<T> {
            Shape::NEW
        }
    }

    /// An argument that may be absent.
    pub trait Optional {
        type Value;
        fn optional(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T> Optional for &Shape<Option<T>> {
        type Value = T;
        fn optional(&self, told: &mut Description) -> Shape<T> {
            told.is_optional = true;
            Shape::NEW
        }
    }

    pub trait Required {
        type Value;
        fn optional(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T> Required for Shape<T> {
        type Value = T;
        fn optional(&self, _: &mut Description) -> Shape<T> {
            Shape::NEW
        }
    }

    /// Extractors that are known.
    pub trait ArgumentKnown {
        type Value;
        fn argument(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    macro_rules! arguments {
        ($([$($generics:tt)*] $ty:ty => $argument:ident, $value:ty;)*) => {
            $(
                impl<$($generics)*> ArgumentKnown for &Shape<$ty> {
                    type Value = $value;
                    fn argument(&self, told: &mut Description) -> Shape<$value> {
                        told.argument = Argument::$argument;
                        Shape::NEW
                    }
                }
            )*
        };
    }

    arguments! {
        [T] Query<T> => Query, T;
        [T] Path<T> => Path, T;
        [] String => Text, String;
        [] Bytes => Bytes, Nothing;
        [] Method => Head, Nothing;
        [] Uri => Head, Nothing;
        [] Version => Head, Nothing;
        [] HeaderMap => Head, Nothing;
        [] Extensions => Head, Nothing;
        [] Parts => Head, Nothing;
        [] RemoteAddr => Head, Nothing;
        [] SseStream => Stream, Nothing;
    }

    /// An `Option` in one of these is `None` without a body.
    macro_rules! bodies {
        ($($name:ident)*) => {
            $(
                impl<T: FromBody> ArgumentKnown for &Shape<$name<T>> {
                    type Value = T;
                    fn argument(&self, told: &mut Description) -> Shape<T> {
                        told.argument = Argument::$name;
                        told.is_optional |= may_have_no_body::<T>();
                        Shape::NEW
                    }
                }
            )*
        };
    }

    bodies! { Json Form }

    pub trait ArgumentOther {
        type Value;
        fn argument(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T> ArgumentOther for Shape<T> {
        type Value = T;
        fn argument(&self, told: &mut Description) -> Shape<T> {
            told.argument = Argument::Other;
            Shape::NEW
        }
    }

    pub trait InReply {
        type Value;
        fn reply(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<S> InReply for &Shape<SseReply<S>> {
        type Value = S;
        fn reply(&self, told: &mut Description) -> Shape<S> {
            told.may_reply = true;
            Shape::NEW
        }
    }

    pub trait NoReply {
        type Value;
        fn reply(&self, told: &mut Description) -> Shape<Self::Value>;
    }

    impl<T> NoReply for Shape<T> {
        type Value = T;
        fn reply(&self, _: &mut Description) -> Shape<T> {
            Shape::NEW
        }
    }

    pub trait ItemsOfStream {
        type Item;
        fn items(&self, told: &mut Description) -> Shape<Self::Item>;
    }

    impl<S: Stream> ItemsOfStream for &Shape<S> {
        type Item = S::Item;
        fn items(&self, _: &mut Description) -> Shape<S::Item> {
            Shape::NEW
        }
    }

    pub trait ItemsUnseen {
        fn items(&self, told: &mut Description) -> Shape<SseStream>;
    }

    /// Events that are sent on a handle cannot be seen in its type.
    impl<T> ItemsUnseen for Shape<T> {
        fn items(&self, told: &mut Description) -> Shape<SseStream> {
            told.may_join = true;
            Shape::NEW
        }
    }

    /// Events of an enum whose parameters have schemas.
    pub trait ItemWithSchemas {
        fn item(&self, told: &mut Description) -> (Item_, Shape<Nothing>);
    }

    impl<T: EventsWithSchemas> ItemWithSchemas for &&&Shape<T> {
        fn item(&self, told: &mut Description) -> (Item_, Shape<Nothing>) {
            if !told.are_events_declared {
                T::list_with_schemas(&mut told.events);
            }
            (Item_(Item::Listed), Shape::NEW)
        }
    }

    pub trait ItemListed {
        fn item(&self, told: &mut Description) -> (Item_, Shape<Nothing>);
    }

    impl<T: Events> ItemListed for &&Shape<T> {
        fn item(&self, told: &mut Description) -> (Item_, Shape<Nothing>) {
            if !told.are_events_declared {
                T::list(&mut told.events);
            }
            (Item_(Item::Listed), Shape::NEW)
        }
    }

    pub trait ItemKnown {
        type Value;
        fn item(&self, told: &mut Description) -> (Item_, Shape<Self::Value>);
    }

    macro_rules! items {
        ($([$($generics:tt)*] $ty:ty => $item:ident, $value:ty;)*) => {
            $(
                impl<$($generics)*> ItemKnown for &Shape<$ty> {
                    type Value = $value;
                    fn item(&self, _: &mut Description) -> (Item_, Shape<$value>) {
                        (Item_(Item::$item), Shape::NEW)
                    }
                }
            )*
        };
    }

    items! {
        [T] Json<T> => Json, T;
        [] Value => Json, Value;
        [] String => Text, String;
        ['a] &'a str => Text, String;
        ['a] Cow<'a, str> => Text, String;
        [] SseEvent => Unknown, Nothing;
    }

    pub trait ItemUnknown {
        fn item(&self, told: &mut Description) -> (Item_, Shape<Nothing>);
    }

    impl<T> ItemUnknown for Shape<T> {
        fn item(&self, _: &mut Description) -> (Item_, Shape<Nothing>) {
            (Item_(Item::Unknown), Shape::NEW)
        }
    }
}
