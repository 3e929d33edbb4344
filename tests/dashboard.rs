//! The dashboard as its clients see it: what they may not send, what they are told, and what is there after a restart.
#![allow(clippy::unwrap_used)]

#[path = "../examples/dashboard/main.rs"]
#[allow(dead_code)]
mod dashboard;

use helios::prelude::*;
use helios::sse::DecodedEvent;
use helios::testing::{TestApp, TestResponse, TestStream};
use http::Method;
use serde_json::Value;
use support::folder::Folder;
use support::{SseClient, TestServer, within};

const JSON: &str = "application/json";

/// Without a socket, and without its background tasks: nobody works at a job.
fn idle(folder: &Folder) -> TestApp {
    let app = dashboard::app(&folder.0).unwrap();
    TestApp::start(app).unwrap()
}

fn message(key: u32, name: &str, text: &str) -> Value {
    json!({ "key": uuid::Uuid::from_u128(key.into()), "name": name, "text": text })
}

async fn say(app: &TestApp, message: &Value) -> TestResponse {
    app.post("/chat").json(message).await
}

async fn cancel(app: &TestApp, job: &str) -> u16 {
    let path = format!("/jobs/{job}");
    let response = app.request(Method::DELETE, &path).await;
    response.status().as_u16()
}

/// The data of the next event of this name.
async fn next(stream: &mut TestStream, name: &str) -> Value {
    loop {
        let event = stream.next().await.unwrap();
        if event.event == name {
            return data(&event);
        }
    }
}

fn data(event: &DecodedEvent) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

fn texts(messages: &Value) -> Vec<&str> {
    let messages = messages.as_array().unwrap().iter();
    messages
        .map(|message| message["text"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_message_that_is_empty_too_long_or_no_json_is_refused() {
    let folder = Folder::new("dashboard-refused");
    let app = idle(&folder);
    for (name, text) in [("", "hi"), ("  ", "hi"), ("ann", ""), ("ann", " \n\t ")] {
        assert_eq!(say(&app, &message(1, name, text)).await.status(), 422);
    }
    let long = say(&app, &message(1, &"x".repeat(31), &"ü".repeat(501))).await;
    assert_eq!(long.status(), 422);
    let problem: Value = long.json();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    for body in ["", "{", "[]", "null", r#"{"key":1,"name":"a","text":"b"}"#] {
        let refused = app.post("/chat").content(JSON, body.to_owned()).await;
        assert!(matches!(refused.status().as_u16(), 400 | 422), "{body:?}");
    }
    let form = app.post("/chat").content(
        "application/x-www-form-urlencoded",
        "key=00000000-0000-0000-0000-000000000001&name=a&text=b",
    );
    assert_eq!(form.await.status(), 415);
    let flood = message(1, "ann", &"x".repeat(10_000));
    assert_eq!(say(&app, &flood).await.status(), 413);

    let mut page = app.sse("/live").await;
    assert_eq!(next(&mut page, "chat:all").await, json!([]));
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_there_once() {
    let folder = Folder::new("dashboard-again");
    let app = idle(&folder);
    let mut page = app.sse("/live").await;
    for key in [1, 1, 2, 1] {
        let said = say(&app, &message(key, " ann ", "hello\n")).await;
        assert_eq!(said.status(), 204);
    }
    for id in [1, 2] {
        let news = next(&mut page, "chat").await;
        let seen = (&news["id"], &news["name"], &news["text"]);
        assert_eq!(seen, (&json!(id), &json!("ann"), &json!("hello")));
    }
    let mut late = app.sse("/live").await;
    let all = next(&mut late, "chat:all").await;
    assert_eq!(texts(&all), ["hello", "hello"]);
}

#[tokio::test]
async fn the_fullest_chat_is_bounded_and_still_one_event() {
    let folder = Folder::new("dashboard-fullest");
    let app = idle(&folder);
    // What is longest as JSON.
    let (name, text) = ("\u{1}".repeat(30), "\u{1}".repeat(500));
    for key in 0..70 {
        assert_eq!(say(&app, &message(key, &name, &text)).await.status(), 204);
    }
    let mut page = app.sse("/live").await;
    let all = next(&mut page, "chat:all").await;
    let ids: Vec<_> = all.as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!((ids.len(), ids[0]), (60, &json!(11)));
}

#[tokio::test]
async fn a_job_that_is_none_is_refused() {
    let folder = Folder::new("dashboard-no-job");
    let app = idle(&folder);
    for below in [json!(0), json!(999), json!(10_000_001)] {
        let order = json!({ "below": below });
        assert_eq!(app.post("/jobs").json(&order).await.status(), 422);
    }
    for below in [json!(-1), json!("many"), json!(null), json!(1e300)] {
        let refused = app.post("/jobs").json(&json!({ "below": below })).await;
        assert!(matches!(refused.status().as_u16(), 400 | 422), "{below}");
    }
    assert_eq!(cancel(&app, "1").await, 404);
    assert_eq!(cancel(&app, "99999999999999999999").await, 400);
    assert_eq!(cancel(&app, "one").await, 400);
}

#[tokio::test]
async fn there_are_so_many_jobs_and_one_that_is_cancelled_makes_room() {
    let folder = Folder::new("dashboard-many-jobs");
    let app = idle(&folder);
    let start = async || app.post("/jobs").json(&json!({ "below": 1_000 })).await;
    for id in 1..=8 {
        let job = start().await;
        assert_eq!(job.status(), 201);
        assert_eq!(job.json::<Value>()["id"], id);
    }
    assert_eq!(start().await.status(), 429);
    assert_eq!(cancel(&app, "3").await, 204);
    assert_eq!(cancel(&app, "3").await, 409);
    assert_eq!(start().await.status(), 201);
    assert_eq!(start().await.status(), 429);

    // Those that are over are forgotten, the oldest first.
    for id in 9..40 {
        assert_eq!(cancel(&app, &id.to_string()).await, 204);
        assert_eq!(start().await.status(), 201);
    }
    let mut page = app.sse("/live").await;
    let jobs = next(&mut page, "jobs:all").await;
    let ids = jobs.as_array().unwrap().iter();
    let ids: Vec<_> = ids.map(|job| job["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), 8 + 12);
    assert!(ids.contains(&1) && !ids.contains(&3), "{ids:?}");
    let notices = next(&mut page, "notifications:all").await;
    assert_eq!(notices.as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn a_new_page_gets_everything_and_one_that_resumes_only_what_it_missed() {
    let folder = Folder::new("dashboard-resume");
    let app = idle(&folder);
    say(&app, &message(1, "ann", "first")).await;
    let mut page = app.sse("/live").await;
    let mut names = Vec::new();
    let mut last = String::new();
    while last.is_empty() {
        let event = page.next().await.unwrap();
        last = event.id;
        names.push(event.event);
    }
    let all = ["metrics", "jobs", "chat", "notifications"].map(|topic| format!("{topic}:all"));
    assert_eq!(names[0], "helios:ready");
    assert_eq!(names[1..5], all);
    assert_eq!(names[5..], ["helios:ready"]);
    drop(page);

    say(&app, &message(2, "ann", "missed")).await;
    app.post("/jobs").json(&json!({ "below": 1_000 })).await;
    let mut page = app.sse("/live").last_event_id(&last).await;
    say(&app, &message(3, "ann", "live")).await;
    let ready = page.next().await.unwrap();
    assert_eq!(data(&ready)["resumed"], true);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(page.next().await.unwrap().event);
    }
    assert_eq!(seen, ["chat", "jobs", "caught-up", "chat"]);
}

#[tokio::test]
async fn after_a_restart_a_page_is_given_everything_anew() {
    let folder = Folder::new("dashboard-restart");
    let app = idle(&folder);
    let mut page = app.sse("/live").await;
    say(&app, &message(1, "ann", "before")).await;
    app.post("/jobs").json(&json!({ "below": 1_000 })).await;
    next(&mut page, "chat").await;
    let last = page.next().await.unwrap().id;
    drop((page, app));

    let app = idle(&folder);
    say(&app, &message(2, "ann", "meanwhile")).await;
    let mut page = app.sse("/live").last_event_id(&last).await;
    assert_eq!(next(&mut page, "helios:reset").await["reason"], "epoch");
    assert_eq!(next(&mut page, "jobs:all").await[0]["state"], "queued");
    let all = next(&mut page, "chat:all").await;
    assert_eq!(texts(&all), ["before", "meanwhile"]);
    next(&mut page, "helios:ready").await;
}

async fn serve(folder: &Folder) -> TestServer {
    TestServer::start(dashboard::app(&folder.0).unwrap()).await
}

/// What a page is told of job 1, until it is at least so far.
async fn progress(page: &mut SseClient, until: u64) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(percent, _)| *percent < until) {
        let event = page.next().await.unwrap();
        let job = match event.event.as_str() {
            "jobs" => data(&event),
            "jobs:all" => data(&event)[0].clone(),
            _ => continue,
        };
        if let (Some(percent), Some(state)) = (job["percent"].as_u64(), job["state"].as_str()) {
            seen.push((percent, state.to_owned()));
        }
    }
    seen
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart_where_it_was() {
    let folder = Folder::new("dashboard-goes-on");
    let server = serve(&folder).await;
    let mut page = server.sse("/live").await;
    let job = server.post("/jobs", JSON, r#"{"below":1000}"#).await;
    assert_eq!(job.status, 201);
    progress(&mut page, 5).await;
    server.stop().await.unwrap();

    let server = serve(&folder).await;
    let mut page = server.sse("/live").await;
    let seen = progress(&mut page, 100).await;
    assert!(seen[0].0 >= 5, "{seen:?}");
    assert!(seen.is_sorted_by_key(|(percent, _)| percent), "{seen:?}");
    assert_eq!(seen.last().unwrap().1, "done");
    let told = within(async {
        loop {
            let event = page.next().await.unwrap();
            if event.event == "notifications" {
                break data(&event)["text"].clone();
            }
        }
    });
    assert_eq!(told.await, "Job 1 is done: 168 primes below 1,000");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_figures_are_those_of_this_process() {
    let folder = Folder::new("dashboard-figures");
    let server = serve(&folder).await;
    let mut page = server.sse("/live").await;
    let sample = within(async {
        loop {
            let event = page.next().await.unwrap();
            if event.event == "metrics" {
                break data(&event);
            }
        }
    });
    let sample = sample.await;
    assert_eq!(sample["connections"], 1, "{sample}");
    assert!(sample["memory"].as_u64().unwrap() > 1 << 20, "{sample}");
    assert!(sample["events"].as_f64().unwrap() > 0.0, "{sample}");
}

#[tokio::test]
async fn the_page_brings_all_that_it_needs() {
    let folder = Folder::new("dashboard-page");
    let app = idle(&folder);
    let index = app.get("/").await;
    let policy = index.header("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let mut wanted = parts(&index.text());
    let mut had = Vec::new();
    while let Some(part) = wanted.pop() {
        let response = app.get(&part).await;
        assert_eq!(response.status(), 200, "{part}");
        let text = response.text();
        assert!(
            !text.contains("//cdn") && !text.contains("https://"),
            "{part}"
        );
        had.push(part);
        let more = parts(&text).into_iter();
        wanted.extend(more.filter(|part| !had.contains(part)));
        wanted.sort();
        wanted.dedup();
    }
    assert_eq!(had.len(), 13, "{had:?}");
    for nothing in ["/page/main.rs", "/page/..%2fmain.rs", "/page/"] {
        assert_eq!(app.get(nothing).await.status(), 404, "{nothing}");
    }
}

/// What a file of the page loads.
fn parts(text: &str) -> Vec<String> {
    let quoted = text.split(['"', '\'']);
    let local = quoted.filter_map(|word| match word.strip_prefix("./") {
        Some(name) if name.ends_with(".js") => Some(format!("/page/{name}")),
        _ => word.starts_with("/page/").then(|| word.to_owned()),
    });
    local.collect()
}
