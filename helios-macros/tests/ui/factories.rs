//! Async factories with a wrong output or wrong arguments.
#![allow(unused)]

use helios::prelude::*;

struct Settings;
struct Pool;

#[server(controllers = [])]
struct App;

async fn infallible() -> Pool {
    Pool
}

async fn by_value(settings: Settings) -> Result<Pool, String> {
    Ok(Pool)
}

async fn not_send() -> Result<Pool, String> {
    let local = std::rc::Rc::new(1);
    sleep(Duration::ZERO).await;
    drop(local);
    Ok(Pool)
}

fn main() {
    Helios::new(App).provide_async(infallible);
    Helios::new(App).provide_async(by_value);
    Helios::new(App).provide_async(not_send);
    Helios::new(App).provide_async(Pool);
}
