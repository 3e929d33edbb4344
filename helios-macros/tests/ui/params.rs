//! Parameters of paths that do not match those of methods.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User;

#[controller(prefix = "{tenant}/user")]
impl User {
    #[get("{id}")]
    fn not_taken(&self) {}

    #[get("posts/{post_id}")]
    fn misspelt(&self, #[param] postid: u64) {}

    #[get("plain")]
    fn not_there(&self, #[param] id: u64, #[param("name")] other: String) {}

    #[get("twice/{id}")]
    fn twice(&self, #[param] id: u64, #[param("id")] again: u64) {}

    #[get("outer/{id}")]
    fn outer(&self, #[param(outer)] id: u64, #[param(outer)] tenant: u64) {}

    #[get("patterns/{id}")]
    fn pattern(&self, #[param] (id, _): (u64, u64), #[query] _: u64) {}

    #[get("contents/{a}/{b}/{c}/{d}")]
    fn contents(
        &self,
        #[param(a)] a: u64,
        #[param("b", "b")] b: u64,
        #[param(1)] c: u64,
        #[param("d", otuer)] d: u64,
        #[param("d", outer = true)] e: u64,
        #[query(default)] f: u64,
        #[query(default = 1)] g: Option<u64>,
        #[header("not a token")] h: Option<u64>,
        #[body("x")] i: String,
        #[body(unvalidatd)] n: String,
        #[cookie("a cookie")] j: Option<String>,
        #[cookie(theme)] k: Option<String>,
        #[cookie(default = "x")] l: Option<String>,
    ) {
    }

    #[get("default/{id}")]
    fn default(&self, #[param(default = 1)] id: u64) {}
}

fn main() {}
