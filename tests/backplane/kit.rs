//! The kit that tests backplanes, with the in-memory one. It tests everything at once, for a while.

use std::time::Duration;

use helios::backplane::BoxFuture;
use helios::sse::HistoryLimits;
use helios::testing::backplane::{InMemory, Kit, Report, Rig, Weather};

const WHILE: Duration = Duration::from_secs(4);

async fn clean(kit: Kit, rig: impl Rig) -> Report {
    println!("seed {}", kit.seed());
    let report = kit.run(rig).await;
    println!("{report}");
    report.assert_clean();
    report
}

/// With these faults nobody may be reset, because history can make up for all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delays_and_broken_links_cost_no_event_and_no_order() {
    for weather in [Weather::fine(), Weather::windy()] {
        let kit = Kit::from_env().in_weather(weather).lasting(WHILE);
        assert_eq!(clean(kit, InMemory::new()).await.resets, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_silent_losses_clients_see_everything_or_are_reset() {
    let kit = Kit::from_env().in_weather(Weather::foggy()).lasting(WHILE);
    clean(kit, InMemory::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_worst_clients_see_everything_or_are_reset() {
    let kit = Kit::from_env().history(HistoryLimits {
        events: 40,
        ..HistoryLimits::default()
    });
    let kit = kit
        .in_weather(Weather::stormy())
        .in_weather(Weather::worst());
    clean(kit.lasting(2 * WHILE), InMemory::new()).await;
}

/// A store that is replaced by an empty one now and then.
struct Forgetful(InMemory);

impl Rig for Forgetful {
    type Link = InMemory;

    fn node(&self, _: usize) -> InMemory {
        self.0.node()
    }

    fn trouble(&self, number: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if number.is_multiple_of(2) {
                self.0.forget_all();
            }
        })
    }

    fn begins_anew(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_memory_losses_clients_see_everything_or_are_reset() {
    let kit = Kit::from_env()
        .in_weather(Weather::fine())
        .in_weather(Weather::windy());
    let report = clean(kit.lasting(2 * WHILE), Forgetful(InMemory::new())).await;
    assert!(report.resets > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_minute_clients_see_everything_or_are_reset() {
    clean(
        Kit::from_env().lasting(Duration::from_secs(60)),
        InMemory::new(),
    )
    .await;
}
