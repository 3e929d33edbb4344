//! Presence on one server: members join, change, leave and come back.

use helios::prelude::*;

use super::app::{alone, hears_nothing, member, open, present, told};

#[tokio::test(start_paused = true)]
async fn observers_learn_who_joins_changes_and_leaves() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let ann = open(&app, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    assert_eq!(present(&app).await, ["ann happy here"]);
    let of_ann = app.sse_service().clients().into_iter();
    for client in of_ann {
        // The observer's own stream becomes a second stream of ann.
        client
            .appear("room:tea", member("ann", "sad"))
            .await
            .unwrap();
    }
    assert_eq!(told(&mut looker).await, "updated ann sad");
    assert_eq!(present(&app).await, ["ann sad here"]);
    drop(ann);
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_with_two_tabs_joins_and_leaves_once() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let one = open(&app, "/rooms/tea/ann/happy").await;
    let two = open(&app, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    drop(one);
    hears_nothing(&mut looker, 60).await;
    drop(two);
    assert_eq!(told(&mut looker).await, "left ann left");
    assert!(present(&app).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_return_within_the_grace_causes_no_event() {
    let app = alone(|sse| sse.presence_grace = Duration::from_secs(3));
    let mut looker = open(&app, "/rooms/tea").await;
    let ann = open(&app, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    drop(ann);
    hears_nothing(&mut looker, 2).await;
    assert_eq!(present(&app).await, ["ann happy away"]);
    let ann = open(&app, "/rooms/tea/ann/happy").await;
    hears_nothing(&mut looker, 60).await;
    assert_eq!(present(&app).await, ["ann happy here"]);
    let since = tokio::time::Instant::now();
    drop(ann);
    assert_eq!(told(&mut looker).await, "left ann left");
    let after = since.elapsed();
    assert!(
        after >= Duration::from_secs(3) && after < Duration::from_secs(4),
        "{after:?}"
    );
    drop(open(&app, "/rooms/tea/ann/happy").await);
    assert_eq!(told(&mut looker).await, "joined ann happy");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_disappears_leaves_and_may_return_as_another() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let _ann = open(&app, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    let clients = app.sse_service().clients();
    for client in &clients {
        client
            .appear("room:tea", member("bob", "new"))
            .await
            .unwrap();
    }
    let mut news = [told(&mut looker).await, told(&mut looker).await];
    news.sort();
    assert_eq!(news, ["joined bob new", "left ann left"]);
    for client in &clients {
        client.disappear("room:tea");
    }
    assert_eq!(told(&mut looker).await, "left bob left");
}

#[tokio::test(start_paused = true)]
async fn an_absent_client_gets_the_changes_it_has_missed() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let ann = open(&app, "/rooms/tea/ann/happy").await;
    let joined = looker.next().await.unwrap();
    drop(looker);
    drop(ann);
    let _bob = open(&app, "/rooms/tea/bob/calm").await;
    // The grace of ann is over then.
    sleep(Duration::from_secs(11)).await;
    let mut looker = app
        .sse(&format!("/rooms/tea?lastEventId={}", joined.id))
        .await;
    assert_eq!(looker.next().await.unwrap().event, "helios:ready");
    assert_eq!(told(&mut looker).await, "joined bob calm");
    assert_eq!(told(&mut looker).await, "left ann left");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_begins_at_the_list_misses_no_change() {
    let app = alone(|_| {});
    let _ann = open(&app, "/rooms/tea/ann/happy").await;
    let sse = app.sse_service();
    let here = sse.present("room:tea").await.unwrap();
    assert_eq!((here.age(), here.members().len()), (None, 1));
    assert_eq!(here.at(), sse.newest_id());
    let _bob = open(&app, "/rooms/tea/bob/calm").await;
    let id = here.at().to_string();
    let mut page = app.sse(&format!("/rooms/tea?lastEventId={id}")).await;
    assert_eq!(page.next().await.unwrap().event, "helios:ready");
    assert_eq!(told(&mut page).await, "joined bob calm");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_or_never_attached_does_not_stay() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let stream = app.sse_service().create_connection();
    stream
        .appear("room:tea", member("ann", "happy"))
        .await
        .unwrap();
    assert_eq!(told(&mut looker).await, "joined ann happy");
    let before = tokio::time::Instant::now();
    drop(stream);
    assert_eq!(told(&mut looker).await, "left ann left");
    assert!(before.elapsed() < Duration::from_secs(1), "without a grace");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_appear_leaves_no_member_behind() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let stream = app.sse_service().create_connection();
    {
        let mut appear = std::pin::pin!(stream.appear("room:tea", member("ann", "happy")));
        let polled = futures_util::poll!(&mut appear);
        assert!(polled.is_pending(), "it is cut while it waits");
    }
    drop(stream);
    // Whether or not it was announced, no member is left.
    sleep(Duration::from_secs(30)).await;
    assert!(present(&app).await.is_empty());
    app.sse_service().publish("room:tea", "end").await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "message") {
        seen.push(told(&mut looker).await);
    }
    let joined = seen
        .iter()
        .filter(|text| text.starts_with("joined"))
        .count();
    let left = seen.iter().filter(|text| text.starts_with("left")).count();
    assert_eq!(joined, left, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_stream_cannot_appear() {
    let app = alone(|_| {});
    let stream = app.sse_service().create_connection();
    stream.close();
    let kept = stream.clone();
    drop(stream);
    let _ = kept.appear("room:tea", member("ann", "happy")).await;
    drop(kept);
    sleep(Duration::from_secs(30)).await;
    assert!(present(&app).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_return_that_comes_to_nothing_leaves_the_grace_as_it_was() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let ann = open(&app, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    // Whether it appears before the end of the other stream or after it.
    let early = app.sse_service().create_connection();
    let appear = early.appear("room:tea", member("ann", "happy"));
    appear.await.unwrap();
    drop(ann);
    let since = tokio::time::Instant::now();
    sleep(Duration::from_secs(1)).await;
    drop(early);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(present(&app).await, ["ann happy away"]);
    let late = app.sse_service().create_connection();
    let appear = late.appear("room:tea", member("ann", "happy"));
    appear.await.unwrap();
    assert_eq!(present(&app).await, ["ann happy here"]);
    drop(late);
    hears_nothing(&mut looker, 5).await;
    let ann = open(&app, "/rooms/tea/ann/happy").await;
    hears_nothing(&mut looker, 60).await;
    drop(ann);
    let again = tokio::time::Instant::now();
    assert!(again - since > Duration::from_secs(60));
    sleep(Duration::from_secs(8)).await;
    let late = app.sse_service().create_connection();
    let appear = late.appear("room:tea", member("ann", "happy"));
    appear.await.unwrap();
    drop(late);
    assert_eq!(told(&mut looker).await, "left ann left");
    let after = again.elapsed().as_secs();
    assert!((10..12).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_the_app_removes_has_no_grace_left() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let ann = open(&app, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    drop(ann);
    sleep(Duration::from_secs(1)).await;
    let stream = app.sse_service().create_connection();
    let appear = stream.appear("room:tea", member("ann", "happy"));
    appear.await.unwrap();
    let before = tokio::time::Instant::now();
    stream.disappear("room:tea");
    assert_eq!(told(&mut looker).await, "left ann left");
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_loses_no_member() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let _ann = open(&app, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    for seconds in [16, 8, 600] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        hears_nothing(&mut looker, 20).await;
        assert_eq!(present(&app).await, ["ann happy here"]);
    }
}

/// Runs this on another runtime, which ends then.
fn elsewhere<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let thread = std::thread::spawn(move || runtime().block_on(work));
    thread.join().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_ends_takes_no_work_with_it() {
    let app = alone(|_| {});
    let mut looker = open(&app, "/rooms/tea").await;
    let stream = app.sse_service().create_connection();
    for _ in 0..2 {
        let appear = stream.appear("room:tea", member("ann", "happy"));
        appear.await.unwrap();
        assert_eq!(told(&mut looker).await, "joined ann happy");
        let last = stream.clone();
        elsewhere(async move { last.disappear("room:tea") });
        assert_eq!(told(&mut looker).await, "left ann left");
    }
}

#[tokio::test(start_paused = true)]
async fn members_outlive_the_runtime_of_the_first_one() {
    let app = alone(|_| {});
    let sse = app.sse_service();
    let first = sse.create_connection();
    let ann = first.clone();
    let appeared = elsewhere(async move { ann.appear("room:tea", member("ann", "happy")).await });
    appeared.unwrap();
    let second = sse.create_connection();
    let appear = second.appear("room:tea", member("bob", "calm"));
    appear.await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(present(&app).await, ["ann happy here", "bob calm here"]);
    first.disappear("room:tea");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(present(&app).await, ["bob calm here"]);
}
