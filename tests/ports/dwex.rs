use chrono::{DateTime, Utc};
use http::Method;

use support::TestServer;

use super::{END, first, whole};

#[path = "../../examples/dwex/main.rs"]
#[allow(dead_code)]
mod example;

const OPENING: &str = ":\nretry: 3000\n";

async fn serve() -> TestServer {
    TestServer::start(example::App.into()).await
}

/// Returns the text with `T` in place of a key's values, which differ between runs, and these values.
fn masked(text: &str, key: &str) -> (String, Vec<String>) {
    let mut pieces = text.split(key);
    let mut masked = pieces.next().unwrap().to_owned();
    let mut values = Vec::new();
    for piece in pieces {
        let end = piece.find([',', '}', '\n']).unwrap();
        values.push(piece[..end].to_owned());
        masked = masked + key + "T" + &piece[end..];
    }
    (masked, values)
}

fn all<T>(values: impl IntoIterator<Item = T>, event: impl FnMut(T) -> String) -> String {
    values.into_iter().map(event).collect()
}

fn are_times(values: &[String]) {
    for value in values {
        serde_json::from_str::<DateTime<Utc>>(value).unwrap();
    }
}

#[tokio::test]
async fn a_generator_is_a_stream() {
    let server = serve().await;
    let text = whole(&mut server.sse("/events/updates").await).await;
    let (text, times) = masked(&text, "\"timestamp\":");
    are_times(&times);
    let update = |i| format!("event: update\nid: {i}\ndata: {{\"count\":{i},\"timestamp\":T}}\n\n");
    let updates = all(0..10, update);
    let connected = "event: connected\ndata: {\"message\":\"Connected\"}\n\n";
    let complete = "event: complete\ndata: {\"message\":\"Stream complete\"}\n\n";
    assert_eq!(
        text,
        format!("{OPENING}{connected}{updates}{complete}{END}")
    );
}

#[tokio::test]
async fn a_handle_is_driven_by_a_clock() {
    let server = serve().await;
    let text = whole(&mut server.sse("/events/time").await).await;
    let (text, times) = masked(&text, "\"time\":");
    are_times(&times);
    let ticks = all(0..10, |n| {
        format!("event: time\ndata: {{\"count\":{n},\"time\":T}}\n\n")
    });
    assert_eq!(text, format!("{OPENING}{ticks}{END}"));
}

#[tokio::test]
async fn the_countdown_goes_from_ten_to_one() {
    let server = serve().await;
    let counts = all((1..=10).rev(), |n| {
        let id = 11 - n;
        format!("event: countdown\nid: {id}\ndata: {{\"count\":{n}}}\n\n")
    });
    let complete = "event: complete\ndata: {\"message\":\"Countdown complete!\"}\n\n";
    assert_eq!(
        whole(&mut server.sse("/events/countdown").await).await,
        format!("{OPENING}{counts}{complete}{END}")
    );
}

#[tokio::test]
async fn a_client_that_resumes_gets_what_it_has_not_seen() {
    let server = serve().await;
    let feed = |from| {
        let event = |n| format!("id: {n}\nretry: 3000\ndata: {{\"count\":{n}}}\n\n");
        format!("{OPENING}{}{END}", all(from..100, event))
    };
    assert_eq!(whole(&mut server.sse("/events/feed").await).await, feed(0));
    let seen = [("last-event-id", "95")];
    let mut client = server
        .sse_with(Method::GET, "/events/feed", &seen, "")
        .await;
    assert_eq!(whole(&mut client).await, feed(96));
}

#[tokio::test]
async fn metrics_come_with_a_comment_every_thirty_seconds() {
    let server = serve().await;
    let text = first(31, &mut server.sse("/monitoring/metrics").await).await;
    let (text, cpu) = masked(&text, "\"cpu\":");
    let (text, memory) = masked(&text, "\"memory\":");
    let (text, uptime) = masked(&text, "\"uptime\":");
    let (text, ids) = masked(&text, "id: ");
    let event = "event: metrics\nid: T\ndata: {\"cpu\":T,\"memory\":T,\"uptime\":T}\n\n";
    assert_eq!(
        text,
        format!("{OPENING}{}: keep-alive\n{event}", event.repeat(30))
    );
    assert!(numbers(&memory).iter().all(|bytes| *bytes > 1_000_000));
    assert!(numbers(&ids).is_sorted());
    assert!(numbers(&cpu).is_sorted() && numbers(&uptime).is_sorted());
}

fn numbers(texts: &[String]) -> Vec<u64> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn the_query_tells_whose_notifications_the_injected_service_gives() {
    let server = serve().await;
    let connected = "event: connected\ndata: {\"message\":\"Connected\"}\n\n";
    assert_eq!(
        first(4, &mut server.sse("/notifications/stream?userId=ann").await).await,
        format!("{OPENING}{connected}{}", notifications(1..4))
    );
    let nobody = server.get("/notifications/stream").await;
    assert_eq!(nobody.status, 400);
    assert_eq!(nobody.problem()["errors"][0]["name"], "userId");
}

/// Returns Ann's notifications.
fn notifications(ids: std::ops::Range<u32>) -> String {
    all(ids, |id| {
        let data = format!("{{\"id\":{id},\"userId\":\"ann\",\"title\":\"New Message\"}}");
        format!("event: notification\nid: {id}\ndata: {data}\n\n")
    })
}

#[tokio::test]
async fn listeners_receive_what_a_service_emits_even_after_breaks() {
    let server = serve().await;
    let mut client = server.sse("/activity/stream").await;
    let ready = client.next().await.unwrap();
    assert_eq!(ready.event, "helios:ready");
    let track = async |what| {
        let json = "application/json";
        let tracked = server
            .post("/activity/ann", json, format!("\"{what}\""))
            .await;
        assert_eq!(tracked.status, 200);
    };
    track("sign in").await;
    let signed_in = client.next().await.unwrap();
    let (text, _) = masked(&client.text(), "\"timestamp\":");
    let data = |what| format!("{{\"activity\":\"{what}\",\"timestamp\":T,\"userId\":\"ann\"}}");
    let event = |id: &str, what| format!("event: activity\nid: {id}\ndata: {}\n\n", data(what));
    let ready = |id: &str, data: &str| format!("event: helios:ready\nid: {id}\ndata: {data}\n\n");
    assert!(text.ends_with(&event(&signed_in.id, "sign in")), "{text}");

    drop(client);
    track("sign out").await;
    let seen = [("last-event-id", signed_in.id.as_str())];
    let mut client = server
        .sse_with(Method::GET, "/activity/stream", &seen, "")
        .await;
    let resumed = client.next().await.unwrap();
    let signed_out = client.next().await.unwrap();
    assert_eq!(
        masked(&client.text(), "\"timestamp\":").0,
        format!(
            "{OPENING}{}{}",
            ready(&signed_in.id, &resumed.data),
            event(&signed_out.id, "sign out")
        )
    );
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_without_anybody_s_doing() {
    let server = serve().await;
    let mut client = server.sse("/activity/stream").await;
    client.next().await.unwrap();
    let opened = client.text();
    tokio::time::pause();
    client.read().await.unwrap();
    tokio::time::resume();
    assert_eq!(client.text(), opened + ":\n");
}

#[tokio::test]
async fn the_progress_is_of_the_job_in_the_path() {
    let server = serve().await;
    let start = "event: start\ndata: {\"progress\":0,\"status\":\"started\"}\n\n";
    let data = |n, status| format!("{{\"jobId\":\"7\",\"progress\":{n},\"status\":\"{status}\"}}");
    let steps = all((0..=100).step_by(10), |n| {
        format!(
            "event: progress\nid: 7-{n}\ndata: {}\n\n",
            data(n, "running")
        )
    });
    let complete = format!("event: complete\ndata: {}\n\n", data(100, "completed"));
    assert_eq!(
        whole(&mut server.sse("/jobs/progress/7").await).await,
        format!("{OPENING}{start}{steps}{complete}{END}")
    );
}

#[tokio::test]
async fn the_guard_accepts_the_token_and_identifies_its_user() {
    let server = serve().await;
    let refused = server.get("/private/notifications").await;
    assert_eq!(
        refused.text(),
        r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"send the bearer token"}"#
    );
    let token = [("authorization", "Bearer token")];
    let path = "/private/notifications";
    let mut client = server.sse_with(Method::GET, path, &token, "").await;
    assert_eq!(
        first(2, &mut client).await,
        format!("{OPENING}{}", notifications(1..3))
    );
}

#[tokio::test]
async fn an_error_is_told_and_the_end_too() {
    let server = serve().await;
    assert_eq!(
        whole(&mut server.sse("/data/stream").await).await,
        format!(
            "{OPENING}\
             event: start\ndata: {{\"status\":\"started\"}}\n\n\
             event: data\ndata: 0\n\n\
             event: data\ndata: 1\n\n\
             event: error\ndata: {{\"error\":\"the source has dried up\"}}\n\n\
             event: end\ndata: {{\"status\":\"ended\"}}\n\n{END}"
        )
    );
    assert_eq!(server.get("/data/subscriptions").await.text(), "0");
}

#[tokio::test]
async fn a_stream_is_cleaned_up_when_its_client_leaves() {
    let server = serve().await;
    let mut client = server.sse("/data/stream").await;
    client.next().await.unwrap();
    assert_eq!(server.get("/data/subscriptions").await.text(), "1");
    drop(client);
    server.wait_for_connections(0).await;
    assert_eq!(server.get("/data/subscriptions").await.text(), "0");
}
