//! A serde deserialiser over the texts that a request has for one name.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::slice;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, SeqAccess, Visitor,
};

use super::mismatch::{A_VALID_VALUE, LONGEST_MESSAGE, one_of};
use crate::bounded::bounded;

/// All texts of one name: none, one, or several.
#[derive(Clone, Copy)]
pub struct Scalar<'a> {
    values: &'a [Cow<'a, str>],
    /// Where one value is taken, the first is: several are not refused.
    first_counts: bool,
}

impl<'a> Scalar<'a> {
    pub(super) fn new(values: &'a [Cow<'a, str>]) -> Self {
        Self {
            values,
            first_counts: false,
        }
    }

    /// Those of a name that may come more than once, with the one that counts before the others.
    pub(super) fn first_of(values: &'a [Cow<'a, str>]) -> Self {
        Self {
            values,
            first_counts: true,
        }
    }

    pub(super) fn all(&self) -> &'a [Cow<'a, str>] {
        self.values
    }

    fn one(&self, expected: &str) -> Result<&'a str, ValueError> {
        match self.values {
            [value] => Ok(value),
            [first, ..] if self.first_counts => Ok(first),
            [] => Err(ValueError::Expected(format!("{expected}, it is missing"))),
            _ => Err(ValueError::Expected(format!(
                "{expected}, it is given more than once"
            ))),
        }
    }

    /// What has several values of its own, unless it takes a text too.
    fn composed<'de, V: Visitor<'de>>(
        &self,
        kind: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let text = self.one("a value");
        match visitor.visit_str(text.as_ref().map_or("", |text| text)) {
            Err(ValueError::OtherType(_)) => Err(ValueError::NotOneValue(kind)),
            taken => text.and(taken),
        }
    }

    fn parse<T: std::str::FromStr>(&self, expected: &'static str) -> Result<T, ValueError> {
        self.one(expected)?
            .parse()
            .map_err(|_| ValueError::Expected(expected.to_owned()))
    }
}

/// Why a value was not read.
#[derive(Debug)]
pub enum ValueError {
    /// What was expected, as a person would say it.
    Expected(String),
    /// The same, of a type that does not take what it was given, whatever it says.
    OtherType(String),
    /// What the type itself says of the value. It may quote it.
    Message(String),
    /// What no request will ever bring, since one value does not hold it.
    NotOneValue(&'static str),
}

impl Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(expected) | Self::OtherType(expected) => f.write_str(expected),
            Self::Message(message) => write!(f, "{A_VALID_VALUE} ({message})"),
            Self::NotOneValue(kind) => write!(f, "{kind}, which is more than one value"),
        }
    }
}

impl std::error::Error for ValueError {}

impl Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Message(bounded(message, LONGEST_MESSAGE))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::OtherType(expected.to_string())
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Expected(expected.to_string())
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::Expected(one_of(variants))
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

impl<'de> Deserializer<'de> for Scalar<'_> {
    type Error = ValueError;

    parsed! {
        deserialize_bool visit_bool "`true` or `false`",
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
        deserialize_f32 visit_f32 "f32",
        deserialize_f64 visit_f64 "f64",
        deserialize_char visit_char "one character",
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.one("a value")?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.values.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(Each(self.values))
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
        str string bytes byte_buf unit_struct tuple_struct identifier ignored_any
    }
}

/// Several names with one text each: a struct or map takes them by name, a tuple or list by order, anything else takes
/// the only one.
#[derive(Clone, Copy)]
pub(super) struct Named<'a>(pub(super) &'a [(&'a str, Cow<'a, str>)]);

impl<'a> Named<'a> {
    fn texts(self) -> impl Iterator<Item = Scalar<'a>> {
        let texts = self.0.iter().map(|(_, text)| slice::from_ref(text));
        texts.map(Scalar::new)
    }

    fn only(self) -> Result<Scalar<'a>, ValueError> {
        match self.0 {
            [(_, text)] => Ok(Scalar::new(slice::from_ref(text))),
            all => Err(ValueError::Expected(format!(
                "one parameter, the path has {}",
                all.len()
            ))),
        }
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

impl<'de> Deserializer<'de> for Named<'_> {
    type Error = ValueError;

    only! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_identifier
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let names = self.0.iter().map(|(name, _)| *name);
        visitor.visit_map(MapDeserializer::new(names.zip(self.texts())))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_seq(SeqDeserializer::new(self.texts()))
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

    serde::forward_to_deserialize_any! { unit unit_struct ignored_any }
}

impl<'de> IntoDeserializer<'de, ValueError> for Scalar<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Each<'a>(&'a [Cow<'a, str>]);

impl<'de> SeqAccess<'de> for Each<'_> {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        let Some((_, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        let one = Scalar::new(&self.0[..1]);
        self.0 = rest;
        seed.deserialize(one).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct UnitVariant<'a>(&'a str);

impl<'de, 'a> EnumAccess<'de> for UnitVariant<'a> {
    type Error = ValueError;
    type Variant = <StrDeserializer<'a, ValueError> as EnumAccess<'de>>::Variant;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), Self::Error> {
        let text: StrDeserializer<'a, ValueError> = self.0.into_deserializer();
        text.variant_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    fn read<T: DeserializeOwned>(values: &[&str]) -> Result<T, String> {
        let values: Vec<_> = values.iter().map(|text| Cow::Borrowed(*text)).collect();
        T::deserialize(Scalar::new(&values)).map_err(|error| error.to_string())
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
        let pairs = [("org", Cow::Borrowed("acme")), ("id", Cow::Borrowed("7"))];
        let place = Place::deserialize(Named(&pairs)).unwrap();
        assert_eq!((place.org.as_str(), place.id), ("acme", JobId(7)));
        let tuple = <(String, u64)>::deserialize(Named(&pairs)).unwrap();
        assert_eq!(tuple, ("acme".to_owned(), 7));
        assert_eq!(JobId::deserialize(Named(&pairs[1..])).unwrap(), JobId(7));
        assert!(u64::deserialize(Named(&pairs)).is_err());
    }

    #[test]
    fn no_text_is_a_struct_or_a_map_unless_the_type_takes_a_text_too() {
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
            assert_eq!(error, "a struct, which is more than one value");
        }
        assert!(read::<std::collections::HashMap<String, u32>>(&["7"]).is_err());
        assert_eq!(read::<Option<Range>>(&[]), Ok(None));
    }

    /// Asks for a struct, and takes a text as well.
    #[derive(PartialEq, Debug)]
    struct Size(usize);

    impl<'de> Deserialize<'de> for Size {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Sizes;

            impl Visitor<'_> for Sizes {
                type Value = Size;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a size")
                }

                fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
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
    fn a_struct_that_takes_a_text_takes_one_and_says_what_is_wrong_with_it() {
        let refused = |texts: &[&str]| read::<Size>(texts).unwrap_err();
        assert_eq!(read::<Size>(&["big"]), Ok(Size(3)));
        assert_eq!(refused(&[]), "a value, it is missing");
        assert_eq!(refused(&["a", "b"]), "a value, it is given more than once");
        assert_eq!(refused(&["huge"]), "a valid value (too large)");
    }

    #[test]
    fn what_was_expected_is_said() {
        assert_eq!(read::<u64>(&["x"]), Err("u64".to_owned()));
        assert_eq!(read::<u64>(&[]), Err("u64, it is missing".to_owned()));
        assert_eq!(
            read::<u64>(&["1", "2"]),
            Err("u64, it is given more than once".to_owned())
        );
        assert_eq!(read::<Order>(&["x"]), Err("one of `up`, `down`".to_owned()));
    }
}
