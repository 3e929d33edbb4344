//! Slow clients that stay connected. They lose the oldest events, and get a reset for them.

use helios::SseOptions;
use helios::prelude::*;
use helios::sse::{BacklogLimits, HistoryLimits, SlowClients};

use super::super::app::{all_now, in_process, json, path};
use super::{MANY, Stalled, flood, number, watchful_server};
use support::eventually;

/// Makes a client that is more than ten events behind lose the oldest.
fn keep_the_newest_ten(sse: &mut SseOptions) {
    sse.slow_clients = SlowClients::DropOldest;
    sse.backlog = BacklogLimits {
        events: 10,
        bytes: 1 << 20,
    };
}

#[tokio::test]
async fn with_drop_oldest_a_slow_client_skips_to_the_newest() {
    let (server, journal) = watchful_server(|sse| {
        sse.backlog.events = 100;
        sse.slow_clients = SlowClients::DropOldest;
    })
    .await;
    let mut client = Stalled::connect(&server, &["a"]).await;
    server.wait_for_connections(1).await;
    flood(&server.sse, "a", 1..=MANY).await;
    eventually(|| server.sse.stats().dropped > 0).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    let (mut expected, mut missing, mut told) = (1, 0, false);
    while expected <= MANY {
        let event = client.next().await.unwrap();
        match event.event.as_str() {
            "helios:reset" => {
                assert_eq!(json(&event), json!({ "reason": "slow", "topics": ["a"] }));
                told = true;
            }
            "helios:ready" => {}
            _ => {
                let next = number(&event);
                assert!(next == expected || told, "{expected} is missing untold");
                missing += next - expected;
                (expected, told) = (next + 1, false);
            }
        }
    }
    assert_eq!(missing, server.sse.stats().dropped);
    let stats = server.sse.stats();
    assert_eq!((stats.connections, stats.slow_closes), (1, 0));
    assert!(journal.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_drop_oldest_an_overtaken_client_skips_to_the_newest() {
    let (app, _) = in_process(|sse| {
        sse.history.events = 20;
        sse.backlog.events = 10;
        sse.slow_clients = SlowClients::DropOldest;
    });
    let sse = app.sse_service();
    let mut client = app.sse(&path(&["a", "b"])).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    for n in 0..100 {
        sse.publish("a", n.to_string()).await.unwrap();
    }
    let reset = client.next().await.unwrap();
    assert_eq!(json(&reset), json!({ "reason": "slow", "topics": ["a"] }));
    for n in 95..100 {
        assert_eq!(client.next().await.unwrap().data, n.to_string());
    }
    assert_eq!(sse.stats().dropped, 95);
}

#[tokio::test(start_paused = true)]
async fn with_drop_oldest_private_events_give_way_to_newer_ones() {
    let (app, _) = in_process(|sse| {
        sse.backlog.events = 10;
        sse.slow_clients = SlowClients::DropOldest;
    });
    let sse = app.sse_service();
    let mut client = app.sse(&path(&["a"])).await;
    assert_eq!(client.next().await.unwrap().event, "helios:ready");
    let id = sse.clients()[0].id();
    // A burst may be four times as long as the backlog.
    for n in 0..42 {
        sse.send_to_client(id, n.to_string()).await.unwrap();
    }
    sse.publish("a", "live").await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|data| data != "live") {
        let event = client.next().await.unwrap();
        if event.event == "helios:reset" {
            assert_eq!(json(&event)["reason"], "slow");
            seen.push("reset".into());
        } else {
            seen.push(event.data);
        }
    }
    let kept: Vec<_> = seen
        .iter()
        .filter_map(|data| data.parse::<u64>().ok())
        .collect();
    assert_eq!(kept.last(), Some(&41));
    assert!(kept.len() >= 5, "only the older half gives way: {seen:?}");
    assert!(
        kept.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{seen:?}"
    );
    assert_eq!(kept.len() as u64 + sse.stats().dropped, 42);
    assert!(seen.contains(&"reset".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_not_dropped_with_what_is_oldest() {
    let (app, _) = in_process(keep_the_newest_ten);
    let sse = app.sse_service();
    let mut first = app.sse(&path(&["a"])).await;
    all_now(&mut first).await;
    for n in 1..=40 {
        sse.publish("a", format!("a{n}")).await.unwrap();
    }
    sleep(Duration::from_secs(4)).await;
    let id = sse.clients()[0].id();
    for n in 1..=20 {
        sse.send_to_client(id, format!("private {n}"))
            .await
            .unwrap();
    }
    let got = all_now(&mut first).await;
    assert!(!got.iter().any(|event| event.data == "a1"));
    assert!(
        got.iter()
            .any(|event| event.event == "helios:reset" && event.data.contains("\"a\"")),
        "never told of a1..a35"
    );
}

/// The id of a queued reset must not be written if another topic was overtaken before it.
#[tokio::test(start_paused = true)]
async fn a_closing_stream_gives_no_position_behind_a_gap() {
    let (app, _) = in_process(|sse| {
        keep_the_newest_ten(sse);
        sse.keep_topic(
            "b",
            HistoryLimits {
                events: 2,
                age: Duration::from_secs(300),
            },
        );
    });
    let sse = app.sse_service();
    let mut first = app.sse(&path(&["a", "b"])).await;
    all_now(&mut first).await;
    sse.publish("b", "b1").await.unwrap();
    sse.publish("b", "b2").await.unwrap();
    for n in 1..=20 {
        sse.publish("a", format!("a{n}")).await.unwrap();
    }
    sleep(Duration::from_secs(4)).await;
    sse.clients()[0].reconnect_after(Duration::from_secs(1));
    sse.publish("b", "b3").await.unwrap();
    sse.publish("b", "b4").await.unwrap();
    let got = all_now(&mut first).await;
    let mut second = app
        .sse(&path(&["a", "b"]))
        .last_event_id(&got.last().unwrap().id)
        .await;
    let again = all_now(&mut second).await;
    let told = |name: &str| {
        got.iter()
            .chain(&again)
            .any(|event| event.event == "helios:reset" && event.data.contains(name))
    };
    assert!(told("\"b\""), "b1, b2 are lost silently");
}

#[tokio::test(start_paused = true)]
async fn drop_oldest_bounds_all_topics_together() {
    let (app, _) = in_process(keep_the_newest_ten);
    let sse = app.sse_service();
    let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut first = app.sse(&path(&names)).await;
    all_now(&mut first).await;
    for name in names {
        for _ in 0..5 {
            sse.publish(name, "e").await.unwrap();
        }
    }
    sleep(Duration::from_secs(10)).await;
    let got = all_now(&mut first).await;
    assert!(got.len() <= 12);
}
