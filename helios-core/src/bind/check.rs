//! The check of arguments at start-up. It reports an argument that no request can bind before the app serves anything.
//!
//! As in [`crate::validate`], a type selects its methods. The methods of [`Probe`] itself are for the types that they
//! name. Those of [`Unseen`] are for all other types, and for a type of which only the bounds are known.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::mismatch::Found;
use super::values::Rule;
use super::{Form, FromValue, Path, Query};
use crate::type_name::short_name;

/// Extractors that find something only inside another framework's router, by the beginning of their full names, each
/// with its replacement in Helios.
const FOREIGN: [(&str, &str); 5] = [
    (
        "axum::extract::path::RawPathParams",
        "take `#[req] request: &RequestContext`, and ask its `param(\"name\")`",
    ),
    (
        "axum::extract::path::Path<",
        "take `#[param] name: T` for one parameter, or Helios' own `Path<T>`, which is `helios::Path`",
    ),
    (
        "axum_extra::extract::optional_path::OptionalPath<",
        "write a route for the path without the parameter, and take `#[param] name: T` in the route with it",
    ),
    (
        "axum::extract::matched_path::MatchedPath",
        "write the route's path as a constant, and use it in the attribute and in the method",
    ),
    (
        "axum::extract::nested_path::NestedPath",
        "write the prefix as a constant, and use it in the attribute and in the method",
    ),
];

/// An argument of a handler or hook, as start-up checks it.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentCheck {
    /// The argument's name.
    pub name: &'static str,
    /// Returns why no request can bind it, and what to write instead. Its argument is the number of the path's
    /// parameters, if that is known.
    pub mistake: fn(Option<usize>) -> Option<String>,
}

/// Checks one argument. `source` is its attribute, or `argument`.
#[macro_export]
#[doc(hidden)]
macro_rules! __mistake {
    ($source:ident, $ty:ty) => {
        |params| {
            use $crate::bind::check::Unseen as _;
            $crate::bind::check::Probe::<$ty>::of().$source(params)
        }
    };
}

/// Carries a type, to select a method.
#[doc(hidden)]
pub struct Probe<T>(PhantomData<fn() -> T>);

#[allow(missing_docs)]
impl<T> Probe<T> {
    #[must_use]
    pub fn of() -> Self {
        Self(PhantomData)
    }
}

#[allow(missing_docs)]
impl<T: FromValue> Probe<T> {
    #[must_use]
    pub fn param(self, _: Option<usize>) -> Option<String> {
        Some(format!(
            "{}: take the whole path as `Path<{}>`",
            too_much::<T>()?,
            inner::<T>()
        ))
    }

    #[must_use]
    pub fn query(self, _: Option<usize>) -> Option<String> {
        Some(format!(
            "{}: take the whole query as `Query<{}>`",
            too_much::<T>()?,
            inner::<T>()
        ))
    }

    #[must_use]
    pub fn header(self, _: Option<usize>) -> Option<String> {
        Some(format!(
            "{}: take each value as a `#[header]` of its own",
            too_much::<T>()?
        ))
    }

    #[must_use]
    pub fn cookie(self, _: Option<usize>) -> Option<String> {
        Some(format!(
            "{}: take each value as a `#[cookie]` of its own",
            too_much::<T>()?
        ))
    }
}

#[allow(missing_docs)]
impl<T: DeserializeOwned> Probe<Query<T>> {
    #[must_use]
    pub fn argument(self, _: Option<usize>) -> Option<String> {
        by_keys::<T>(
            "query",
            "take `#[query] name: T` for one value, or `Query` of a struct",
        )
    }
}

#[allow(missing_docs)]
impl<T: DeserializeOwned> Probe<Form<T>> {
    #[must_use]
    pub fn argument(self, _: Option<usize>) -> Option<String> {
        by_keys::<T>("form", "take `Form` of a struct")
    }
}

#[allow(missing_docs)]
impl<T: DeserializeOwned> Probe<Path<T>> {
    #[must_use]
    pub fn argument(self, params: Option<usize>) -> Option<String> {
        let (has, takes) = match (params?, Shape::of::<T>()) {
            (has, Shape::One) if has != 1 => (has, 1),
            (has, Shape::Tuple(takes)) if takes > has => (has, takes),
            _ => return None,
        };
        let name = short_name(type_name::<T>());
        Some(format!(
            "`{name}` takes {takes} of the path's parameters, of which there are {has}: take a tuple of as many, or a struct"
        ))
    }
}

/// Checks of a type of which only the name can be seen.
#[doc(hidden)]
#[allow(missing_docs)]
pub trait Unseen: Sized {
    fn param(self, _: Option<usize>) -> Option<String> {
        None
    }

    fn query(self, _: Option<usize>) -> Option<String> {
        None
    }

    fn header(self, _: Option<usize>) -> Option<String> {
        None
    }

    fn cookie(self, _: Option<usize>) -> Option<String> {
        None
    }

    fn argument(self, params: Option<usize>) -> Option<String>;
}

impl<T> Unseen for Probe<T> {
    /// The name of a wrapper contains the name of the wrapped type.
    fn argument(self, _: Option<usize>) -> Option<String> {
        let name = type_name::<T>();
        let (_, instead) = FOREIGN.iter().find(|(foreign, _)| name.contains(foreign))?;
        Some(format!(
            "`{}` finds nothing outside of its own framework's router: {instead}",
            short_name(name)
        ))
    }
}

/// Returns why one value of a request can never make a `T`, if that is so.
pub(super) fn too_much<T: FromValue>() -> Option<String> {
    let mismatch = T::from_texts(&[Some("x")], Rule::One).err()?;
    let Found::Never(kind) = mismatch.found else {
        return None;
    };
    let name = short_name(type_name::<T>());
    Some(format!(
        "`{name}` is {kind}, and one value of a request does not make one"
    ))
}

/// Returns the name of `T` or, for an `Option`, of its value. The fields of a whole may be optional, but the whole may
/// not.
fn inner<T>() -> String {
    let name = short_name(type_name::<T>());
    let inner = name
        .strip_prefix("Option<")
        .and_then(|name| name.strip_suffix('>'));
    inner.unwrap_or(&name).to_owned()
}

fn by_keys<T: DeserializeOwned>(whole: &str, instead: &str) -> Option<String> {
    let name = short_name(type_name::<T>());
    let is_one = Shape::of::<T>() == Shape::One;
    is_one.then(|| format!("a {whole} has keys, and `{name}` is one value: {instead}"))
}

/// The shape of the value that a type requests from a deserialiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One value.
    One,
    /// This many values.
    Tuple(usize),
    /// Keys, a list, or an unknown shape.
    Other,
}

impl Shape {
    fn of<T: DeserializeOwned>() -> Self {
        T::deserialize(Asked)
            .err()
            .map_or(Self::Other, |Told(shape)| shape)
    }
}

/// A deserialiser without a value, whose error says what the type requested.
struct Asked;

#[derive(Debug)]
struct Told(Shape);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked for {:?}", self.0)
    }
}

impl std::error::Error for Told {}

impl serde::de::Error for Told {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self(Shape::Other)
    }
}

macro_rules! told {
    ($shape:ident: $($method:ident)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
                Err(Told(Shape::$shape))
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Told;

    told! {
        One: deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_identifier
    }

    told! {
        Other: deserialize_any deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_ignored_any
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Told> {
        Err(Told(Shape::Other))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Told> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, _: V) -> Result<V::Value, Told> {
        Err(Told(Shape::Tuple(length)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        _: V,
    ) -> Result<V::Value, Told> {
        Err(Told(Shape::Tuple(length)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Told> {
        Err(Told(Shape::Other))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Told> {
        Err(Told(Shape::One))
    }
}
