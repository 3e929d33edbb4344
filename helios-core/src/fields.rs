//! Named values as one JSON object, for the variants of `#[derive(SseEvents)]`.

/// What the data of an event is read as.
pub use serde::de::DeserializeOwned;
use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The bound of a type parameter of such an enum, under a name of its own: lints find a bound that stands there twice.
pub trait Payload: Serialize {}

impl<T: Serialize + ?Sized> Payload for T {}

/// A value as JSON, or why it is none.
///
/// # Errors
///
/// The value's own serialisation error.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Value> {
    serde_json::to_value(value)
}

/// An object of these fields, in this order. It fails to serialise if one of them failed.
#[derive(Debug)]
pub struct Fields(Vec<(&'static str, serde_json::Result<Value>)>);

/// See [`Fields`].
#[must_use]
pub fn fields(fields: Vec<(&'static str, serde_json::Result<Value>)>) -> Fields {
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
