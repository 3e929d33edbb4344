//! Collects named values into one JSON object, for the variants of `#[derive(SseEvents)]`.

/// The trait by which the data of an event is read.
pub use serde::de::DeserializeOwned;
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The bound on a type parameter of such an enum. It has a name of its own, because lints report a bound that is
/// written twice.
pub trait Payload: Serialize {}

impl<T: Serialize + ?Sized> Payload for T {}

/// Converts a value to JSON, as it is written where it is the whole data. A [`serde_json::Value`] would change an `f32`, and has no room
/// for large integers.
///
/// # Errors
///
/// The value's own serialisation error.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Box<RawValue>> {
    to_raw_value(value)
}

/// An object with these fields, in this order. It fails to serialise if one of them failed.
#[derive(Debug)]
pub struct Fields(Vec<(&'static str, serde_json::Result<Box<RawValue>>)>);

/// Returns such an object, see [`Fields`].
#[must_use]
pub fn fields(fields: Vec<(&'static str, serde_json::Result<Box<RawValue>>)>) -> Fields {
    Fields(fields)
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            let value = value.as_ref().map_err(S::Error::custom)?;
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}
