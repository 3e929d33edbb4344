//! Wraps a deserialiser, to get errors that say where a value did not fit and what would have fitted, but never what
//! was there. serde's own messages quote the value.
//!
//! Every error that a type makes becomes a [`Mismatch`]. The wrapped deserialiser accepts only errors of its own type.
//! So the mismatch is stored in [`Notes`] while an empty error passes through.

use std::cell::Cell;
use std::fmt::{self, Display};

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::words;
use crate::bounded::bounded;
use crate::error::{LONGEST_EXPECTED, LONGEST_NAME, Location};

/// The longest message of a type about a value, in bytes. It is limited because it may quote the value.
pub(super) const LONGEST_MESSAGE: usize = 200;

/// Reads a value from the deserialiser `inner`.
pub(super) fn deserialize<'de, T: Deserialize<'de>>(
    inner: impl Deserializer<'de>,
) -> Result<T, Mismatch> {
    T::deserialize(Around { inner, key: None })
}

/// A value that did not fit: its path, and what was expected instead.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The path to the value, from the inside out.
    pub(super) path: Vec<Step>,
    /// The values that would have fitted, in plain words.
    pub(super) expected: String,
    /// The type's own message about the value, which may quote it.
    pub(super) message: Option<String>,
    /// True if the type does not accept this kind of value at all.
    pub(super) other_type: bool,
    pub(super) found: Found,
}

/// The value that was found instead, as far as a decoder needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Any other value.
    Other,
    /// A text, identified by its address.
    Text(usize),
    NotUtf8,
    /// No value.
    Nothing,
    /// No value for this field of a struct.
    Field(&'static str),
    /// A kind of value that no request can contain, because one value cannot hold it.
    Never(&'static str),
}

impl Found {
    fn of(found: de::Unexpected<'_>) -> Self {
        match found {
            de::Unexpected::Str(text) => Self::Text(text.as_ptr().addr()),
            _ => Self::Other,
        }
    }
}

/// A step of the path to a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A name that the type knows, of a field or a variant.
    Name(String),
    /// A key of a map, which is input.
    Key(String),
    Index(usize),
}

impl Mismatch {
    /// Creates a mismatch. `expected` is put into plain words, without the names of the program's types.
    pub(super) fn new(expected: impl Display) -> Self {
        Self {
            path: Vec::new(),
            expected: words::plain(bounded(expected, LONGEST_EXPECTED)),
            message: None,
            other_type: false,
            found: Found::Other,
        }
    }

    pub(super) fn but(mut self, reason: &str) -> Self {
        self.expected = format!("{}, {reason}", self.expected);
        self
    }

    /// Returns the same mismatch for a missing field, unless it already says so.
    pub(super) fn missing(self, name: &str) -> Self {
        match self.found {
            Found::Nothing | Found::Field(_) => self,
            _ => Self {
                path: vec![Step::Name(name.to_owned())],
                found: Found::Nothing,
                ..self.but("it is missing")
            },
        }
    }

    /// Returns the name that the path begins with.
    pub(super) fn root(&self) -> Option<&str> {
        match self.path.last()? {
            Step::Name(name) | Step::Key(name) => Some(name),
            Step::Index(_) => None,
        }
    }

    fn of_field(name: &str, expected: &str) -> Self {
        Self::new(expected).within(Some(Step::Name(name.to_owned())))
    }

    pub(super) fn within(mut self, step: Option<Step>) -> Self {
        self.path.extend(step);
        self
    }

    /// Returns the path to the value, such as `lines[0].count`, or an empty text for the whole. `*` replaces a key of a
    /// body.
    pub(super) fn path(&self, location: Location) -> String {
        let mut text = String::new();
        for step in self.path.iter().rev() {
            let name = match step {
                Step::Index(index) => {
                    text.push_str(&format!("[{index}]"));
                    continue;
                }
                Step::Key(_) if location == Location::Body => "*",
                Step::Name(name) | Step::Key(name) => name,
            };
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(name);
        }
        bounded(text, LONGEST_NAME)
    }
}

impl Default for Mismatch {
    fn default() -> Self {
        Self::new(A_VALID_VALUE)
    }
}

/// Includes the type's own message, so it is not for a body.
impl Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{} ({message})", self.expected),
            None => f.write_str(&self.expected),
        }
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: Display>(message: T) -> Self {
        Self {
            message: Some(bounded(message, LONGEST_MESSAGE)),
            ..Self::default()
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self {
            other_type: true,
            ..Self::invalid_value(found, expected)
        }
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self {
            found: Found::of(found),
            ..Self::new(expected)
        }
    }

    fn invalid_length(_: usize, expected: &dyn de::Expected) -> Self {
        Self::new(expected)
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::new(one_of(variants))
    }

    fn unknown_field(_: &str, fields: &'static [&'static str]) -> Self {
        Self::new(match fields {
            [] => "no fields".to_owned(),
            [field] => format!("only the field `{field}`"),
            fields => format!("only the fields `{}`", fields.join("`, `")),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            found: Found::Field(field),
            ..Self::of_field(field, "a value, it is missing")
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::of_field(field, "a value, it is given more than once")
    }
}

pub(super) const A_VALID_VALUE: &str = "a valid value";

pub(super) fn one_of(variants: &[&str]) -> String {
    format!("one of `{}`", variants.join("`, `"))
}

/// The mismatch that the wrapped deserialiser's error cannot carry.
#[derive(Default)]
struct Notes(Cell<Option<Mismatch>>);

impl Notes {
    fn leave<T, E: de::Error>(&self, result: Result<T, Mismatch>) -> Result<T, E> {
        result.map_err(|mismatch| {
            self.0.set(Some(mismatch));
            E::custom("")
        })
    }

    /// Returns the mismatch that was stored, or a new one for an error of the deserialiser itself.
    fn collect<T, E>(&self, result: Result<T, E>, expected: &str) -> Result<T, Mismatch> {
        result.map_err(|_| self.0.take().unwrap_or_else(|| Mismatch::new(expected)))
    }
}

/// Stores the text of a key, for the path.
type KeySlot = Cell<Option<Step>>;

/// A wrapped deserialiser, with the slot if it reads a key.
struct Around<'a, D> {
    inner: D,
    key: Option<&'a KeySlot>,
}

/// A wrapped visitor, for the deserialiser inside.
struct Watched<'a, V> {
    visitor: V,
    notes: &'a Notes,
    key: Option<&'a KeySlot>,
    step: fn(String) -> Step,
}

impl<D> Around<'_, D> {
    fn watch<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        expected: &str,
        step: fn(String) -> Step,
        read: impl FnOnce(D, Watched<'_, V>) -> Result<V::Value, D::Error>,
    ) -> Result<V::Value, Mismatch>
    where
        D: Deserializer<'de>,
    {
        let notes = Notes::default();
        let watched = Watched {
            visitor,
            notes: &notes,
            key: self.key,
            step,
        };
        notes.collect(read(self.inner, watched), expected)
    }
}

macro_rules! deserialize {
    ($($method:ident($($arg:ident: $type:ty),*) $expected:literal $step:ident;)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Mismatch> {
                self.watch(visitor, $expected, Step::$step, |inner, visitor| inner.$method($($arg,)* visitor))
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Around<'_, D> {
    type Error = Mismatch;

    // The literals say what was expected if the deserialiser inside finds the fault itself, without calling the type. A
    // type that knows its names requests an identifier.
    deserialize! {
        deserialize_any() "a valid value" Key;
        deserialize_bool() "a boolean" Key;
        deserialize_i8() "i8" Key;
        deserialize_i16() "i16" Key;
        deserialize_i32() "i32" Key;
        deserialize_i64() "i64" Key;
        deserialize_i128() "i128" Key;
        deserialize_u8() "u8" Key;
        deserialize_u16() "u16" Key;
        deserialize_u32() "u32" Key;
        deserialize_u64() "u64" Key;
        deserialize_u128() "u128" Key;
        deserialize_f32() "f32" Key;
        deserialize_f64() "f64" Key;
        deserialize_char() "one character" Key;
        deserialize_str() "a text" Key;
        deserialize_string() "a text" Key;
        deserialize_bytes() "bytes" Key;
        deserialize_byte_buf() "bytes" Key;
        deserialize_option() "a valid value" Key;
        deserialize_unit() "nothing" Key;
        deserialize_unit_struct(name: &'static str) "nothing" Key;
        deserialize_newtype_struct(name: &'static str) "a valid value" Key;
        deserialize_seq() "a list" Key;
        deserialize_tuple(len: usize) "a list" Key;
        deserialize_tuple_struct(name: &'static str, len: usize) "a list" Key;
        deserialize_map() "an object" Key;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) "an object" Key;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) "a variant" Key;
        deserialize_identifier() "a name" Name;
        deserialize_ignored_any() "a valid value" Key;
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<V> Watched<'_, V> {
    fn note_key(&self, text: &str) {
        if let Some(slot) = self.key {
            slot.set(Some((self.step)(bounded(text, LONGEST_NAME))));
        }
    }
}

macro_rules! visit {
    ($($method:ident $type:ty;)*) => {
        $(
            fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
                self.notes.leave(self.visitor.$method(value))
            }
        )*
    };
}

macro_rules! visit_text {
    ($($method:ident $type:ty;)*) => {
        $(
            fn $method<E: de::Error>(self, text: $type) -> Result<V::Value, E> {
                self.note_key(&text);
                self.notes.leave(self.visitor.$method(text))
            }
        )*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, V> {
    type Value = V::Value;

    /// The deserialiser calls this when it has found something else.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = fmt::from_fn(|f| self.visitor.expecting(f));
        self.notes.0.set(Some(Mismatch::new(&expected)));
        Display::fmt(&expected, f)
    }

    visit! {
        visit_bool bool;
        visit_i8 i8;
        visit_i16 i16;
        visit_i32 i32;
        visit_i64 i64;
        visit_i128 i128;
        visit_u8 u8;
        visit_u16 u16;
        visit_u32 u32;
        visit_u64 u64;
        visit_u128 u128;
        visit_f32 f32;
        visit_f64 f64;
        visit_char char;
        visit_bytes &[u8];
        visit_borrowed_bytes &'de [u8];
        visit_byte_buf Vec<u8>;
    }

    visit_text! {
        visit_str &str;
        visit_borrowed_str &'de str;
        visit_string String;
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.notes.leave(self.visitor.visit_none())
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.notes.leave(self.visitor.visit_unit())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let around = Around {
            inner,
            key: self.key,
        };
        self.notes.leave(self.visitor.visit_some(around))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let around = Around {
            inner,
            key: self.key,
        };
        self.notes.leave(self.visitor.visit_newtype_struct(around))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let elements = Elements { inner, next: 0 };
        self.notes.leave(self.visitor.visit_seq(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let entries = Entries { inner, key: None };
        self.notes.leave(self.visitor.visit_map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.notes.leave(self.visitor.visit_enum(Variants(inner)))
    }
}

/// A wrapped seed for a value, or a key, that the deserialiser inside reads.
struct Seed<'a, S> {
    seed: S,
    notes: &'a Notes,
    key: Option<&'a KeySlot>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let around = Around {
            inner,
            key: self.key,
        };
        self.notes.leave(self.seed.deserialize(around))
    }
}

/// Reads with a wrapped seed, and returns the mismatch.
fn read<S, T, E>(
    seed: S,
    key: Option<&KeySlot>,
    read: impl FnOnce(Seed<'_, S>) -> Result<T, E>,
) -> Result<T, Mismatch> {
    let notes = Notes::default();
    let seed = Seed {
        seed,
        notes: &notes,
        key,
    };
    notes.collect(read(seed), A_VALID_VALUE)
}

struct Elements<A> {
    inner: A,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<A> {
    type Error = Mismatch;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        let index = self.next;
        self.next += 1;
        read(seed, None, |seed| self.inner.next_element_seed(seed))
            .map_err(|mismatch| mismatch.within(Some(Step::Index(index))))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct Entries<A> {
    inner: A,
    /// The key of the value that is read next.
    key: Option<Step>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<A> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        let slot = Cell::new(Some(Step::Key(String::new())));
        let key = read(seed, Some(&slot), |seed| self.inner.next_key_seed(seed));
        self.key = slot.take();
        key
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        read(seed, None, |seed| self.inner.next_value_seed(seed))
            .map_err(|mismatch| mismatch.within(self.key.take()))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct Variants<A>(A);

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Variants<A> {
    type Error = Mismatch;
    type Variant = Variant<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), Mismatch> {
        let slot = Cell::new(None);
        let (value, inner) = read(seed, Some(&slot), |seed| self.0.variant_seed(seed))?;
        let name = slot.take();
        Ok((value, Variant { inner, name }))
    }
}

/// The content of a variant.
struct Variant<A> {
    inner: A,
    name: Option<Step>,
}

impl<A> Variant<A> {
    fn watch<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        read: impl FnOnce(A, Watched<'_, V>) -> Result<V::Value, A::Error>,
    ) -> Result<V::Value, Mismatch>
    where
        A: VariantAccess<'de>,
    {
        let notes = Notes::default();
        let watched = Watched {
            visitor,
            notes: &notes,
            key: None,
            step: Step::Key,
        };
        notes
            .collect(read(self.inner, watched), A_VALID_VALUE)
            .map_err(|mismatch| mismatch.within(self.name))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<A> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        let result = self.inner.unit_variant();
        result.map_err(|_| Mismatch::new("a variant without a value").within(self.name))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Mismatch> {
        read(seed, None, |seed| self.inner.newtype_variant_seed(seed))
            .map_err(|mismatch| mismatch.within(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.watch(visitor, |inner, visitor| inner.tuple_variant(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.watch(visitor, |inner, visitor| {
            inner.struct_variant(fields, visitor)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Shape {
        Dot,
        Circle { radius: u8 },
        Line(u8, u8),
        Named(Name),
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Name(String);

    #[derive(Deserialize, Debug, PartialEq)]
    struct Page {
        #[serde(alias = "length")]
        size: u8,
        #[serde(default)]
        names: HashMap<String, u8>,
        #[serde(flatten)]
        rest: BTreeMap<String, bool>,
    }

    fn read<T: DeserializeOwned>(json: &str) -> Result<T, Mismatch> {
        deserialize(&mut serde_json::Deserializer::from_str(json))
    }

    /// Returns the path in the body, and what was expected, for a text that does not fit.
    fn refused<T: DeserializeOwned + fmt::Debug>(json: &str) -> (String, String) {
        let mismatch = read::<T>(json).unwrap_err();
        (mismatch.path(Location::Body), mismatch.expected)
    }

    fn told(path: &str, expected: &str) -> (String, String) {
        (path.to_owned(), expected.to_owned())
    }

    #[test]
    fn paths_name_fields_but_not_keys_of_a_map() {
        let number = "a whole number from 0 to 255";
        assert_eq!(refused::<Page>(r#"{"size":"x"}"#), told("size", number));
        assert_eq!(refused::<Page>(r#"{"length":"x"}"#), told("length", number));
        let map = r#"{"size":1,"names":{"key":"x"}}"#;
        assert_eq!(refused::<Page>(map), told("names.*", number));
        let rest = r#"{"size":1,"key":"x"}"#;
        assert_eq!(refused::<Page>(rest), told("", "true or false"));
        let mismatch = read::<HashMap<Key, u8>>(r#"{"key":"x"}"#).unwrap_err();
        assert_eq!(mismatch.path(Location::Query), "key");
        assert_eq!(mismatch.path(Location::Body), "*");
    }

    #[derive(Deserialize, Debug, PartialEq, Eq, Hash)]
    struct Key(String);

    #[test]
    fn the_path_leads_into_lists_and_variants() {
        let refused = refused::<Vec<Shape>>;
        assert_eq!(
            refused(r#"["dot",{"circle":{"radius":"x"}}]"#),
            told("[1].circle.radius", "a whole number from 0 to 255")
        );
        assert_eq!(
            refused(r#"[{"line":[1,"x"]}]"#),
            told("[0].line[1]", "a whole number from 0 to 255")
        );
        assert_eq!(
            refused(r#"[{"line":[1]}]"#),
            told("[0].line", "a list of 2")
        );
        assert_eq!(refused(r#"[{"named":7}]"#), told("[0].named", "a text"));
        assert_eq!(
            refused(r#"[{"dot":7}]"#),
            told("[0].dot", "a variant without a value")
        );
        assert_eq!(
            refused(r#"["x"]"#),
            told("[0]", "one of `dot`, `circle`, `line`, `named`")
        );
        assert_eq!(
            refused(r#"[{"circle":{}}]"#),
            told("[0].circle.radius", "a value, it is missing")
        );
        assert_eq!(
            refused(r#"[{"circle":{"radius":1,"radius":2}}]"#),
            told("[0].circle.radius", "a value, it is given more than once")
        );
    }

    #[test]
    fn a_type_s_own_message_is_kept_apart() {
        let mismatch = read::<uuid::Uuid>(r#""secret""#).unwrap_err();
        assert_eq!(mismatch.expected, A_VALID_VALUE);
        let message = mismatch.message.unwrap();
        assert!(message.starts_with("UUID parsing failed"), "{message}");
    }

    proptest! {
        #[test]
        fn what_fits_is_read_as_without_it(
            numbers in any::<Vec<Option<i64>>>(),
            floats in any::<BTreeMap<String, f32>>(),
            texts in any::<(String, char, bool, i128)>(),
        ) {
            let json = serde_json::json!([numbers, floats, texts.0, texts.1, texts.2]).to_string();
            type Read = (Vec<Option<i64>>, BTreeMap<String, f32>, String, char, bool);
            prop_assert_eq!(read::<Value>(&json).unwrap(), serde_json::from_str::<Value>(&json).unwrap());
            prop_assert_eq!(read::<Read>(&json).unwrap(), serde_json::from_str::<Read>(&json).unwrap());
            prop_assert_eq!(read::<i128>(&texts.3.to_string()).unwrap(), texts.3);
        }
    }
}
