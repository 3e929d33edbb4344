//! A document of many routes.

use std::time::Instant;

use helios::prelude::*;
use serde::{Deserialize, Serialize};

macro_rules! controllers {
    ($($name:ident $first:ident $second:ident $path:literal)*) => {
        $(
            #[derive(Serialize, Deserialize, JsonSchema)]
            struct $first {
                id: u64,
                name: String,
                tags: Vec<String>,
                inner: Option<$second>,
            }

            #[derive(Serialize, Deserialize, JsonSchema)]
            struct $second {
                at: Option<u32>,
                text: String,
            }

            #[derive(Injectable)]
            struct $name;

            #[controller(prefix = $path)]
            impl $name {
                #[get]
                fn list(&self, #[query(default = 20)] size: usize) -> Vec<$first> {
                    Vec::with_capacity(size)
                }
                #[get("{id}")]
                fn find(&self, #[param] id: u64) -> Result<Json<$first>, HttpError> {
                    Err(HttpError::not_found(id.to_string()))
                }
                #[post]
                fn create(&self, #[body] one: $first) -> Json<$first> { Json(one) }
                #[put("{id}")]
                fn replace(&self, #[param] id: u64, #[body] one: $first) -> Json<$first> {
                    let _ = id;
                    Json(one)
                }
                #[delete("{id}")]
                fn remove(&self, #[param] id: u64) { let _ = id; }
                #[get("{id}/second")]
                fn second(&self, #[param] id: u64) -> Option<Json<$second>> { let _ = id; None }
                #[post("{id}/second")]
                fn add(&self, #[param] id: u64, #[body] one: $second) -> Json<$second> {
                    let _ = id;
                    Json(one)
                }
                #[get("a")]
                fn a(&self) -> Json<Vec<$second>> { Json(Vec::new()) }
                #[get("b")]
                fn b(&self) -> String { String::new() }
                #[get("c")]
                fn c(&self, #[header] x_trace: Option<String>) { let _ = x_trace; }
            }
        )*

        #[server(controllers = [$($name),*])]
        struct App;
    };
}

controllers! {
    C0 A0 B0 "c0" C1 A1 B1 "c1" C2 A2 B2 "c2" C3 A3 B3 "c3" C4 A4 B4 "c4"
    C5 A5 B5 "c5" C6 A6 B6 "c6" C7 A7 B7 "c7" C8 A8 B8 "c8" C9 A9 B9 "c9"
    C10 A10 B10 "c10" C11 A11 B11 "c11" C12 A12 B12 "c12" C13 A13 B13 "c13" C14 A14 B14 "c14"
    C15 A15 B15 "c15" C16 A16 B16 "c16" C17 A17 B17 "c17" C18 A18 B18 "c18" C19 A19 B19 "c19"
}

#[test]
fn a_document_holds_two_hundred_routes_and_forty_types() {
    let started = Instant::now();
    let document = Helios::new(App).openapi_document().unwrap();
    println!("{:?}", started.elapsed());
    let paths = document.v3_2()["paths"].as_object().unwrap();
    let operations: usize = paths
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    assert_eq!(operations, 200);
    let schemas = document.v3_2()["components"]["schemas"]
        .as_object()
        .unwrap();
    assert!(schemas.len() >= 41, "{:?}", schemas.keys());
    assert!(document.unknown().is_empty());
}
