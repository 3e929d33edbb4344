//! The output of an operation: its responses, its errors, and its stream.

use std::collections::BTreeSet;

use helios_core::type_name::short_name;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::openapi::components::component;
use crate::openapi::describe::{
    Answer, Content, Description, FORM, Item, JSON, LAST_EVENT_ID, MULTIPART, TEXT, Taken,
};
use crate::openapi::events::{self, PROBLEM, STREAM};
use crate::openapi::operation::Operation;
use crate::openapi::schema::add_alternative;
use crate::openapi::writer::Writer;
use crate::sse::Overload;
use crate::sse::options::StreamOptions;

impl Writer<'_> {
    pub(super) fn responses(
        &mut self,
        operation: &Operation,
        told: &Description,
    ) -> Map<String, Value> {
        let mut responses = Map::new();
        for status in self.refusals(operation, told) {
            responses.insert(status.to_string(), self.problem(status));
        }
        if told.errors.any {
            let mut any = self.problem(0);
            any["description"] = "An error".into();
            responses.insert("default".to_owned(), any);
        }
        let declared = |answer: &&Answer| answer.status < 400;
        let is_declared = told.answers.iter().any(|answer| declared(&answer));
        for answer in &told.answers {
            let written = self.answer(answer);
            match responses.get_mut(&answer.status.to_string()) {
                Some(known) => add_content(known, &written),
                None => drop(responses.insert(answer.status.to_string(), written)),
            }
        }
        let declares_errors = told.answers.iter().any(|answer| answer.status >= 400);
        if let (Some(error), false) = (told.errors.foreign.first(), declares_errors) {
            let what = format!("what its error `{}` is answered with", short_name(error));
            self.tell(
                operation,
                what,
                "derive `HttpError` on it, or write `#[answers(409, T)]`",
            );
        }
        match &operation.stream {
            Some(options) => {
                if told.may_reply && !is_declared {
                    let declare = "write `#[answers(202, T)]` for each";
                    self.tell(
                        operation,
                        "what it answers with in place of a stream",
                        declare,
                    );
                }
                let mut stream = self.stream(operation, told, options);
                // JSON in place of the stream may have the same status.
                if let Some(declared) = responses.get("200") {
                    add_content(&mut stream, declared);
                }
                responses.insert("200".to_owned(), stream);
                // A topic may be finished, whether or not the stream would start again.
                if told.may_join || !options.plain && !options.restart {
                    let seen = json!({ "description": "This client has seen the end" });
                    responses.insert("204".to_owned(), seen);
                }
            }
            None if is_declared => {}
            None => {
                let (status, success) = self.success(operation, told);
                responses.insert(status, success);
            }
        }
        responses
    }

    /// Returns the statuses of problem JSON with which the route can answer.
    fn refusals(&self, operation: &Operation, told: &Description) -> BTreeSet<u16> {
        let mut statuses = told.errors.statuses.clone();
        let is_refused = |taken: &Taken| taken.may_be_refused || taken.required;
        let last_id = |taken: &Taken| taken.name == LAST_EVENT_ID && !taken.required;
        let mut taken = told.taken.iter();
        // No parameter of a path may be `..` or other than UTF-8, even if it is not read.
        let has_params = !operation.template.params().is_empty();
        let is_read = taken.any(|taken| is_refused(taken) && !last_id(taken));
        if has_params || is_read || !told.wholes.is_empty() {
            statuses.insert(400);
        }
        if told.wholes.iter().any(|whole| whole.is_validated) {
            statuses.insert(422);
        }
        if let Some(body) = &told.body {
            statuses.insert(413);
            if body.is_read {
                statuses.extend([400, 415]);
            }
            if body.media.iter().any(|media| [JSON, FORM].contains(media)) {
                statuses.insert(422);
            }
            if body.media == [MULTIPART] {
                statuses.extend([400, 415]);
            }
            // It may not be UTF-8.
            if body.media == [TEXT] {
                statuses.insert(400);
            }
        }
        if !operation.security.is_empty() {
            statuses.extend([401, 403]);
        }
        if let Some(options) = &operation.stream {
            if let Overload::Status(status) = options.overload {
                statuses.insert(status.as_u16());
            }
            // A plain stream has no event for a client that has missed some.
            if options.plain && told.may_join {
                statuses.insert(410);
            }
        }
        statuses
    }

    fn problem(&self, status: u16) -> Value {
        let mut problem = json!({ "description": reason(status) });
        if !self.app.has_error_format {
            problem["content"] =
                json!({ "application/problem+json": { "schema": component(PROBLEM) } });
        }
        problem
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let Answer {
            status,
            media,
            schema,
        } = answer;
        let mut written = json!({ "description": reason(*status) });
        let schema = schema.map(|schema| self.schemas.sent(schema).unwrap_or_else(|| json!({})));
        let content = match (media, schema) {
            (Some(media), schema) => {
                json!({ *media: { "schema": schema.unwrap_or_else(|| json!({})) } })
            }
            (None, Some(schema)) => json!({ JSON: { "schema": schema } }),
            (None, None) if *status >= 400 => return self.problem(*status),
            (None, None) => return written,
        };
        written["content"] = content;
        written
    }

    fn success(&mut self, operation: &Operation, told: &Description) -> (String, Value) {
        let status = operation.meta.status.unwrap_or(200);
        let key = match (told.has_own_status, told.errors.any) {
            (false, _) => status.to_string(),
            (true, false) => "default".to_owned(),
            (true, true) => "2XX".to_owned(),
        };
        if told.has_own_status {
            let declare =
                "return the value alone below `#[http_code(201)]`, or write `#[answers(201, T)]`";
            self.tell(operation, "the status of its answer", declare);
        }
        let mut written = json!({ "description": reason(status) });
        let bodiless = matches!(status, 204 | 205 | 304);
        match told.content {
            Content::Nothing => {}
            _ if bodiless => {}
            Content::Media(given) => {
                self.interceptors(operation);
                let schema = self.content(operation, told, given);
                let media = told.media.unwrap_or(given);
                written["content"] = json!({ media: { "schema": schema } });
            }
            Content::Opaque if told.media.is_some() => {
                let media = told.media.unwrap_or_default();
                if is_json(media) {
                    self.some_json(operation, told);
                }
                written["content"] = json!({ media: { "schema": {} } });
            }
            Content::Opaque => {
                let declare = "write `#[answers(200, T)]`, or `#[answers(200, \"image/png\")]` for formats other than JSON";
                self.tell(operation, "what it answers with", declare);
            }
        }
        (key, written)
    }

    fn interceptors(&mut self, operation: &Operation) {
        for name in &operation.changed_by {
            let what = format!(
                "what the interceptor `{}` makes of its answer",
                short_name(name)
            );
            let declare =
                "write `#[answers(200, T)]`, or `false` as `Interceptor::changes_body` of it";
            self.tell(operation, what, declare);
        }
    }

    /// Returns the schema of a body to which the handler's type gives this media type. Closures map it before the
    /// route's own `content-type` replaces that.
    fn content(&mut self, operation: &Operation, told: &Description, given: &str) -> Value {
        if given != JSON && told.media.is_some_and(is_json) {
            self.some_json(operation, told);
            return json!({});
        }
        if operation.is_mapped && given == JSON {
            let what = "what the closures around it make of its answer";
            self.tell(operation, what, "write `#[answers(200, T)]`");
            return json!({});
        }
        let schema = told.schema.unwrap_or_default();
        self.schemas.sent(schema).unwrap_or_else(|| {
            self.tell_type(operation, "the type of its answer,", schema.name);
            json!({})
        })
    }

    /// The route says that it answers with JSON, but its type is a text, bytes or a response.
    fn some_json(&mut self, operation: &Operation, told: &Description) {
        let declare = match told.media {
            Some(media) if media != JSON => format!("write `#[answers(200, {media:?}, T)]`"),
            _ => "write `#[answers(200, T)]`".to_owned(),
        };
        self.tell(operation, "which JSON it answers with", declare);
    }

    fn stream(
        &mut self,
        operation: &Operation,
        told: &Description,
        options: &StreamOptions,
    ) -> Value {
        let mut nameless = Vec::new();
        let kind = match operation.is_mapped && !told.are_events_declared {
            true => Item::Unknown,
            false => told.item,
        };
        let item = events::item(
            (kind, &told.events),
            (options, told.may_join),
            self.app.sse,
            &mut self.schemas,
            &mut nameless,
        );
        for name in nameless {
            self.tell_type(operation, "a type in its events,", name);
        }
        let item = item.unwrap_or_else(|| {
            let declare = "write `#[sse(.., events = T)]` with an enum that derives `SseEvents`";
            self.tell(operation, "which events it sends", declare);
            json!({})
        });
        json!({
            "description": "A stream of events",
            "content": { STREAM: { "itemSchema": item } },
        })
    }
}

fn is_json(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    media == JSON || media.ends_with("+json")
}

/// Adds the content of another response with the same status. Of one media type, each schema is an alternative.
fn add_content(response: &mut Value, other: &Value) {
    for (media, added) in other["content"].as_object().into_iter().flatten() {
        match &mut response["content"][media] {
            Value::Object(known) => {
                // The items of a stream say more than a schema of the whole.
                if let Some(schema) = known.get_mut("schema") {
                    add_alternative(schema, &added["schema"]);
                }
            }
            unknown => *unknown = added.clone(),
        }
    }
}

fn reason(status: u16) -> &'static str {
    let known = StatusCode::from_u16(status).ok();
    known
        .and_then(|status| status.canonical_reason())
        .unwrap_or("An answer")
}
