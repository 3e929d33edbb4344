//! Unknown names, which are left to the compiler because it knows similar ones.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user", guards = [AuthGard])]
impl User {
    #[gett("a")]
    fn misspelt(&self) {}

    #[get("b/{id}")]
    fn argument(&self, #[param] id: Unknown) {}
}

mod without_imports {
    use helios::{Injectable, controller};

    #[derive(Injectable)]
    struct User;

    #[controller(prefix = "user")]
    impl User {
        #[get("a")]
        fn not_imported(&self) {}
    }
}

fn main() {}
