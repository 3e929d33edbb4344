//! Attributes in the wrong place.
#![allow(unused)]

use helios::prelude::*;

#[controller(prefix = "user")]
struct User;

#[controller]
fn function() {}

trait Service {
    fn find(&self, id: u64) -> String;
}

#[controller]
impl Service for User {
    #[get("{id}")]
    fn find(&self, #[param] id: u64) -> String {
        id.to_string()
    }
}

struct Plain;

impl Plain {
    #[get("{id}")]
    fn find(&self) -> String {
        String::new()
    }

    #[sse]
    #[http_code(201)]
    fn updates(&self) {}

    #[on_sse_close]
    fn closed(&self) {}
}

#[get]
fn free() {}

#[server]
enum App {}

#[server]
fn serve() {}

fn main() {}
