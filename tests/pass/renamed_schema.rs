//! In edition 2021, with Helios under another name, a derived schema uses schemars, which this package does not depend
//! on.
#![deny(warnings)]

use hl::prelude::*;
use serde::{Deserialize, Serialize};

/// A time zone.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Zone {
    short_name: String,
    /// Those within it.
    within: Vec<Zone>,
}

#[derive(SseEvents)]
enum Change {
    Moved(Zone),
}

#[derive(Injectable)]
struct Zones;

#[controller(prefix = "zones")]
impl Zones {
    #[get]
    fn all(&self) -> Json<Vec<Zone>> {
        Json(Vec::new())
    }

    #[sse("changes", events = Change)]
    fn changes(&self) -> SseStream {
        SseStream::new()
    }
}

#[server(controllers = [Zones], sse(enabled = true))]
struct App;

fn main() {
    let document = Helios::new(App).openapi_document().expect("a document");
    assert!(document.unknown().is_empty(), "{:?}", document.unknown());
    let zone = &document.v3_2()["components"]["schemas"]["Zone"];
    assert_eq!(zone["description"], "A time zone.");
    assert_eq!(zone["properties"]["shortName"]["type"], "string");
    let within = &zone["properties"]["within"];
    assert_eq!(within["items"]["$ref"], "#/components/schemas/Zone");
}
