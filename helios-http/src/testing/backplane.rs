//! Backplanes for tests, and tests of backplanes.
//!
//! Test an app that runs on several servers with [`InMemory`], whose links join the servers of one process.
//!
//! Test your own [`Backplane`](crate::sse::backplane::Backplane) with the [`Kit`]. It runs on a [`Rig`], which provides
//! the link of each server and makes trouble. For instance, a [`Proxy`] between a link and its store makes the network
//! bad, or the rig kills and replaces stores. The kit itself puts a [`Stormy`] link in between. It tests everything at
//! once and each guarantee alone, and reports what was broken, with the seed that repeats the run.
//!
//! | guarantee | how it is tested |
//! | --- | --- |
//! | Ids ascend, and each names one event, on all servers. | Everything that clients, publishers and histories have seen is compared. |
//! | No event is lost silently. | Clients move between servers. Each has seen every published event, or got a reset, before any greater id. |
//! | An event that was not published never appears. | Publishers log the answers that they got. With an unknown outcome, either is allowed. |
//! | A key counts once. | The same event is published again, mostly on another server. |
//! | No event follows an end. | Topics are finished while others publish to them. |
//! | History contains what was published, within its limits. | It is requested after each storm, both the newest part and in pages. |
//! | Order, `prev` and the places of answers are right. | A link without a hub listens all the time. |
//! | Everything heals. | After each storm, all clients reach the newest event in time. |
//!
//! # Example
//!
//! A test of a backplane that is reached over the network. Its store is in memory here.
//!
//! ```
//! use helios::backplane::BoxFuture;
//! use helios::testing::backplane::{InMemory, Kit, Proxy, Rig, Way};
//! use std::time::Duration;
//!
//! // Yours.
//! type MyBackplane = InMemory;
//!
//! struct MyRig {
//!     store: MyBackplane,
//!     proxy: Proxy,
//! }
//!
//! impl Rig for MyRig {
//!     type Link = MyBackplane;
//!
//!     fn node(&self, _: usize) -> MyBackplane {
//!         // MyBackplane::connect(self.proxy.addr())
//!         self.store.node()
//!     }
//!
//!     fn trouble(&self, number: u64) -> BoxFuture<'_, ()> {
//!         Box::pin(async move {
//!             match number % 4 {
//!                 0 => self.proxy.cut(),
//!                 1 => self.proxy.hold(Way::ToClient),
//!                 2 => self.proxy.delay(Way::Both, Duration::from_millis(20)),
//!                 _ => self.proxy.heal(),
//!             }
//!         })
//!     }
//!
//!     fn heal(&self) -> BoxFuture<'_, ()> {
//!         Box::pin(async { self.proxy.heal() })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! // in a test: #[tokio::test(flavor = "multi_thread")]
//! let rig = MyRig { store: InMemory::new(), proxy: Proxy::start(([127, 0, 0, 1], 6379).into()).await? };
//! let report = Kit::from_env().lasting(Duration::from_millis(500)).run(rig).await;
//! println!("{report}");
//! report.assert_clean();
//! # Ok(())
//! # }
//! ```
//!
//! To repeat a failed run, use the seed in front of the fault: `HELIOS_SEED=7 cargo test ..`. The random choices of the
//! weather, the clients and the publishers are the same then. Threads and networks may still behave differently.

mod in_memory;
mod kit;
mod proxy;
mod rig;
mod stormy;
mod weather;

pub use in_memory::InMemory;
pub use kit::{Fault, FaultKind, Kit, Report};
pub use proxy::{Proxy, Way};
pub use rig::Rig;
pub use stormy::Stormy;
pub use weather::Weather;
