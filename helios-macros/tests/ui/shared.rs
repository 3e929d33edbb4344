//! A trait whose objects are not shared between threads.
#![allow(unused)]

use helios::prelude::*;

trait Mailer {
    fn send(&self);
}

#[derive(Injectable)]
struct Mail {
    mailer: Arc<dyn Mailer>,
}

#[derive(Injectable)]
struct News;

#[controller(prefix = "news")]
impl News {
    #[get]
    fn inject(&self, #[inject] mailer: Arc<dyn Mailer>) {}
}

fn main() {}
