use helios_core::hub::HistoryLimits;

use super::super::in_memory::InMemory;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::sse::backplane::BackplaneEvent;

/// The messages that were handed over, in order: numbers of events, and `Torn` as `(newest, true)`.
type Seen = Arc<Mutex<Vec<(u64, bool)>>>;

async fn started(weather: Weather) -> (InMemory, Stormy<InMemory>, Seen) {
    let log = InMemory::new();
    let link = Stormy::new(log.node(), 7);
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let sink = BackplaneSink::new(move |event| {
        match event {
            BackplaneEvent::Event { event, .. } => lock(&told).push((event.id.seq(), false)),
            BackplaneEvent::Torn { newest } => lock(&told).push((newest.seq(), true)),
            _ => {}
        }
        true
    });
    let startup = Startup::new(NodeId::new(1).unwrap(), sink);
    link.start(startup).await.unwrap();
    link.watch(&["a"]).await.unwrap();
    link.set_weather(weather);
    (log, link, seen)
}

fn publish() -> Publish<'static> {
    Publish::new("a", "x".into(), HistoryLimits::default())
}

#[tokio::test(start_paused = true)]
async fn a_tear_is_reported_before_anything_later() {
    let mut weather = Weather::windy();
    (weather.no_publish, weather.tear) = (0.0, 0.2);
    let (log, link, seen) = started(weather).await;
    for _ in 0..500 {
        log.publish(publish()).await.unwrap();
    }
    // The answer comes after everything else.
    assert_eq!(link.watch(&["a"]).await.unwrap().newest.seq(), 500);
    let seen = lock(&seen).clone();
    assert!(seen.iter().any(|(_, torn)| *torn));
    let mut last = 0;
    for (id, torn) in seen {
        assert!(id > last && (torn || id == last + 1), "{id} after {last}");
        last = id;
    }
    assert_eq!(last, 500);
}

#[tokio::test(start_paused = true)]
async fn a_held_link_hands_over_nothing_and_then_all() {
    let (log, link, seen) = started(Weather::fine()).await;
    link.hold();
    for _ in 0..3 {
        log.publish(publish()).await.unwrap();
    }
    let slow = timeout(Duration::from_secs(3), link.watch(&["a"])).await;
    assert!(slow.is_err() && lock(&seen).is_empty());
    link.release();
    link.tear();
    link.watch(&["a"]).await.unwrap();
    let expected = [(1, false), (2, false), (3, false), (3, true)];
    assert_eq!(*lock(&seen), expected);
}

#[tokio::test(start_paused = true)]
async fn a_failed_publish_reports_whether_it_may_have_happened() {
    let mut weather = Weather::fine();
    weather.no_publish = 0.5;
    let (log, link, _) = started(weather).await;
    let (mut published, mut unknown) = (0, 0);
    for n in 0..200 {
        let answers = match n % 2 {
            0 => vec![link.publish(publish()).await],
            _ => link.publish_all(vec![publish(), publish()]).await,
        };
        for answer in answers {
            match answer.map_err(|error| error.kind()) {
                Ok(_) => published += 1,
                Err(BackplaneErrorKind::Unknown) => unknown += 1,
                Err(kind) => assert_eq!(kind, BackplaneErrorKind::NotPublished),
            }
        }
    }
    assert!(published > 50 && unknown > 20);
    let all = log.publish(publish()).await.unwrap().seq();
    assert_eq!(all, published + unknown + 1);
}
