//! An event with a key is published once, on any server.

use helios::prelude::*;
use helios::sse::PublishOptions;
use support::backplane::Log;

use super::local::Local;

#[tokio::test(start_paused = true)]
async fn what_is_published_again_with_its_key_is_the_first() {
    let log = Log::new(100);
    let (one, two) = (Local::start(&log, 1).await, Local::start(&log, 2).await);
    let (mut client, _) = one.client(&["x", "y"]).await;
    let once = PublishOptions::default().key("k");
    let first = one.sse().publish_with("x", "1", &once).await.unwrap();
    assert_eq!(
        two.sse().publish_with("x", "2", &once).await.unwrap(),
        first
    );
    let of_another_topic = two.sse().publish_with("y", "3", &once).await.unwrap();
    assert_ne!(of_another_topic, first);
    one.sse().finish_with("x", "end").await.unwrap();
    // Its topic has ended, but the key still finds the first event.
    assert_eq!(
        two.sse().publish_with("x", "4", &once).await.unwrap(),
        first
    );
    for data in ["1", "3", "end"] {
        assert_eq!(client.data().await, data);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_backplane_a_key_counts_for_its_time() {
    let hub = helios::SseHub::with_options(|sse| sse.keep_keys = Duration::from_secs(5)).unwrap();
    let once = PublishOptions::default().key("k");
    let first = hub.sse().publish_with("x", "1", &once).await.unwrap();
    assert_eq!(
        hub.sse().publish_with("x", "2", &once).await.unwrap(),
        first
    );
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_ne!(
        hub.sse().publish_with("x", "3", &once).await.unwrap(),
        first
    );
    for key in ["", &"k".repeat(257)] {
        let refused = PublishOptions::default().key(key);
        let refused = hub.sse().publish_with("x", "4", &refused).await;
        assert!(matches!(refused, Err(SseError::InvalidKey)), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_events_each_has_its_own_answer() {
    let log = Log::new(100);
    let one = Local::start(&log, 1).await;
    let (mut client, _) = one.client(&["x", "y"]).await;
    one.sse().finish("over").await.unwrap();
    let events = [
        ("x", "1"),
        ("over", "2"),
        ("a*", "3"),
        ("y", "4"),
        ("x", "5"),
    ];
    for sse in [one.sse(), helios::SseHub::new().sse()] {
        let _ = sse.finish("over").await;
        let published = sse.publish_all(events).await;
        let [Ok(first), Err(over), Err(name), Ok(second), Ok(third)] = &published[..] else {
            panic!("{published:?}");
        };
        assert!(matches!(over, SseError::TopicFinished(_)), "{over:?}");
        assert!(matches!(name, SseError::InvalidTopic(_)), "{name:?}");
        assert_eq!(second.is_after(*first), Some(true));
        assert_eq!(third.is_after(*second), Some(true));
        assert_eq!(sse.stats().published, 3);
    }
    for data in ["1", "4", "5"] {
        assert_eq!(client.data().await, data);
    }
}
