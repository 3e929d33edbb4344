//! Backplanes for tests, and tests of backplanes.
//!
//! An app that runs on several servers is tested with [`InMemory`], whose links join the servers of one process.
//!
//! Whoever implements a [`Backplane`](crate::sse::backplane::Backplane) tests it with the [`Kit`]. It runs on a [`Rig`], which gives the
//! link of each server and makes what trouble there is: a [`Proxy`] stands between a link and its store, and makes the network
//! bad; stores are killed and replaced. The kit puts a [`Stormy`] link in between by itself, tries everything at once and each
//! promise by itself, and reports what was broken, with the seed that begins the same again.
//!
//! | promise | how it is tried |
//! | --- | --- |
//! | Ids ascend, and each names one event, on all servers. | What all clients, publishers and histories have seen is compared. |
//! | No event is lost in silence. | Clients come and go, now here, now there. Each has seen what was published, or was told by a reset, before any greater id. |
//! | What was not published never appears. | Publishers log what they were answered; an unknown outcome may be either. |
//! | A key counts once. | The same is published again, mostly on another server. |
//! | Nothing is behind an end. | Topics are finished while others publish to them. |
//! | History is what was published, within its limits. | After each storm it is asked for, as the newest and in pages. |
//! | Order, `prev` and the places of answers are right. | A link without a hub listens all the time. |
//! | Everything heals. | Behind each storm, all clients come to the newest event in time. |
//!
//! # Example
//!
//! The test of a backplane that is reached over the network. Its store stands in memory here.
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
//! A failed run is begun again with the seed that stands before the fault: `HELIOS_SEED=7 cargo test ..`. The luck of the weather, of
//! clients and of publishers is the same then; what threads and networks make of it may differ.

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
