//! Lints see handlers as they are written.
#![deny(deprecated, unused_variables, unused_must_use)]

use helios::prelude::*;

#[derive(Injectable)]
struct Notes;

#[controller(prefix = "notes")]
impl Notes {
    #[deprecated(note = "ask for the list")]
    #[get("{id}")]
    fn find(&self, #[param] id: u64) -> u64 {
        let unused = id;
        id
    }

    #[must_use]
    #[get]
    fn list(&self, #[query] unused_too: u64) -> String {
        String::new()
    }
}

fn main() {
    Notes.find(7);
    Notes.list(7);
}
