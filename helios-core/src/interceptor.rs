//! The closure interceptor: maps the JSON data that a route gives.

use serde_json::Value;

use crate::request::{RequestContext, ResponseHead};

/// Maps the JSON data of a response, or of each event that a route's own handler sends.
///
/// On events the head has left already: what is set on the response there has no effect.
pub trait MapData: Send + Sync {
    /// The data to send instead of `data`.
    fn map(&self, data: Value, request: &RequestContext, response: &mut ResponseHead) -> Value;
}

/// A closure as an interceptor.
#[derive(Debug)]
pub struct DataMapper<F>(F);

impl<F> MapData for DataMapper<F>
where
    F: Fn(Value, &RequestContext, &mut ResponseHead) -> Value + Send + Sync,
{
    fn map(&self, data: Value, request: &RequestContext, response: &mut ResponseHead) -> Value {
        (self.0)(data, request, response)
    }
}

/// Takes the closure of `interceptor = |data, request, response| ..`; the bound lets its types be inferred.
#[must_use]
pub const fn data_mapper<F>(map: F) -> DataMapper<F>
where
    F: Fn(Value, &RequestContext, &mut ResponseHead) -> Value + Send + Sync + 'static,
{
    DataMapper(map)
}
