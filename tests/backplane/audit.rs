//! The audit finds a loss that nothing else shows.

use std::time::Duration;

use support::backplane::Log;
use tokio::time::Instant;

use super::local::Local;

#[tokio::test(start_paused = true)]
async fn a_lost_last_event_is_found_within_half_a_minute() {
    let log = Log::new(100);
    let (one, two) = (Local::start(&log, 1).await, Local::start(&log, 2).await);
    let (mut client, _) = one.client(&["x"]).await;
    one.link.lose(true);
    two.sse().publish("x", "the last word").await.unwrap();
    one.link.flush().await;
    one.link.lose(false);
    let began = Instant::now();
    assert_eq!(client.data().await, "the last word");
    assert!(began.elapsed().as_secs() <= 31, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_topic_that_has_lost_nothing_is_left_alone() {
    let log = Log::new(100);
    // Without a reader for a while.
    let patient = |sse: &mut helios::SseOptions| sse.stuck_after = Duration::from_secs(1_000);
    let one = Local::start_with(&log, 1, patient).await;
    let (mut client, _) = one.client(&["x"]).await;
    one.sse().publish("x", "1").await.unwrap();
    assert_eq!(client.data().await, "1");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(one.link.count("watch x") >= 3);
    assert_eq!(one.link.count("history x"), 0);
    one.sse().publish("x", "2").await.unwrap();
    assert_eq!(client.data().await, "2");
}

/// A backplane that has never seen an event of a topic knows only for a while that there was none.
#[tokio::test(start_paused = true)]
async fn the_first_event_of_a_topic_is_fetched_behind_the_last_audit() {
    let log = Log::new(100);
    let patient = |sse: &mut helios::SseOptions| sse.stuck_after = Duration::from_secs(1_000);
    let one = Local::start_with(&log, 1, patient).await;
    let two = Local::start(&log, 2).await;
    let (mut client, id) = one.client(&["x"]).await;
    for n in 0..10 {
        two.sse().publish("other", n.to_string()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(31)).await;
    log.forget_old_ids();
    one.link.lose(true);
    two.sse().publish("x", "the first word").await.unwrap();
    two.sse().send_to_client(id, "for you").await.unwrap();
    one.link.flush().await;
    one.link.lose(false);
    one.link.torn();
    let mut read = [client.data().await, client.data().await];
    read.sort();
    assert_eq!(read, ["for you", "the first word"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_lost_with_earlier_events_still_ends_the_topic() {
    let log = Log::new(100);
    let (one, two) = (Local::start(&log, 3).await, Local::start(&log, 2).await);
    let (mut client, _) = one.client(&["x"]).await;
    one.link.lose(true);
    two.sse().publish("x", "lost").await.unwrap();
    two.sse().finish_with("x", "the end").await.unwrap();
    one.link.flush().await;
    one.link.lose(false);
    one.link.mute(true);
    one.link.refuse(true);
    one.link.torn();
    assert_eq!(client.next().await.event, "helios:reset");
    one.link.refuse(false);
    let began = Instant::now();
    // Broadcasts are lost too, with a reset of their own.
    let mut last = client.next().await.event;
    while ["helios:reset", "helios:ready"].contains(&&*last) {
        last = client.next().await.event;
    }
    assert_eq!(last, "helios:end");
    assert!(began.elapsed().as_secs() <= 5, "{:?}", began.elapsed());
}
