//! Types that come from a parameter. The document knows of them what their bounds say.

use std::marker::PhantomData;

use helios::openapi::OpenApiDocument;
use helios::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Page<T> {
    items: Vec<T>,
}

#[derive(SseEvents)]
enum Change<T> {
    Added(T),
    Moved { from: T, to: Option<T> },
    Both(T, u8),
    Removed,
}

type NoteChange = Change<Note>;

/// Without a schema.
#[derive(Serialize)]
struct Bare;

#[derive(Injectable)]
struct Crud<T: Send + Sync + 'static> {
    #[inject(default)]
    of: PhantomData<T>,
}

#[controller(prefix = "bound")]
impl<T> Crud<T>
where
    T: Serialize + for<'de> Deserialize<'de> + JsonSchema + Send + Sync + 'static,
{
    #[get]
    fn list(&self) -> Json<Vec<T>> {
        Json(Vec::new())
    }

    #[get("page")]
    #[answers(202, Page<T>)]
    fn page(&self) -> Option<Json<Page<T>>> {
        None
    }

    #[post]
    fn add(&self, #[body(unvalidated)] new: T) -> Json<T> {
        Json(new)
    }

    #[sse("changes")]
    fn changes(&self) -> impl Stream<Item = Change<T>> {
        stream! { yield Change::Removed; }
    }
}

#[derive(Injectable)]
struct Open<T: Send + Sync + 'static> {
    #[inject(default)]
    of: PhantomData<T>,
}

#[controller(prefix = "open")]
impl<T: Serialize + Send + Sync + 'static> Open<T> {
    #[get]
    fn list(&self) -> Option<Json<T>> {
        None
    }
}

#[derive(Injectable)]
struct Plain;

#[controller(prefix = "plain")]
impl Plain {
    #[sse("changes")]
    fn changes(&self) -> impl Stream<Item = Change<Note>> {
        stream! { yield Change::Added(Note { text: "a".into() }); }
    }

    #[sse("named", events = NoteChange)]
    fn named(&self) -> SseStream {
        SseStream::new()
    }

    #[sse("bare")]
    fn bare(&self) -> impl Stream<Item = Change<Bare>> {
        stream! {
            yield Change::Moved { from: Bare, to: None };
            yield Change::Both(Bare, 1);
        }
    }
}

#[server(controllers = [Crud<Note>, Open<Note>, Plain], sse(enabled = true))]
struct App;

fn document() -> OpenApiDocument {
    Helios::new(App).openapi_document().unwrap()
}

fn note() -> Value {
    json!({ "$ref": "#/components/schemas/Note" })
}

#[test]
fn a_bound_gives_a_parameter_its_schema() {
    let document = document();
    let paths = &document.v3_2()["paths"];
    let schema = |path: &str, verb: &str, status: &str| {
        paths[path][verb]["responses"][status]["content"]["application/json"]["schema"].clone()
    };
    assert_eq!(schema("/bound", "get", "200")["items"], note());
    assert_eq!(schema("/bound", "post", "200"), note());
    let page = schema("/bound/page", "get", "202");
    assert_eq!(page["$ref"], "#/components/schemas/Page_of_Note");
    let body = &paths["/bound"]["post"]["requestBody"]["content"];
    assert_eq!(body["application/json"]["schema"], note());
}

#[test]
fn an_enum_of_events_knows_the_schema_of_its_argument() {
    let document = document();
    for path in ["/bound/changes", "/plain/changes", "/plain/named"] {
        let ok = &document.v3_2()["paths"][path]["get"]["responses"]["200"];
        let items = &ok["content"]["text/event-stream"]["itemSchema"]["oneOf"];
        let data = |index: usize| &items[index]["properties"]["data"]["contentSchema"];
        assert_eq!(data(0), &note(), "{path}");
        assert_eq!(data(1)["properties"]["from"], note(), "{path}");
        assert_eq!(data(2)["prefixItems"][0], note(), "{path}");
    }
}

#[test]
fn an_unknown_parameter_is_reported_with_its_bound() {
    let told: Vec<_> = document()
        .unknown()
        .iter()
        .map(ToString::to_string)
        .collect();
    let open = "GET /open: the type of its answer, `Note` has no schema; write `#[derive(JsonSchema)]` above `Note`, and a bound such as `T: JsonSchema` in `Open<Note>` if it comes from a parameter";
    let bare = "GET /plain/bare: a type in its events, `Bare` has no schema; write `#[derive(JsonSchema)]` above `Bare`";
    assert_eq!(told[0], open);
    assert_eq!(told[1], bare);
    assert!(
        told[1..].iter().all(|it| it.starts_with("GET /plain/bare")),
        "{told:?}"
    );
}
