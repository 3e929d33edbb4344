//! Validated arguments, and types that do not show whether they are.
#![allow(unused)]

use garde::Validate;
use helios::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;

trait Store: Send + Sync + 'static {
    type Record: DeserializeOwned + Send + 'static;
    type Valid: DeserializeOwned + Validate<Context = ()> + Send + 'static;
}

#[derive(Injectable)]
struct Records<S: Store> {
    #[inject(default)]
    store: std::marker::PhantomData<fn() -> S>,
}

#[derive(Deserialize)]
struct Page<T> {
    first: T,
}

#[controller(prefix = "records")]
impl<S: Store> Records<S> {
    #[post]
    fn body(&self, #[body] record: S::Record) {}

    #[put]
    fn json(&self, json: Json<Page<S::Record>>) {}

    #[get]
    fn query(&self, query: Query<S::Record>) {}

    #[patch]
    fn caught(&self, json: Result<Json<S::Record>, HttpError>) {}

    #[post("fine")]
    fn fine(&self, #[body(unvalidated)] record: S::Record) {}

    #[post("also")]
    fn also_fine(&self, query: Query<S::Valid>, #[body] record: S::Valid) {}
}

struct Limits {
    longest: usize,
}

#[derive(Deserialize, Validate)]
#[garde(context(Limits as ctx))]
struct Limited {
    #[garde(length(max = ctx.longest))]
    name: String,
}

#[derive(Injectable)]
struct Names;

#[controller(prefix = "names")]
impl Names {
    #[post]
    fn body(&self, #[body] name: Limited) {}

    #[get]
    fn query(&self, name: Query<Limited>) {}

    #[put]
    fn fine(&self, #[body(unvalidated)] name: Limited) {}
}

fn main() {}
