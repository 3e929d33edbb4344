//! To observers, several servers with one backplane are one.

use helios::prelude::*;
use helios::testing::backplane::InMemory;

use super::app::{hears_nothing, member, node, open, present, told};

#[tokio::test(start_paused = true)]
async fn a_member_on_two_nodes_leaves_with_the_last_stream() {
    let backplane = InMemory::new();
    let (one, two) = (node(backplane.node()).await, node(backplane.node()).await);
    let mut looker = open(&two, "/rooms/tea").await;
    let here = open(&one, "/rooms/tea/ann/happy").await;
    let there = open(&two, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    drop(here);
    hears_nothing(&mut looker, 60).await;
    for app in [&one, &two] {
        assert_eq!(present(app).await, ["ann happy here"]);
    }
    drop(there);
    assert_eq!(told(&mut looker).await, "left ann left");
}

#[tokio::test(start_paused = true)]
async fn a_return_on_another_node_within_the_grace_is_silent() {
    let backplane = InMemory::new();
    let (one, two) = (node(backplane.node()).await, node(backplane.node()).await);
    let mut looker = open(&two, "/rooms/tea").await;
    let ann = open(&one, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    drop(ann);
    sleep(Duration::from_secs(8)).await;
    assert_eq!(present(&two).await, ["ann happy away"]);
    let _ann = open(&two, "/rooms/tea/ann/happy").await;
    hears_nothing(&mut looker, 60).await;
    assert_eq!(present(&one).await, ["ann happy here"]);
}

#[tokio::test(start_paused = true)]
async fn members_of_a_stopping_node_have_a_grace_elsewhere() {
    let backplane = InMemory::new();
    let (one, two) = (node(backplane.node()).await, node(backplane.node()).await);
    let mut looker = open(&two, "/rooms/tea").await;
    let mut ann = open(&one, "/rooms/tea/ann/happy").await;
    let mut bob = open(&one, "/rooms/tea/bob/calm").await;
    assert_eq!(told(&mut looker).await, "joined ann happy");
    assert_eq!(told(&mut looker).await, "joined bob calm");
    let stopping = async {
        one.service().shutdown(Duration::from_secs(10)).await;
    };
    let leaving = async {
        drop(ann.rest().await);
        drop(bob.rest().await);
    };
    tokio::join!(stopping, leaving);
    // At once, without waiting for a lease to expire.
    assert_eq!(present(&two).await, ["ann happy away", "bob calm away"]);
    let _ann = open(&two, "/rooms/tea/ann/happy").await;
    assert_eq!(told(&mut looker).await, "left bob left");
    assert_eq!(present(&two).await, ["ann happy here"]);
    hears_nothing(&mut looker, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_outlives_the_stop_keeps_nobody_present() {
    let backplane = InMemory::new();
    let (one, two) = (node(backplane.node()).await, node(backplane.node()).await);
    let mut looker = open(&two, "/rooms/tea").await;
    let stream = one.sse_service().create_connection();
    stream
        .appear("room:tea", member("ann", "happy"))
        .await
        .unwrap();
    assert_eq!(told(&mut looker).await, "joined ann happy");
    one.service().shutdown(Duration::ZERO).await;
    assert_eq!(told(&mut looker).await, "left ann left");
    assert!(
        stream
            .appear("room:tea", member("ann", "late"))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn an_older_stream_that_ends_changes_no_newer_data_of_another_node() {
    let backplane = InMemory::new();
    let (one, two) = (node(backplane.node()).await, node(backplane.node()).await);
    let mut looker = open(&two, "/rooms/tea").await;
    let first = open(&one, "/rooms/tea/ann/calm").await;
    let _second = open(&one, "/rooms/tea/ann/tired").await;
    let third = open(&one, "/rooms/tea/ann/happy").await;
    let there = open(&two, "/rooms/tea/ann/sad").await;
    for news in [
        "joined ann calm",
        "updated ann tired",
        "updated ann happy",
        "updated ann sad",
    ] {
        assert_eq!(told(&mut looker).await, news);
    }
    drop(first);
    hears_nothing(&mut looker, 60).await;
    // The data of the second stream takes the place of the third one's.
    drop(third);
    hears_nothing(&mut looker, 60).await;
    assert_eq!(present(&one).await, ["ann sad here"]);
    drop(there);
    assert_eq!(told(&mut looker).await, "updated ann tired");
    // A stream that appears counts, even with data that its node has already.
    let _there = open(&two, "/rooms/tea/ann/sad").await;
    assert_eq!(told(&mut looker).await, "updated ann sad");
    let _fourth = open(&one, "/rooms/tea/ann/tired").await;
    assert_eq!(told(&mut looker).await, "updated ann tired");
}
