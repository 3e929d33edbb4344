//! Ends a stream that has failed, as the filters of its route decide.

use axum_core::response::Response;
use helios_core::error::HttpError;
use helios_core::event::SseEvent;
use helios_core::filter::{StreamAnswer, first_answer};
use helios_core::request::RequestContext;
use helios_core::sse::SseError;
use helios_core::text;
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use crate::failure::log_failure;
use crate::panics::caught_in;
use crate::sse::hub::Hub;
use crate::sse::options::OnError;
use crate::sse::stream::handle::SseStream;
use crate::sse::stream::lifecycle::EndEvent;
use crate::sse::stream::route::StreamRequest;

/// Returns the end event of a stream with this error. If a filter fails, the client gets the error itself.
pub(super) async fn end_event(
    client: &SseStream,
    request: &StreamRequest,
    error: SseError,
) -> EndEvent {
    let Some(kept) = &request.kept else {
        return EndEvent::Error(error);
    };
    let limit = request.route.hub().options().hook_timeout;
    let asked = timeout(limit, ask_filters(client, request, kept, &error));
    match caught_in("a filter", asked).await {
        Some(Ok(Some(event))) => return event,
        Some(Err(late)) => {
            log_failure!(error, "a filter timed out", &late, client = client.id());
        }
        // The panic is logged already.
        Some(Ok(None)) | None => {}
    }
    EndEvent::Error(error)
}

/// Returns the answer of the first filter that handles the error, or `None` if none does.
async fn ask_filters(
    client: &SseStream,
    request: &StreamRequest,
    kept: &RequestContext,
    error: &SseError,
) -> Option<EndEvent> {
    let error = HttpError::from(error.clone());
    let filters = &request.route.filters;
    let answer = first_answer(filters, |filter| filter.catch_in_stream(&error, kept))?.await;
    let hub = request.route.hub();
    match answer {
        // Clients of this route cannot recognise an error response.
        Ok(StreamAnswer::Response(_)) if request.route.options.on_error == OnError::BreakOff => {
            Some(EndEvent::BreakOff)
        }
        Ok(StreamAnswer::Response(response)) => of_response(hub, response).await,
        Ok(StreamAnswer::Event(event)) => of_event(client, hub, &event),
        Ok(StreamAnswer::BreakOff) => Some(EndEvent::BreakOff),
        Ok(_) => None,
        Err(other) => Some(of_other(client, other)),
    }
}

fn of_other(client: &SseStream, other: HttpError) -> EndEvent {
    if other.status().is_server_error() {
        log_failure!(
            error,
            "a filter answered with an error",
            &other,
            client = client.id()
        );
    }
    EndEvent::Error(other.into())
}

/// Returns `None` if the event may not be sent.
fn of_event(client: &SseStream, hub: &Hub, event: &SseEvent) -> Option<EndEvent> {
    let checked = client.state.check_id(event);
    match checked.and_then(|()| hub.encode(event)) {
        Ok(bytes) => Some(EndEvent::Event(bytes)),
        Err(error) => {
            let client = client.id();
            log_failure!(
                error,
                "the event of a filter cannot be sent",
                &error,
                client = client
            );
            None
        }
    }
}

/// Returns `None` if the response does not report an error.
async fn of_response(hub: &Hub, response: Response) -> Option<EndEvent> {
    let status = response.status();
    let told = match is_text(&response) {
        true => text_in(response, hub.options().max_event_bytes).await,
        false => None,
    };
    let event = told.and_then(|text| hub.encode(&SseEvent::text(text).event("error")).ok());
    let is_error = status.is_client_error() || status.is_server_error();
    let of_status = || is_error.then(|| EndEvent::Error(HttpError::from(status).into()));
    event.map(EndEvent::Event).or_else(of_status)
}

fn is_text(response: &Response) -> bool {
    let kind = text::media_type(response.headers()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    kind.starts_with("text/") || kind == "application/json" || kind.ends_with("+json")
}

/// Returns `None` if there is no text, or too much of it.
async fn text_in(response: Response, limit: usize) -> Option<String> {
    let body = Limited::new(response.into_body(), limit)
        .collect()
        .await
        .ok()?;
    let text = String::from_utf8(body.to_bytes().into()).ok()?;
    Some(text).filter(|text| !text.is_empty())
}
