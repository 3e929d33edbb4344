//! Changes to the response of a handler: closure interceptors map its JSON, and the response head is applied.

use axum_core::body::Body;
use axum_core::response::Response;
use helios_core::error::HttpError;
use helios_core::interceptor::{MapData, map_through};
use helios_core::reply::{IsError, Reply};
use helios_core::request::{RequestContext, ResponseHead};
use helios_core::text;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;

/// Passes JSON through the mappers. Only successful responses are mapped, not a handler's own error response.
pub(crate) async fn mapped(
    response: Response,
    mappers: &[&'static dyn MapData],
    request: &RequestContext,
    head: &mut ResponseHead,
) -> Reply {
    match !mappers.is_empty() && is_json(&response) {
        true => Box::pin(map_json(response, mappers, request, head)).await,
        false => Ok(response),
    }
}

/// Applies the response head over the response's own headers. An error response gets only the cookies.
pub(crate) fn with_head(mut response: Response, head: &ResponseHead) -> Response {
    match response.extensions_mut().remove::<IsError>() {
        Some(IsError) => head.apply_to_error(response.headers_mut()),
        None => head.apply_to(&mut response),
    }
    response
}

fn is_json(response: &Response) -> bool {
    let kind = text::media_type(response.headers());
    response.status().is_success() && kind.is_some_and(|kind| kind.starts_with("application/json"))
}

async fn map_json(
    response: Response,
    mappers: &[&'static dyn MapData],
    request: &RequestContext,
    head: &mut ResponseHead,
) -> Reply {
    let failed = |what: &'static str| HttpError::internal(what);
    let (mut parts, body) = response.into_parts();
    let json = body
        .collect()
        .await
        .map_err(|error| failed("the response broke off").with_source(error))?;
    let data = serde_json::from_slice(&json.to_bytes())
        .map_err(|error| failed("the response is not JSON").with_source(error))?;
    let mapped = map_through(mappers, data, request, head);
    let json = serde_json::to_vec(&mapped)
        .map_err(|error| failed("the mapped data does not serialise").with_source(error))?;
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::from(json)))
}
