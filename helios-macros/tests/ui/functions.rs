//! Functions and values where the lists take types.
#![allow(unused)]

use helios::prelude::*;

fn is_admin(request: &RequestContext) -> bool {
    true
}

async fn is_user(request: &mut RequestContext) -> Result<(), HttpError> {
    Ok(())
}

fn wrapped(data: serde_json::Value) -> serde_json::Value {
    data
}

mod users {
    pub fn not_found() {}
}

#[derive(Injectable)]
struct Page;

#[controller(prefix = "page", controllers = [users], guards = [is_admin], interceptors = [wrapped])]
impl Page {
    #[get("a")]
    #[use_guards(is_user)]
    #[use_interceptors(wrapped)]
    #[use_filters(users::not_found)]
    fn functions(&self) {}

    #[get("b")]
    #[use_guards(|request| Ok(()), async |request| Ok(()), role("admin"))]
    #[use_interceptors(|data| data)]
    #[use_filters(|error| error)]
    fn closures(&self) {}

    #[get("c", guards = [is_admin])]
    #[use_guards("admin", RoleGuard::new("admin"))]
    fn values(&self) {}
}

fn main() {}
