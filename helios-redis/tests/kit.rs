//! Runs the kit for backplanes over a real Redis and a bad network.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use helios::backplane::BoxFuture;
use helios::testing::backplane::{Kit, Proxy, Rig, Way};
use helios_redis::Redis;
use support::Server;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// The number of proxies. Nodes share them, so trouble with one affects some nodes.
const PROXIES: usize = 3;

/// A Redis behind proxies.
struct Rigged {
    redis: Mutex<Server>,
    proxies: Vec<Proxy>,
    /// Whether Redis is killed and frozen too, and links fail for longer than a hub waits.
    is_mean: bool,
}

impl Rigged {
    async fn start(is_mean: bool) -> Self {
        let redis = Server::start().await;
        let mut proxies = Vec::new();
        for _ in 0..PROXIES {
            proxies.push(Proxy::start(redis.addr()).await.unwrap());
        }
        Self {
            redis: Mutex::new(redis),
            proxies,
            is_mean,
        }
    }

    async fn network(&self, number: u64) {
        let proxy = &self.proxies[(number >> 8) as usize % PROXIES];
        let time = Duration::from_millis((number >> 16) % 300);
        match number % 6 {
            0 | 1 => proxy.cut(),
            2 => proxy.delay(Way::Both, time / 20),
            3 => proxy.hold(Way::ToClient),
            4 => proxy.hold(Way::ToServer),
            _ => {
                proxy.refuse();
                proxy.cut();
            }
        }
        sleep(time).await;
        proxy.heal();
    }

    async fn mean(&self, number: u64) {
        let proxy = &self.proxies[(number >> 8) as usize % PROXIES];
        let time = Duration::from_millis((number >> 16) % 1_500);
        match number % 16 {
            0 => self.redis.lock().await.restart().await,
            1 => {
                let redis = self.redis.lock().await;
                redis.freeze();
                sleep(time).await;
                redis.thaw();
            }
            // The link is half-open until the node gives it up.
            2 => {
                proxy.drop_bytes(Way::ToClient);
                sleep(time).await;
                proxy.heal();
            }
            3 => {
                proxy.drop_bytes(Way::ToServer);
                sleep(time).await;
                proxy.heal();
            }
            4 => self.redis.lock().await.ask(&["SCRIPT", "FLUSH"]).await,
            5 => self.redis.lock().await.ask(&["FLUSHALL"]).await,
            _ => self.network(number >> 4).await,
        }
    }
}

impl Rig for Rigged {
    type Link = Redis;

    fn node(&self, n: usize) -> Redis {
        let addr = self.proxies[n % PROXIES].addr();
        Redis::connect(format!("redis://{addr}")).namespace("kit")
    }

    fn trouble(&self, number: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match self.is_mean {
                true => self.mean(number).await,
                false => self.network(number).await,
            }
        })
    }

    fn heal(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for proxy in &self.proxies {
                proxy.heal();
            }
        })
    }

    fn begins_anew(&self) -> bool {
        self.is_mean
    }

    /// A question about history fails while the link is down, so no event is lost.
    fn may_lose(&self) -> bool {
        false
    }
}

async fn run(is_mean: bool) {
    let seconds = std::env::var("HELIOS_KIT_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let kit = Kit::from_env().lasting(Duration::from_secs(seconds.unwrap_or(60)));
    println!("seed {}", kit.seed());
    let report = kit.run(Rigged::start(is_mean).await).await;
    println!("{report}");
    report.assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn on_a_bad_network_clients_miss_nothing_in_silence() {
    run(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
async fn with_a_bad_redis_clients_miss_nothing_in_silence() {
    run(true).await;
}
