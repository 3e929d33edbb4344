//! A backplane that is down or does not respond holds nobody up.

use helios::backplane::{BackplaneErrorKind, Status};
use helios::prelude::*;
use support::backplane::Log;
use tokio::time::Instant;

use super::local::Local;
use super::node::Node;

fn kind(error: &SseError) -> Option<BackplaneErrorKind> {
    match error {
        SseError::Backplane(error) => Some(error.kind()),
        _ => None,
    }
}

#[tokio::test]
async fn during_an_outage_calls_fail_at_once_and_readers_stay() {
    let log = Log::new(100);
    let one = Node::start(&log, 1).await;
    let two = Node::start(&log, 2).await;
    let mut client = one.client("x").await;
    let sse = &one.server.sse;
    assert_eq!(sse.stats().backplane, Some(Status::Up));
    one.link.go_down(true);
    let refused = sse.publish("x", "1").await.unwrap_err();
    assert_eq!(kind(&refused), Some(BackplaneErrorKind::Down));
    assert_eq!(sse.stats().backplane, Some(Status::Down));
    assert!(sse.check_ready().is_err());
    let answer = one.server.post("/publish/x", "application/json", "1").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "10"));
    // Even if the topic is watched already, because another server may be able to help.
    let mut refused = one.server.sse("/rooms/x").await;
    assert_eq!(refused.names().await, ["helios:overloaded"]);
    one.link.go_down(false);
    assert!(sse.check_ready().is_ok());
    two.publish("x", "2").await;
    assert_eq!(super::node::data(&mut client, 1).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn streams_report_that_they_are_stale_if_the_app_wants() {
    let log = Log::new(100);
    let one = Local::start_with(&log, 1, |sse| sse.tell_stale = true).await;
    let two = Local::start(&log, 2).await;
    let (mut told, _) = one.client(&["x"]).await;
    let (mut untold, _) = two.client(&["x"]).await;
    for down in [true, true, false] {
        one.link.go_down(down);
        two.link.go_down(down);
    }
    one.link.flush().await;
    two.link.flush().await;
    one.sse().publish("x", "1").await.unwrap();
    for stale in ["true", "false"] {
        let event = told.next().await;
        assert_eq!(event.event, "helios:stale");
        assert_eq!(event.data, format!("{{\"stale\":{stale}}}"));
    }
    assert_eq!(told.data().await, "1");
    assert_eq!(untold.data().await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_live_during_an_outage_reports_it() {
    let log = Log::new(100);
    let one = Local::start_with(&log, 1, |sse| sse.tell_stale = true).await;
    let stream = one.sse().subscribe(["x"]).await.unwrap();
    for down in [true, false] {
        one.link.go_down(down);
        one.link.flush().await;
    }
    let mut fresh = one.answer(stream, None).await;
    let stream = one.sse().subscribe(["x"]).await.unwrap();
    one.link.go_down(true);
    one.link.flush().await;
    let mut stale = one.answer(stream, None).await;
    one.link.go_down(false);
    one.link.flush().await;
    one.sse().publish("x", "1").await.unwrap();
    for client in [&mut fresh, &mut stale] {
        assert_eq!(client.data().await, r#"{"stale":true}"#);
        assert_eq!(client.data().await, r#"{"stale":false}"#);
        assert_eq!(client.data().await, "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resumes_during_the_outage_is_not_reset() {
    let log = Log::new(100);
    let two = Local::start(&log, 2).await;
    let seen = two.sse().publish("x", "1").await.unwrap();
    two.sse().publish("x", "2").await.unwrap();
    let one = Local::start(&log, 1).await;
    let stream = one.sse().subscribe(["x"]).await.unwrap();
    one.link.go_down(true);
    one.link.flush().await;
    let mut client = one.try_answer(stream, Some(seen)).await;
    assert_eq!(client.next().await.event, "helios:overloaded");
    one.link.go_down(false);
    one.link.flush().await;
    let stream = one.sse().subscribe(["x"]).await.unwrap();
    let mut client = one.answer(stream, Some(seen)).await;
    assert_eq!(client.data().await, "2");
}

#[tokio::test(start_paused = true)]
async fn clients_that_wait_for_one_history_do_not_queue_up() {
    let log = Log::new(100);
    let two = Local::start(&log, 2).await;
    let seen = two.sse().publish("x", "1").await.unwrap();
    two.sse().publish("x", "2").await.unwrap();
    let one = Local::start(&log, 1).await;
    let _reader = one.client(&["x"]).await;
    one.link.silence(true);
    let began = Instant::now();
    let come_back = (0..8).map(async |_| {
        let stream = one.sse().subscribe(["x"]).await.unwrap();
        let mut client = one.answer(stream, Some(seen)).await;
        assert_eq!(client.next().await.event, "helios:reset");
    });
    futures_util::future::join_all(come_back).await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_publish_times_out_and_may_have_been_published() {
    let log = Log::new(100);
    let one = Local::start(&log, 1).await;
    let began = Instant::now();
    one.link.silence(true);
    let joined = one.sse().subscribe(["x"]).await.unwrap_err();
    assert_eq!(kind(&joined), Some(BackplaneErrorKind::Down));
    assert_eq!(began.elapsed().as_secs(), 5);
    one.link.silence(false);
    one.link.swallow(true);
    let began = Instant::now();
    let published = one.sse().publish("x", "1").await.unwrap_err();
    assert_eq!(kind(&published), Some(BackplaneErrorKind::Unknown));
    assert_eq!(began.elapsed().as_secs(), 10);
    let began = Instant::now();
    let published = one.sse().publish_all([("x", "2"), ("y", "3")]).await;
    let kinds: Vec<_> = published
        .iter()
        .map(|it| kind(it.as_ref().unwrap_err()))
        .collect();
    assert_eq!(kinds, [Some(BackplaneErrorKind::Unknown); 2]);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_reads_its_event_here_unless_the_link_lags() {
    let log = Log::new(100);
    let one = Local::start(&log, 1).await;
    let (mut client, _) = one.client(&["x"]).await;
    one.link.pause();
    let began = Instant::now();
    let late = one.sse().publish("x", "1").await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(one.sse().stats().unconfirmed, 1);
    assert_ne!(one.sse().newest_id(), late);
    // No client reads this topic here.
    let began = Instant::now();
    one.sse().publish("elsewhere", "2").await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    one.link.resume();
    let read = one.sse().publish("x", "3").await.unwrap();
    assert_eq!(one.sse().newest_id(), read);
    assert_eq!(one.sse().stats().unconfirmed, 1);
    assert_eq!(client.data().await, "1");
    assert_eq!(client.data().await, "3");
}

#[tokio::test(start_paused = true)]
async fn many_topics_are_asked_for_at_the_same_time() {
    let log = Log::new(100);
    let one = Local::start(&log, 1).await;
    let topics: Vec<_> = (0..40).map(|n| format!("t{n}")).collect();
    let first = one.sse().publish("first", "0").await.unwrap();
    for topic in &topics {
        one.sse().publish(topic, "missed").await.unwrap();
    }
    one.link.dawdle_always(Duration::from_secs(1));
    let began = Instant::now();
    let stream = one.sse().subscribe_from(&topics, first).await.unwrap();
    assert_eq!(stream.topics(), topics);
    // Once for the watches, and once for the histories.
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}
