//! Start and stop hooks of services.
#![allow(unused)]

use helios::prelude::*;

#[derive(Injectable)]
#[inject(on_start = conect, on_stop = close)]
struct Pool;

impl Pool {
    async fn connect(&self) {}
    fn close(&self) -> u64 {
        1
    }
}

struct NoError;

#[derive(Injectable)]
#[inject(on_start = connect, on_stop = close)]
struct Broker;

impl Broker {
    async fn connect(&self) -> Result<(), NoError> {
        Ok(())
    }
    async fn close(&self) -> Option<()> {
        None
    }
}

#[derive(Injectable)]
#[inject(on_start = not_send, on_stop = Self::with_argument)]
struct Cache;

impl Cache {
    async fn not_send(&self) {
        let local = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(local);
    }
    async fn with_argument(&self, deadline: Duration) {}
}

fn main() {}
