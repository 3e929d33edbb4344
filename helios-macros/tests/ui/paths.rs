//! The syntax of paths: all mistakes at once, on the literal.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct Files;

#[controller(prefix = "files/:dir")]
impl Files {
    #[get(":id")]
    fn colon(&self, #[param] id: u64) {}

    #[get("<id>")]
    fn angled(&self, #[param] id: u64) {}

    #[get("a/*")]
    fn star(&self) {}

    #[get("b/{id")]
    fn unclosed(&self) {}

    #[get("c/id}")]
    fn unopened(&self) {}

    #[get("d/{}")]
    fn unnamed(&self) {}

    #[get("e/{user-id}")]
    fn no_name(&self) {}

    #[get(r"e/{id:\d+?}")]
    fn pattern(&self, #[param] id: u64) {}

    #[get("f/{*rest}/x")]
    fn not_last(&self, #[param] rest: String) {}

    #[get("g/x{*rest}")]
    fn part_of_segment(&self, #[param] rest: String) {}

    #[get("h/{a}{b}")]
    fn two_in_one(&self) {}

    #[get("i/{a}/{a}")]
    fn twice(&self, #[param] a: u64) {}

    #[get("j//k")]
    fn empty(&self) {}

    #[get("l m?n#o")]
    fn characters(&self) {}

    #[get("l/100%")]
    fn percent(&self) {}

    #[get("l/../%2e/m")]
    fn dots(&self) {}

    #[get("l\\m")]
    fn backslash(&self) {}

    #[get(PATH)]
    fn constant(&self) {}

    #[get("n", "o")]
    fn two(&self) {}

    #[get(path = "p")]
    fn keyed(&self) {}

    #[get = "q"]
    fn assigned(&self) {}
}

#[derive(Injectable)]
struct Prefixed;

#[controller(prefix = "{id}/{*rest}")]
impl Prefixed {
    #[get("{id}")]
    fn again(&self, #[param] id: u64) {}
}

fn main() {}
