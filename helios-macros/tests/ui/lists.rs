//! Types of the wrong kind in lists.
#![allow(unused)]

use helios::prelude::*;

struct NotAController;
struct NotAGuard;

#[derive(Injectable)]
struct User;

#[controller(prefix = "user", controllers = [NotAController], guards = [NotAGuard], interceptor = |data, _, _| 42)]
impl User {
    #[get]
    #[use_guards(NotAGuard)]
    #[use_interceptors(|data, _, res| { res.set_status(200); data })]
    fn find(&self) {}
}

struct NotAround;

struct Around;

#[controller(prefix = "around", interceptors = [NotAround], filters = [NotAround])]
impl Around {}

#[server(controllers = [User, NotAController], guards = [NotAGuard])]
struct App;

fn main() {
    let _ = Helios::new(NotAController);
}
