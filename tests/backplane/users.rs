//! `disconnect_user` reaches all servers.

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::SseHub;
use helios::testing::backplane::InMemory;
use support::backplane::Log;
use tokio::time::timeout;

use super::local::{Local, LocalClient};

/// Finds the user of a client in its request.
fn by_header(sse: &mut SseOptions) {
    sse.connections.user = Some(Arc::new(|request| request.cookie("user")));
}

async fn start(log: &Arc<Log>, seed: u64) -> Local {
    Local::start_with(log, seed, by_header).await
}

async fn ends(client: &mut LocalClient) {
    // Comments keep the stream awake, so that it may never fall silent.
    let next = timeout(Duration::from_secs(60), client.next()).await;
    assert_eq!(next.expect("an end in time").event, "helios:end");
}

async fn goes_on(client: &mut LocalClient, here: &Local) {
    here.sse().publish("x", "still here").await.unwrap();
    assert_eq!(client.data().await, "still here");
}

#[tokio::test(start_paused = true)]
async fn a_user_and_nobody_else_is_disconnected_on_all_servers() {
    let log = Log::new(100);
    let (one, two) = (start(&log, 1).await, start(&log, 2).await);
    let mut here = one.client_of("ann\n\"", &["x"]).await;
    let mut there = two.client_of("ann\n\"", &["x"]).await;
    let mut again = two.client_of("ann\n\"", &["y"]).await;
    let mut other = two.client_of("ann", &["x"]).await;
    let (mut nobody, _) = two.client(&["x"]).await;
    one.sse().disconnect_user("ann\n\"").await.unwrap();
    for client in [&mut here, &mut there, &mut again] {
        ends(client).await;
    }
    goes_on(&mut other, &one).await;
    assert_eq!(nobody.data().await, "still here");
    // A client that connects later is let in. The app has to refuse it.
    let mut later = two.client_of("ann\n\"", &["x"]).await;
    goes_on(&mut later, &two).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_disconnects_the_user_once_it_is_fetched() {
    let log = Log::new(100);
    let (one, two) = (start(&log, 1).await, start(&log, 2).await);
    let mut client = two.client_of("ann", &["x"]).await;
    two.link.lose(true);
    one.sse().disconnect_user("ann").await.unwrap();
    two.link.flush().await;
    two.link.lose(false);
    ends(&mut client).await;
}

/// These are more messages than history keeps of a topic of the app.
#[tokio::test(start_paused = true)]
async fn thousands_of_lost_messages_are_fetched() {
    let log = Log::new(16_384);
    let (one, two) = (start(&log, 1).await, start(&log, 2).await);
    let mut client = two.client_of("ann", &["x"]).await;
    two.link.lose(true);
    one.sse().disconnect_user("ann").await.unwrap();
    for n in 0..6_000 {
        one.sse().disconnect_user(n.to_string()).await.unwrap();
    }
    two.link.flush().await;
    two.link.lose(false);
    two.link.torn();
    ends(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_messages_are_applied_if_earlier_ones_are_gone() {
    let log = Log::new(2);
    let (one, two) = (start(&log, 1).await, start(&log, 2).await);
    let mut gone = two.client_of("bob", &["x"]).await;
    let mut client = two.client_of("ann", &["x"]).await;
    two.link.lose(true);
    for user in ["bob", "eve", "ann"] {
        one.sse().disconnect_user(user).await.unwrap();
    }
    two.link.flush().await;
    two.link.lose(false);
    two.link.torn();
    ends(&mut client).await;
    goes_on(&mut gone, &two).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_this_server_does_not_end_a_stream_that_came_after_it() {
    let log = Log::new(100);
    let one = start(&log, 1).await;
    one.link.lose(true);
    one.sse().disconnect_user("ann").await.unwrap();
    one.link.flush().await;
    one.link.lose(false);
    let mut again = one.client_of("ann", &["x"]).await;
    // It is fetched only now.
    one.link.torn();
    for _ in 0..12 {
        sleep(Duration::from_secs(5)).await;
        goes_on(&mut again, &one).await;
    }
}

/// The server learns of the sequence by the id of its newest event, which is the message.
#[tokio::test(start_paused = true)]
async fn a_message_lost_with_the_begin_of_a_sequence_disconnects_the_user_once_it_is_fetched() {
    let log = Log::new(100);
    let (one, two) = (start(&log, 1).await, start(&log, 2).await);
    let mut client = two.client_of("ann", &["x"]).await;
    two.link.lose(true);
    log.forget_all();
    one.sse().disconnect_user("ann").await.unwrap();
    two.link.flush().await;
    two.link.lose(false);
    two.link.torn();
    let ended = async { while client.next().await.event != "helios:end" {} };
    timeout(Duration::from_secs(60), ended).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn during_an_outage_only_local_clients_are_disconnected() {
    let log = Log::new(100);
    let (one, two) = (start(&log, 1).await, start(&log, 2).await);
    let mut here = one.client_of("ann", &["x"]).await;
    let mut there = two.client_of("ann", &["x"]).await;
    one.link.go_down(true);
    let failed = one.sse().disconnect_user("ann").await;
    assert!(matches!(failed, Err(SseError::Backplane(_))), "{failed:?}");
    ends(&mut here).await;
    one.link.go_down(false);
    one.sse().disconnect_user("ann").await.unwrap();
    ends(&mut there).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_alone_and_one_behind_memory_disconnect_a_user() {
    let alone = SseHub::with_options(by_header).unwrap();
    let memory = SseHub::behind(InMemory::new(), by_header).await.unwrap();
    for hub in [alone, memory] {
        let mut client = super::local::client_of(&hub, "ann", &["x"]).await;
        hub.sse().disconnect_user("bob").await.unwrap();
        hub.sse().disconnect_user("ann").await.unwrap();
        ends(&mut client).await;
    }
}
