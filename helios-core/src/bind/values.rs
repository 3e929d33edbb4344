//! The decoder of all texts: single values of path, query, headers and cookies, and whole queries, paths and forms.
//!
//! serde requests a type once, and cannot say beforehand whether it may be absent, is text or a list. So the decoder
//! passes on the texts as they are, and reads again when a fault shows that it has to pass them on differently
//! ([`Decoder::relax`]):
//!
//! * An empty text that does not fit is left out.
//! * A missing list is passed on as an empty list.
//! * A text that serde has put aside for `#[serde(flatten)]` is passed on as the number or list that is wanted.
//!
//! Each key changes in each of these ways at most once.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};

use super::mismatch::{Found, Mismatch, Step, one_of};
use crate::query_string::Pair;

/// The most times that a whole is read. A type that puts aside more numbers than that is refused.
const MOST_READINGS: usize = 100;

/// The most keys that are read in all readings of a whole together, so that no request is expensive. The first few
/// readings are exempt.
const MOST_KEYS: usize = 100_000;

/// A text of the request, or `None` if it is not UTF-8.
pub(super) type Text<'a> = Option<&'a str>;

/// Reads one value from all texts of its name.
pub(super) fn value<T: DeserializeOwned>(texts: &[Text<'_>], rule: Rule) -> Result<T, Mismatch> {
    let texts = unmistakable(texts);
    let refused = match T::deserialize(Scalar::new(&texts, rule)) {
        Ok(value) => return Ok(value),
        Err(mismatch) => mismatch,
    };
    let filled = texts.iter().copied().filter(|text| *text != Some(""));
    let filled: Vec<_> = filled.collect();
    if filled.len() == texts.len() {
        return Err(refused);
    }
    T::deserialize(Scalar::new(&filled, rule)).map_err(|again| match again.found {
        Found::Nothing => refused,
        _ => again,
    })
}

/// Reads a query string or a form.
pub(super) fn pairs<T: DeserializeOwned>(pairs: &[Pair]) -> Result<T, Mismatch> {
    let pairs = pairs
        .iter()
        .filter_map(|pair| Some((pair.key.as_deref()?, pair.value.as_deref())));
    Decoder::new(pairs, false).decode()
}

/// Reads the parameters of a path. A struct or map gets them by name, a tuple or list in order, and any other type gets
/// the only one.
pub(super) fn path<'a, T: DeserializeOwned>(
    params: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<T, Mismatch> {
    let params = params.map(|(name, text)| (name, Some(text)));
    Decoder::new(params, true).decode()
}

/// Gives each empty text an address of its own, so that serde's errors show which text they are about.
fn unmistakable<'a>(texts: &'a [Text<'a>]) -> Cow<'a, [Text<'a>]> {
    if !texts.contains(&Some("")) {
        return Cow::Borrowed(texts);
    }
    let mut blanks = Blanks::default();
    texts.iter().map(|text| blanks.replace(*text)).collect()
}

/// Returns empty texts with different addresses.
#[derive(Default)]
struct Blanks(usize);

impl Blanks {
    fn replace<'a>(&mut self, text: Text<'a>) -> Text<'a> {
        static PLACES: [u8; MOST_READINGS] = [b' '; MOST_READINGS];
        if text != Some("") {
            return text;
        }
        let place = PLACES.get(self.0..self.0).unwrap_or_default();
        self.0 += 1;
        std::str::from_utf8(place).ok()
    }
}

/// The texts of a request by their keys, and how each key is passed to serde.
struct Decoder<'a> {
    keys: Vec<Key<'a>>,
    /// True if the keys have an order, as those of a path have.
    ordered: bool,
    /// The key that was changed most recently.
    changed: usize,
}

struct Key<'a> {
    /// The key's name, in an array so that it can be read like texts. It is never `None`.
    name: [Text<'a>; 1],
    texts: Vec<Text<'a>>,
    given: Given,
    /// The first fault of the key while its texts included an empty one. Empty texts have been left out since.
    refused: Option<Mismatch>,
}

/// How a key is passed to serde.
#[derive(Clone, Copy, Default)]
struct Given {
    /// Passed on although it has no texts.
    absent: bool,
    /// Passed on as a list, if serde puts it aside.
    list: bool,
    /// Passed on as numbers and booleans where its texts parse as such, if serde puts it aside.
    typed: bool,
}

impl<'a> Decoder<'a> {
    fn new(pairs: impl Iterator<Item = (&'a str, Text<'a>)>, ordered: bool) -> Self {
        let mut keys: Vec<Key<'a>> = Vec::new();
        let mut known: HashMap<&'a str, usize> = HashMap::new();
        let mut blanks = Blanks::default();
        for (name, text) in pairs {
            let at = *known.entry(name).or_insert_with(|| {
                keys.push(Key::new(name));
                keys.len() - 1
            });
            keys[at].texts.push(blanks.replace(text));
        }
        Self {
            keys,
            ordered,
            changed: 0,
        }
    }

    fn decode<T: DeserializeOwned>(mut self) -> Result<T, Mismatch> {
        let mut readings = 0;
        loop {
            let mismatch = match T::deserialize(&self) {
                Ok(value) => return Ok(value),
                Err(mismatch) => mismatch,
            };
            readings += 1;
            let most = (MOST_KEYS / self.keys.len().max(1)).clamp(10, MOST_READINGS);
            if let Some(fault) = self.relax(mismatch, readings < most) {
                return Err(fault);
            }
        }
    }

    /// Changes how the key at fault is passed on. Returns the fault if nothing can be changed.
    fn relax(&mut self, mut mismatch: Mismatch, again: bool) -> Option<Mismatch> {
        if mismatch.path.is_empty()
            && let Some(at) = self.put_aside(&mismatch)
        {
            mismatch = mismatch.within(Some(Step::Key(self.keys[at].name().to_owned())));
        }
        let Some(at) = self.at(&mismatch) else {
            return Some(mismatch);
        };
        self.changed = at;
        let key = &mut self.keys[at];
        if key.texts.is_empty() && key.given.absent {
            let refused = key.refused.take();
            return Some(refused.unwrap_or_else(|| mismatch.missing(key.name())));
        }
        let changed = again
            && match mismatch.found {
                Found::Field(_) if key.texts.is_empty() => {
                    key.given.absent = true;
                    true
                }
                _ if key.leave_out_empty(&mismatch) => true,
                Found::Text(_) => key.give_otherwise(&mismatch),
                _ => false,
            };
        (!changed).then_some(mismatch)
    }

    /// Returns the key whose texts serde has put aside and then found not to fit.
    fn put_aside(&self, mismatch: &Mismatch) -> Option<usize> {
        match mismatch.found {
            Found::Text(place) => self.keys.iter().position(|key| {
                let mut texts = key.texts.iter().flatten();
                texts.any(|text| text.as_ptr().addr() == place)
            }),
            Found::Other if !self.keys.is_empty() => {
                let given = self.keys[self.changed].given;
                (given.absent || given.list || given.typed).then_some(self.changed)
            }
            _ => None,
        }
    }

    /// Returns the key that a path begins with, or that a type misses.
    fn at(&mut self, mismatch: &Mismatch) -> Option<usize> {
        let name = mismatch.root()?;
        let known = self.keys.iter().position(|key| key.name() == name);
        known.or_else(|| match mismatch.found {
            Found::Field(field) => {
                self.keys.push(Key::new(field));
                Some(self.keys.len() - 1)
            }
            _ => None,
        })
    }

    fn given(&self) -> impl Iterator<Item = &Key<'a>> {
        let given = |key: &&Key<'a>| !key.texts.is_empty() || key.given.absent;
        self.keys.iter().filter(given)
    }

    fn only(&self) -> Result<Scalar<'_>, Mismatch> {
        match &self.keys[..] {
            [key] if self.ordered => Ok(key.value()),
            all if self.ordered => Err(Mismatch::new(format!(
                "one parameter, the path has {}",
                all.len()
            ))),
            _ => Err(Mismatch::new("an object")),
        }
    }
}

impl<'a> Key<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name: [Some(name)],
            texts: Vec::new(),
            given: Given::default(),
            refused: None,
        }
    }

    fn name(&self) -> &'a str {
        let [name] = self.name;
        name.unwrap_or_default()
    }

    fn value(&self) -> Scalar<'_> {
        Scalar {
            given: self.given,
            ..Scalar::new(&self.texts, Rule::One)
        }
    }

    fn leave_out_empty(&mut self, mismatch: &Mismatch) -> bool {
        let before = self.texts.len();
        self.texts.retain(|text| *text != Some(""));
        let changed = self.texts.len() < before;
        if changed {
            self.refused = Some(mismatch.clone());
        }
        changed
    }

    fn give_otherwise(&mut self, mismatch: &Mismatch) -> bool {
        let given = &mut self.given;
        let change = match mismatch.expected.starts_with("a list") {
            true => &mut given.list,
            false => &mut given.typed,
        };
        !std::mem::replace(change, true)
    }
}

/// Says what happens to several texts if only one is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// They are refused.
    One,
    /// The first one counts.
    First,
}

/// All texts of one name, of which there may be none, one, or several.
#[derive(Clone, Copy)]
pub(super) struct Scalar<'a> {
    texts: &'a [Text<'a>],
    rule: Rule,
    given: Given,
}

impl<'a> Scalar<'a> {
    pub(super) fn new(texts: &'a [Text<'a>], rule: Rule) -> Self {
        Self {
            texts,
            rule,
            given: Given::default(),
        }
    }

    fn elements(self) -> impl Iterator<Item = Scalar<'a>> {
        let given = Given {
            typed: self.given.typed,
            ..Given::default()
        };
        let each = self.texts.chunks(1);
        each.map(move |texts| Scalar {
            texts,
            given,
            ..self
        })
    }

    fn one(&self, expected: &str) -> Result<&'a str, Mismatch> {
        let text = match self.texts {
            [text] => text,
            [first, ..] if self.rule == Rule::First => first,
            [] => {
                let mut missing = Mismatch::new(expected).but("it is missing");
                missing.found = Found::Nothing;
                return Err(missing);
            }
            _ => return Err(Mismatch::new(expected).but("it is given more than once")),
        };
        text.ok_or_else(|| Mismatch {
            found: Found::NotUtf8,
            ..Mismatch::new(expected).but("it is not UTF-8")
        })
    }

    /// Refuses a type that consists of several values, unless it accepts a text too.
    fn composed<V: Visitor<'a>>(
        &self,
        kind: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let text = self.one("a value");
        match visitor.visit_str::<Mismatch>(text.as_ref().map_or("", |text| text)) {
            Err(mismatch) if mismatch.other_type => Err(Mismatch {
                found: Found::Never(kind),
                ..mismatch
            }),
            taken => text.and(taken),
        }
    }

    fn parse<T: std::str::FromStr>(&self, expected: &'static str) -> Result<T, Mismatch> {
        self.one(expected)?
            .parse()
            .map_err(|_| Mismatch::new(expected))
    }

    /// Rust reads `NaN` and `inf` as numbers, and `1e999` as infinity. They pass checks of a range, and JSON has no
    /// such numbers.
    fn finite<T: Copy + std::str::FromStr>(
        &self,
        expected: &'static str,
        is_finite: fn(T) -> bool,
    ) -> Result<T, Mismatch> {
        let number = self.parse(expected)?;
        match is_finite(number) {
            true => Ok(number),
            false => Err(Mismatch::new(expected)),
        }
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $name:literal,)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
                visitor.$visit(self.parse($name)?)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Scalar<'de> {
    type Error = Mismatch;

    parsed! {
        deserialize_bool visit_bool "a boolean",
        deserialize_i8 visit_i8 "i8",
        deserialize_i16 visit_i16 "i16",
        deserialize_i32 visit_i32 "i32",
        deserialize_i64 visit_i64 "i64",
        deserialize_i128 visit_i128 "i128",
        deserialize_u8 visit_u8 "u8",
        deserialize_u16 visit_u16 "u16",
        deserialize_u32 visit_u32 "u32",
        deserialize_u64 visit_u64 "u64",
        deserialize_u128 visit_u128 "u128",
        deserialize_char visit_char "one character",
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_f32(self.finite("f32", f32::is_finite)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_f64(self.finite("f64", f64::is_finite)?)
    }

    /// serde requests this when it puts a value aside.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.given.list || self.texts.len() != 1 && (self.given.absent || self.texts.len() > 1) {
            return visitor.visit_seq(Each::of(self.elements()));
        }
        let text = self.one("a value")?;
        if self.given.typed {
            if let Ok(number) = text.parse() {
                return visitor.visit_u64(number);
            }
            if let Ok(number) = text.parse() {
                return visitor.visit_i64(number);
            }
            if let Ok(number) = self.finite("f64", f64::is_finite) {
                return visitor.visit_f64(number);
            }
            if let Ok(truth) = text.parse() {
                return visitor.visit_bool(truth);
            }
        }
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.one("a text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.texts.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(Each::of(self.elements()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(UnitVariant(self.one(&one_of(variants))?))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.composed("a struct", visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.composed("a map", visitor)
    }

    serde::forward_to_deserialize_any! {
        bytes byte_buf unit_struct tuple_struct identifier
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for Scalar<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! only {
    ($($method:ident)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
                self.only()?.$method(visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for &'de Decoder<'_> {
    type Error = Mismatch;

    only! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_identifier
    }

    /// Reads a path with one parameter as that parameter, and anything else as an object.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.only() {
            Ok(only) => only.deserialize_any(visitor),
            Err(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.given().next() {
            Some(_) => visitor.visit_some(self),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let keys: Vec<_> = self.given().collect();
        visitor.visit_map(Entries {
            keys: keys.into_iter(),
            value: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_map(visitor)
    }

    /// Reads a path as its values in order, and anything else as pairs of key and value.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.ordered {
            return visitor.visit_seq(Each::of(self.keys.iter().map(Key::value)));
        }
        let pairs = self.keys.iter().flat_map(|key| {
            let pair = |text| (key.name(), Scalar::new(text, Rule::One));
            key.texts.chunks(1).map(pair)
        });
        MapDeserializer::new(pairs).deserialize_seq(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }
}

/// The keys that are present, and their values.
struct Entries<'a, 'k> {
    keys: std::vec::IntoIter<&'a Key<'k>>,
    value: Option<(Scalar<'a>, Step)>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Mismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Mismatch> {
        let Some(key) = self.keys.next() else {
            return Ok(None);
        };
        let is_name = Cell::new(false);
        let name = Name {
            text: Scalar::new(&key.name, Rule::One),
            is_name: &is_name,
        };
        let read = seed.deserialize(name);
        let name = key.name().to_owned();
        let step = match is_name.get() {
            true => Step::Name(name),
            false => Step::Key(name),
        };
        match read {
            Ok(read) => {
                self.value = Some((key.value(), step));
                Ok(Some(read))
            }
            Err(mismatch) => Err(mismatch.within(Some(step))),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        let (value, step) = self.value.take().ok_or_else(Mismatch::default)?;
        seed.deserialize(value)
            .map_err(|mismatch| mismatch.within(Some(step)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.keys.len())
    }
}

/// A key. A type that knows its names requests an identifier.
struct Name<'a, 'c> {
    text: Scalar<'a>,
    is_name: &'c Cell<bool>,
}

macro_rules! of_a_name {
    ($($method:ident($($arg:ident: $type:ty),*))*) => {
        $(
            fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Mismatch> {
                self.text.$method($($arg,)* visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Name<'de, '_> {
    type Error = Mismatch;

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.is_name.set(true);
        self.text.deserialize_str(visitor)
    }

    of_a_name! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit() deserialize_seq()
        deserialize_map() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

/// The elements of a list. A fault in one carries its index.
struct Each<I> {
    elements: I,
    next: usize,
}

impl<I> Each<I> {
    fn of(elements: I) -> Self {
        Self { elements, next: 0 }
    }
}

impl<'de, I: Iterator<Item = Scalar<'de>>> SeqAccess<'de> for Each<I> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mismatch> {
        let Some(element) = self.elements.next() else {
            return Ok(None);
        };
        let step = Step::Index(self.next);
        self.next += 1;
        let read = seed.deserialize(element).map(Some);
        read.map_err(|mismatch| mismatch.within(Some(step)))
    }

    fn size_hint(&self) -> Option<usize> {
        self.elements.size_hint().1
    }
}

struct UnitVariant<'a>(&'a str);

impl<'de, 'a> EnumAccess<'de> for UnitVariant<'a> {
    type Error = Mismatch;
    type Variant = <StrDeserializer<'a, Mismatch> as EnumAccess<'de>>::Variant;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), Self::Error> {
        let text: StrDeserializer<'a, Mismatch> = self.0.into_deserializer();
        text.variant_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::query_string;

    fn read<T: DeserializeOwned>(values: &[&str]) -> Result<T, String> {
        let texts: Vec<_> = values.iter().map(|text| Some(*text)).collect();
        value(&texts, Rule::One).map_err(|error| error.to_string())
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct JobId(u64);

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Up,
        Down,
    }

    #[test]
    fn scalars_newtypes_and_enums_are_read_from_one_text() {
        assert_eq!(read::<u64>(&["7"]), Ok(7));
        assert_eq!(read::<JobId>(&["7"]), Ok(JobId(7)));
        assert_eq!(read::<Order>(&["down"]), Ok(Order::Down));
        assert_eq!(read::<String>(&["7"]), Ok("7".to_owned()));
        assert_eq!(read::<bool>(&["true"]), Ok(true));
        assert_eq!(
            read::<std::net::IpAddr>(&["::1"]),
            Ok("::1".parse().unwrap())
        );
    }

    #[test]
    fn a_number_is_finite() {
        #[derive(Deserialize, Debug)]
        struct Outer {
            #[serde(flatten)]
            inner: Inner,
        }
        #[derive(Deserialize, Debug)]
        struct Inner {
            price: f64,
        }
        for text in ["NaN", "inf", "-infinity", "1e999"] {
            assert_eq!(read::<f64>(&[text]).unwrap_err(), "a number", "{text}");
            assert_eq!(read::<f32>(&[text]).unwrap_err(), "a number", "{text}");
            assert!(read::<Option<f64>>(&[text]).is_err(), "{text}");
            assert!(read::<Vec<f64>>(&["1", text]).is_err(), "{text}");
            let query = format!("price={text}");
            let query = query_string::parse(query.as_bytes());
            assert!(pairs::<Inner>(&query).is_err(), "{text}");
            assert!(pairs::<Outer>(&query).is_err(), "{text}");
        }
        assert_eq!(read::<f64>(&["1e39"]), Ok(1e39));
        assert_eq!(read::<f32>(&["1e39"]).unwrap_err(), "a number");
        let query = query_string::parse(b"price=1.5");
        assert_eq!(pairs::<Outer>(&query).unwrap().inner.price, 1.5);
    }

    #[test]
    fn absent_and_repeated_values_have_their_types() {
        assert_eq!(read::<Option<u64>>(&[]), Ok(None));
        assert_eq!(read::<Option<u64>>(&["7"]), Ok(Some(7)));
        assert_eq!(read::<Vec<u8>>(&["1", "2"]), Ok(vec![1, 2]));
        assert_eq!(read::<Vec<u8>>(&[]), Ok(vec![]));
        assert_eq!(read::<Option<Vec<JobId>>>(&["1"]), Ok(Some(vec![JobId(1)])));
    }

    #[test]
    fn several_names_are_read_by_name_or_by_order() {
        #[derive(Deserialize, PartialEq, Debug)]
        struct Place {
            org: String,
            id: JobId,
        }
        let params = [("org", "acme"), ("id", "7")];
        let place: Place = path(params.into_iter()).unwrap();
        assert_eq!((place.org.as_str(), place.id), ("acme", JobId(7)));
        let tuple: (String, u64) = path(params.into_iter()).unwrap();
        assert_eq!(tuple, ("acme".to_owned(), 7));
        assert_eq!(path::<JobId>([("id", "7")].into_iter()).unwrap(), JobId(7));
        assert!(path::<u64>(params.into_iter()).is_err());
    }

    #[test]
    fn a_struct_accepts_a_text_only_if_it_wants_one() {
        #[derive(Deserialize, PartialEq, Debug)]
        #[serde(from = "String")]
        struct Tag(String);

        impl From<String> for Tag {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        #[derive(Deserialize, PartialEq, Debug)]
        struct Range {
            from: u32,
        }
        assert_eq!(read::<Tag>(&["a"]), Ok(Tag("a".to_owned())));
        for texts in [&[][..], &["7"], &["1", "2"]] {
            let error = read::<Range>(texts).unwrap_err();
            assert!(!error.is_empty());
        }
        assert!(read::<HashMap<String, u32>>(&["7"]).is_err());
        assert_eq!(read::<Option<Range>>(&[]), Ok(None));
    }

    /// A type that requests a struct, but accepts a text as well.
    #[derive(PartialEq, Debug)]
    struct Size(usize);

    impl<'de> Deserialize<'de> for Size {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Sizes;

            impl Visitor<'_> for Sizes {
                type Value = Size;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a size")
                }

                fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                    match text {
                        "huge" => Err(E::custom("too large")),
                        _ => Ok(Size(text.len())),
                    }
                }
            }
            deserializer.deserialize_struct("Size", &[], Sizes)
        }
    }

    #[test]
    fn a_struct_may_accept_a_text_and_report_its_fault() {
        let refused = |texts: &[&str]| read::<Size>(texts).unwrap_err();
        assert_eq!(read::<Size>(&["big"]), Ok(Size(3)));
        assert_eq!(refused(&[]), "a value, it is missing");
        assert_eq!(refused(&["a", "b"]), "a value, it is given more than once");
        assert_eq!(refused(&["huge"]), "a valid value (too large)");
    }

    #[test]
    fn what_was_expected_is_said() {
        assert_eq!(
            read::<u64>(&["x"]),
            Err("a whole number, not below 0".to_owned())
        );
        assert_eq!(
            read::<u64>(&[]),
            Err("a whole number, not below 0, it is missing".to_owned())
        );
        assert_eq!(
            read::<u64>(&["1", "2"]),
            Err("a whole number, not below 0, it is given more than once".to_owned())
        );
        assert_eq!(read::<Order>(&["x"]), Err("one of `up`, `down`".to_owned()));
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Form {
        text: String,
        number: Option<i64>,
        texts: Vec<String>,
        #[serde(default)]
        truth: bool,
        #[serde(flatten)]
        rest: Rest,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Rest {
        byte: u8,
        bytes: Vec<u8>,
        word: Option<String>,
    }

    fn encoded(pairs: &[(&str, String)]) -> String {
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
        let pairs = pairs
            .iter()
            .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        pairs.collect::<Vec<_>>().join("&")
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(
            text in any::<String>(),
            number in any::<Option<i64>>(),
            texts in any::<Vec<String>>(),
            truth in any::<bool>(),
            byte in any::<u8>(),
            bytes in any::<Vec<u8>>(),
            word in any::<Option<String>>().prop_filter("an empty one", |word| word.as_deref() != Some("")),
        ) {
            let mut given = vec![("text", text.clone()), ("truth", truth.to_string()), ("byte", byte.to_string())];
            given.extend(number.map(|number| ("number", number.to_string())));
            given.extend(texts.iter().map(|text| ("texts", text.clone())));
            given.extend(bytes.iter().map(|byte| ("bytes", byte.to_string())));
            given.extend(word.clone().map(|word| ("word", word)));
            let rest = Rest { byte, bytes, word };
            let form = Form { text, number, texts, truth, rest };
            let read = pairs::<Form>(&query_string::parse(encoded(&given).as_bytes()));
            prop_assert_eq!(read.unwrap(), form);
        }

        #[test]
        fn whatever_is_sent_is_read_or_refused(
            bytes in any::<Vec<u8>>(),
            keys in prop::collection::vec(
                ("(text|number|texts|truth|byte|bytes|word)(=|=[0-9]{1,4}|=%ff|=x)", any::<bool>()), 0..12,
            ),
        ) {
            let query: Vec<_> = keys.into_iter().map(|(pair, _)| pair).collect();
            for sent in [&bytes, query.join("&").as_bytes()] as [&[u8]; 2] {
                let sent = query_string::parse(sent);
                let _ = pairs::<Form>(&sent);
                let _ = pairs::<HashMap<String, u32>>(&sent);
                let _ = pairs::<Vec<(String, String)>>(&sent);
                let _ = pairs::<serde_json::Value>(&sent);
            }
        }
    }
}
