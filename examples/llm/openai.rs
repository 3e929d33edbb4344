//! OpenAI's conventions: a key, and errors as its clients expect them.

use axum_core::response::{IntoResponse, Response};
use helios::http::StreamAnswer;
use helios::prelude::*;

/// A single key. A real app would look keys up in a table of customers.
const KEY: &str = "sk-sun";

#[derive(Injectable)]
pub(crate) struct HasKey;

impl Guard for HasKey {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        let bearer = request.header("authorization");
        let key = bearer.and_then(|value| value.strip_prefix("Bearer "));
        match key == Some(KEY) {
            true => Ok(()),
            false => Err(HttpError::unauthorized("send your key as a bearer token")),
        }
    }
}

/// Turns errors into OpenAI's error object. Before the first token it is a response with a status, and after it a
/// chunk.
#[derive(Injectable)]
pub(crate) struct Errors;

impl Filter for Errors {
    type Error = HttpError;

    async fn catch(&self, error: &HttpError, _: &RequestContext) -> Result<Response, HttpError> {
        let (headers, body) = (error.headers().clone(), Json(object(error)));
        Ok((error.status(), headers, body).into_response())
    }

    /// OpenAI's clients raise it as an exception. No `[DONE]` follows it.
    async fn catch_in_stream(
        &self,
        error: &HttpError,
        _: &RequestContext,
    ) -> Result<StreamAnswer, HttpError> {
        Ok(StreamAnswer::Event(SseEvent::json(object(error))))
    }
}

fn object(error: &HttpError) -> serde_json::Value {
    // Leaves out what is only for the log.
    let told = error.for_client();
    let faults: Vec<_> = told.faults().iter().map(ToString::to_string).collect();
    let message = match (faults.is_empty(), told.detail()) {
        (false, _) => faults.join("; "),
        (true, "") => told.title().to_owned(),
        (true, detail) => detail.to_owned(),
    };
    let (kind, code) = match told.status() {
        StatusCode::UNAUTHORIZED => ("invalid_request_error", Some("invalid_api_key")),
        StatusCode::NOT_FOUND => ("invalid_request_error", Some("model_not_found")),
        StatusCode::TOO_MANY_REQUESTS => ("requests", Some("rate_limit_exceeded")),
        status if status.is_client_error() => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    let param = told.faults().first().map(|fault| fault.name.as_ref());
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}
