//! The OpenAPI document: what the types of routes say, and what is left open.
#![allow(clippy::unwrap_used)]

#[path = "openapi/answers.rs"]
mod answers;
#[path = "openapi/attributes.rs"]
mod attributes;
#[path = "openapi/copied.rs"]
mod copied;
#[path = "openapi/decoded.rs"]
mod decoded;
#[path = "openapi/examples.rs"]
mod examples;
#[path = "openapi/generic.rs"]
mod generic;
#[path = "openapi/hooked.rs"]
mod hooked;
#[path = "openapi/inputs.rs"]
mod inputs;
#[path = "openapi/items.rs"]
mod items;
#[path = "openapi/joining.rs"]
mod joining;
#[path = "openapi/kinds.rs"]
mod kinds;
#[path = "clients/kit.rs"]
#[allow(dead_code)]
mod kit;
#[path = "openapi/live.rs"]
mod live;
#[path = "openapi/merged.rs"]
mod merged;
#[path = "openapi/names.rs"]
mod names;
#[path = "openapi/page.rs"]
mod page;
#[path = "openapi/programs.rs"]
mod programs;
#[path = "openapi/refusals.rs"]
mod refusals;
#[path = "openapi/served.rs"]
mod served;
#[path = "openapi/size.rs"]
mod size;
#[path = "openapi/start.rs"]
mod start;
#[path = "openapi/streams.rs"]
mod streams;
#[path = "clients/typed.rs"]
mod typed;
