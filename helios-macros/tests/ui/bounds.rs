//! Bounds on the type of a controller.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
struct Generic<T>(Arc<T>);

#[controller(prefix = "generic")]
impl<T> Generic<T> {
    #[get]
    fn find(&self) {}
}

struct NotSync(std::cell::Cell<u64>);

#[controller(prefix = "cell")]
impl NotSync {
    #[get]
    fn find(&self) -> u64 {
        self.0.get()
    }
}

fn main() {}
