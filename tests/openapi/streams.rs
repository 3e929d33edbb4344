//! The events of streams, as the document shows them.

use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, JsonSchema)]
struct Line {
    text: String,
}

/// The events of a chat.
#[derive(SseEvents)]
#[sse(rename_all = "kebab-case")]
enum ChatEvent {
    /// Somebody says something.
    Said(Line),
    Typing {
        by: String,
        since: u32,
    },
    Moved(u8, String),
    Cleared,
}

#[derive(Deserialize, JsonSchema)]
struct Ask {
    text: String,
}

#[derive(Injectable)]
struct Chat;

#[controller(prefix = "chat")]
impl Chat {
    #[sse("room", events = ChatEvent)]
    fn room(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("told")]
    fn told(&self) -> impl Stream<Item = Result<ChatEvent, HttpError>> {
        stream! {
            yield Ok(ChatEvent::Said(Line { text: "hello".into() }));
            yield Ok(ChatEvent::Typing { by: "ann".into(), since: 1 });
            yield Ok(ChatEvent::Moved(1, "up".into()));
            yield Ok(ChatEvent::Cleared);
        }
    }

    #[sse("ask", method = "POST")]
    async fn ask(&self, #[body] ask: Ask) -> Result<impl Stream<Item = Json<Line>>, HttpError> {
        Ok(stream! { yield Json(Line { text: ask.text }); })
    }

    #[sse("text", restart)]
    fn text(&self) -> impl Stream<Item = &'static str> {
        stream! { yield "a"; }
    }

    #[sse("unseen")]
    async fn unseen(&self, stream: SseStream) -> Result<(), HttpError> {
        stream.send_data("x").await?;
        Ok(())
    }

    #[sse("page", events = String)]
    fn page(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("either", method = "POST", events = ChatEvent)]
    #[answers(200, Line)]
    #[answers(202, Line)]
    async fn either(&self) -> SseReply<SseStream> {
        SseReply::Stream(SseStream::new())
    }
}

#[server(controllers = [Chat], sse(enabled = true, control_prefix = "app:"))]
struct App;

pub(crate) fn document() -> OpenApiDocument {
    Helios::new(App).openapi_document().unwrap()
}

fn stream<'a>(document: &'a Value, path: &str, verb: &str) -> &'a Value {
    let content = &document["paths"][path][verb]["responses"]["200"]["content"];
    assert!(content.is_object(), "{document:#}");
    &content["text/event-stream"]
}

#[test]
fn an_event_is_a_name_and_a_json_text() {
    let document = document();
    let items = &stream(document.v3_2(), "/chat/told", "get")["itemSchema"]["oneOf"];
    let in_text = |schema: Value| json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": schema });
    assert_eq!(
        items[0],
        json!({
            "type": "object",
            "description": "Somebody says something.",
            "required": ["event", "data"],
            "properties": {
                "event": { "const": "said" },
                "data": in_text(json!({ "$ref": "#/components/schemas/Line" })),
            },
        })
    );
    let typing = &items[1]["properties"]["data"]["contentSchema"];
    assert_eq!(typing["required"], json!(["by", "since"]));
    assert_eq!(typing["properties"]["by"], json!({ "type": "string" }));
    let moved = &items[2]["properties"]["data"]["contentSchema"];
    assert_eq!(
        (&moved["minItems"], &moved["prefixItems"][1]["type"]),
        (&json!(2), &json!("string"))
    );
    assert_eq!(
        items[3]["properties"]["data"]["contentSchema"]["type"],
        "null"
    );
}

#[test]
fn a_room_has_control_events_with_the_apps_prefix() {
    let document = document();
    let names = |path| -> Vec<String> {
        let items = stream(document.v3_2(), path, "get")["itemSchema"]["oneOf"]
            .as_array()
            .unwrap();
        let own = items.iter().filter_map(|it| it["$ref"].as_str());
        own.map(|it| it.rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names("/chat/room"),
        [
            "HeliosReady",
            "HeliosReset",
            "HeliosReconnect",
            "HeliosEnd",
            "HeliosOverloaded",
            "HeliosError"
        ]
    );
    assert_eq!(
        names("/chat/told"),
        [
            "HeliosReconnect",
            "HeliosEnd",
            "HeliosOverloaded",
            "HeliosError"
        ]
    );
    let schemas = &document.v3_2()["components"]["schemas"];
    assert_eq!(
        schemas["HeliosReady"]["properties"]["event"]["const"],
        "app:ready"
    );
    assert_eq!(
        schemas["HeliosError"]["properties"]["event"]["const"],
        "error"
    );
    assert!(schemas["HeliosStale"].is_null(), "no stream has it");
}

#[test]
fn a_room_has_the_events_of_members_where_presence_is_on() {
    let app = Helios::new(App).sse_options(|sse| sse.presence = vec!["room".into()]);
    let document = app.openapi_document().unwrap();
    let items = |path, verb| stream(document.v3_2(), path, verb)["itemSchema"].to_string();
    for member in ["HeliosJoined", "HeliosUpdated", "HeliosLeft"] {
        assert!(items("/chat/room", "get").contains(member), "{member}");
        assert!(!items("/chat/told", "get").contains(member), "{member}");
    }
    let left = &document.v3_1()["components"]["schemas"]["HeliosLeft"]["properties"];
    assert_eq!(left["event"]["const"], "app:left");
    assert_eq!(left["data"]["required"], json!(["key", "reason"]));
}

#[test]
fn a_plain_stream_has_its_own_events_alone() {
    let document = document();
    let ask = &document.v3_2()["paths"]["/chat/ask"]["post"];
    assert!(ask["parameters"].is_null());
    assert!(ask["responses"]["204"].is_null());
    assert!(ask["responses"]["503"].is_object());
    let item = &stream(document.v3_2(), "/chat/ask", "post")["itemSchema"];
    assert_eq!(
        item["properties"]["data"]["contentSchema"]["$ref"],
        "#/components/schemas/Line"
    );
    assert_eq!(item["required"], json!(["data"]), "it has no name");
    assert_eq!(item["properties"]["event"], json!({ "const": "message" }));
}

#[test]
fn a_stream_accepts_a_last_id_and_may_return_204() {
    let document = document();
    let room = &document.v3_2()["paths"]["/chat/room"]["get"];
    assert_eq!(room["parameters"][0]["name"], "Last-Event-ID");
    assert!(room["responses"]["204"].is_object());
    assert!(document.v3_2()["paths"]["/chat/text"]["get"]["responses"]["204"].is_null());
    let text = &stream(document.v3_2(), "/chat/text", "get")["itemSchema"]["oneOf"][0];
    assert_eq!(text["properties"]["data"], json!({ "type": "string" }));
}

#[test]
fn in_3_1_the_schema_describes_an_event() {
    let document = document();
    let told = stream(document.v3_1(), "/chat/told", "get");
    assert!(told["itemSchema"].is_null());
    let said = &told["schema"]["oneOf"][0]["properties"];
    assert_eq!(said["event"]["const"], "said");
    assert_eq!(said["data"], json!({ "$ref": "#/components/schemas/Line" }));
    let schemas = &document.v3_1()["components"]["schemas"];
    assert_eq!(
        schemas["HeliosError"]["properties"]["data"]["$ref"],
        "#/components/schemas/HeliosProblem"
    );
    assert_eq!(schemas["HeliosEnd"]["properties"]["data"]["const"], "");
    assert!(!document.v3_1().to_string().contains("contentSchema"));
    let unseen = stream(document.v3_1(), "/chat/unseen", "get");
    assert_eq!(unseen, &json!({ "schema": {} }));
}

#[test]
fn unknown_events_are_reported_and_may_be_named() {
    let document = document();
    let told: Vec<_> = document.unknown().iter().map(ToString::to_string).collect();
    let expected = "GET /chat/unseen: which events it sends; write `#[sse(.., events = T)]` with an enum that derives `SseEvents`";
    assert_eq!(told, [expected]);
    let either = &document.v3_2()["paths"]["/chat/either"]["post"]["responses"];
    assert_eq!(
        either["202"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Line"
    );
    let both = &either["200"]["content"];
    assert!(both["text/event-stream"]["itemSchema"].is_object());
    assert_eq!(
        both["application/json"]["schema"]["$ref"],
        "#/components/schemas/Line"
    );
}

#[test]
fn a_room_may_name_events_that_are_text_without_a_name() {
    let item = &stream(document().v3_2(), "/chat/page", "get")["itemSchema"]["oneOf"][0].clone();
    assert_eq!(item["properties"]["data"], json!({ "type": "string" }));
    assert_eq!(item["required"], json!(["data"]));
}
