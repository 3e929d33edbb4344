//! The dashboard as its clients see it: which messages it refuses, which events they get, and that a restart costs them
//! nothing.
#![allow(clippy::unwrap_used)]

#[path = "browser/dashboard.rs"]
mod browser;
#[path = "../examples/dashboard/main.rs"]
#[allow(dead_code)]
mod dashboard;

#[path = "clients/kit.rs"]
#[allow(dead_code)]
mod kit;
#[path = "clients/typed.rs"]
mod typed;
#[path = "clients/dashboard.rs"]
mod types;

use std::net::SocketAddr;

use helios::prelude::*;
use helios::sse::{DecodedEvent, EventId};
use helios::testing::{TestApp, TestResponse, TestStream};
use http::Method;
use serde_json::Value;
use support::folder::Folder;
use support::program::listening;
use support::{SseClient, TestServer, try_call, within};
use tokio::process::{Child, Command};
use tokio::sync::watch;

const JSON: &str = "application/json";

/// Returns the app without a socket or background tasks, so that nobody works on jobs.
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

/// Returns the data of the next event of this name.
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

/// Returns the names of the next events.
async fn names(stream: &mut TestStream, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(stream.next().await.unwrap().event);
    }
    names
}

#[tokio::test]
async fn an_empty_oversized_or_malformed_message_is_refused() {
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

    assert_eq!(say(&app, &message(1, "ann", "hi")).await.status(), 204);
    let mut page = app.sse("/live").await;
    assert_eq!(next(&mut page, "chat").await["text"], "hi");
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
    let mut late = app.sse("/live").await;
    for page in [&mut page, &mut late] {
        for key in [1, 2] {
            let news = next(page, "chat").await;
            assert_eq!(news["key"], message(key, "", "")["key"]);
            assert_eq!(
                (&news["name"], &news["text"]),
                (&json!("ann"), &json!("hello"))
            );
        }
    }
}

/// Returns the message that is longest as JSON.
fn longest(key: u32) -> Value {
    message(key, &"\u{1}".repeat(30), &"\u{1}".repeat(500))
}

#[tokio::test]
async fn a_new_page_gets_the_newest_messages_however_long() {
    let folder = Folder::new("dashboard-fullest");
    let app = idle(&folder);
    for key in 0..70 {
        assert_eq!(say(&app, &longest(key)).await.status(), 204);
    }
    let mut page = app.sse("/live").await;
    for key in 10..70 {
        let news = next(&mut page, "chat").await;
        assert_eq!(news["key"], longest(key)["key"]);
    }
}

#[tokio::test]
async fn a_page_away_too_long_is_reset_to_newest_messages() {
    /// How many messages are kept.
    const KEPT: usize = 1_000;
    let folder = Folder::new("dashboard-away");
    let app = idle(&folder);
    let mut page = app.sse("/live").await;
    say(&app, &message(1, "ann", "before")).await;
    next(&mut page, "chat").await;
    let last = app.sse_service().newest_id().to_string();
    drop(page);
    for n in 0..=KEPT {
        let news = SseEvent::json(n).event("chat");
        app.sse_service().publish("chat", news).await.unwrap();
    }
    let mut page = app.sse("/live").last_event_id(&last).await;
    let reset = next(&mut page, "helios:reset").await;
    assert_eq!(
        (&reset["reason"], &reset["topics"]),
        (&json!("expired"), &json!(["chat"]))
    );
    for n in KEPT - 59..=KEPT {
        assert_eq!(next(&mut page, "chat").await, json!(n));
    }
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
async fn jobs_are_limited_and_a_cancelled_one_makes_room() {
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

    // Jobs that have ended are forgotten, the oldest first.
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
    assert_eq!(names(&mut page, 31).await[1..], ["notifications"; 30]);
    say(&app, &message(1, "ann", "and nothing more")).await;
    assert_eq!(names(&mut page, 1).await, ["chat"]);
}

#[tokio::test]
async fn a_new_page_gets_everything_a_resumed_one_the_rest() {
    let folder = Folder::new("dashboard-resume");
    let app = idle(&folder);
    say(&app, &message(1, "ann", "first")).await;
    let mut page = app.sse("/live").await;
    let new = ["helios:ready", "jobs:all", "helios:ready"];
    assert_eq!(names(&mut page, 3).await, new);
    let last = page.next().await.unwrap();
    assert_eq!(
        (&*last.event, data(&last)["text"].as_str()),
        ("chat", Some("first"))
    );
    drop(page);

    say(&app, &message(2, "ann", "missed")).await;
    app.post("/jobs").json(&json!({ "below": 1_000 })).await;
    let mut page = app.sse("/live").last_event_id(&last.id).await;
    say(&app, &message(3, "ann", "live")).await;
    let ready = page.next().await.unwrap();
    assert_eq!(data(&ready)["resumed"], true);
    let seen = names(&mut page, 4).await;
    assert_eq!(seen, ["chat", "jobs", "caught-up", "chat"]);
}

async fn serve(folder: &Folder) -> TestServer {
    TestServer::start(dashboard::lasting(&folder.0).unwrap()).await
}

/// Returns the progress of job 1 that a page sees, until it is at least this far.
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

/// The program, which can be killed.
struct Program {
    addr: SocketAddr,
    child: Child,
}

impl Program {
    async fn start(folder: &Folder, port: u16) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_helios-example-dashboard"));
        program.arg(&folder.0);
        let (child, addr) = listening(program, port).await;
        Self { addr, child }
    }
}

/// Everything that a page has received, over all of its connections.
#[derive(Default)]
struct Page {
    last: String,
    texts: Vec<String>,
    /// The progress of the job.
    percents: Vec<u64>,
    connections: usize,
}

impl Page {
    /// Follows, as an `EventSource` does, until it has seen the last message and the end of the job.
    async fn follow(mut self, server: SocketAddr, last: &str) -> Self {
        while self.texts.last().is_none_or(|text| text != last)
            || self.percents.last() != Some(&100)
        {
            let id = self.last.clone();
            let id = [("last-event-id", &*id)];
            let headers = if self.last.is_empty() { &[][..] } else { &id };
            match try_call(server, Method::GET, "/live", headers, "").await {
                Ok(response) => self.read(SseClient::of(response), last).await,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
        self
    }

    async fn read(&mut self, mut stream: SseClient, last: &str) {
        self.connections += 1;
        let mut is_first = !self.last.is_empty();
        while let Some(event) = stream.next().await {
            if std::mem::take(&mut is_first) {
                assert_eq!(
                    (&*event.event, &data(&event)["resumed"]),
                    ("helios:ready", &json!(true))
                );
            }
            self.take(&event);
            let is_told = self.texts.last().is_some_and(|text| text == last);
            if is_told && self.percents.last() == Some(&100) {
                return;
            }
        }
    }

    fn take(&mut self, event: &DecodedEvent) {
        match &*event.event {
            "helios:reset" => panic!("{event:?}"),
            "chat" => self
                .texts
                .push(data(event)["text"].as_str().unwrap().to_owned()),
            "jobs" => self.percents.push(data(event)["percent"].as_u64().unwrap()),
            _ => {}
        }
        if event.has_own_id && !event.event.starts_with("helios:") {
            let is_new = |last: EventId| {
                let id: EventId = event.id.parse().unwrap();
                id.is_after(last) == Some(true)
            };
            assert!(
                self.last.parse().map_or(true, is_new),
                "{event:?} after {}",
                self.last
            );
        }
        self.last.clone_from(&event.id);
    }
}

/// Publishes one number after the other, and retries until the server has accepted each.
async fn count(server: SocketAddr, until: u32, said: watch::Sender<u32>) {
    for n in 1..=until {
        let text = message(n, "cy", &n.to_string()).to_string();
        let say = async || {
            let headers = [("content-type", JSON)];
            let said = try_call(server, Method::POST, "/chat", &headers, text.clone()).await;
            said.is_ok_and(|answer| answer.status() == 204)
        };
        while !say().await {
            sleep(Duration::from_millis(5)).await;
        }
        said.send_replace(n);
    }
}

#[tokio::test]
async fn repeated_kills_reset_no_page_and_lose_no_event() {
    const KILLS: u32 = 5;
    const PAGES: usize = 8;
    const EACH: u32 = 60;
    let folder = Folder::new("dashboard-killed");
    let mut program = Program::start(&folder, 0).await;
    let addr = program.addr;
    let last = (EACH * (KILLS + 1)).to_string();
    let last: &'static str = last.leak();
    let mut pages = Vec::new();
    for _ in 0..PAGES {
        pages.push(tokio::spawn(Page::default().follow(addr, last)));
    }
    let headers = [("content-type", JSON)];
    let job = try_call(addr, Method::POST, "/jobs", &headers, r#"{"below":1000}"#).await;
    assert_eq!(job.unwrap().status(), 201);
    let (said, mut so_far) = watch::channel(0);
    let counting = tokio::spawn(count(addr, EACH * (KILLS + 1), said));
    for kill in 1..=KILLS {
        let wait = so_far.wait_for(|said| *said >= kill * EACH);
        within(wait).await.unwrap();
        program.child.kill().await.unwrap();
        program = Program::start(&folder, addr.port()).await;
        assert_eq!(program.addr, addr);
    }
    counting.await.unwrap();
    let all: Vec<_> = (1..=EACH * (KILLS + 1)).map(|n| n.to_string()).collect();
    for page in pages {
        let page = within(page).await.unwrap();
        assert_eq!(page.texts, all);
        assert!(page.percents.is_sorted(), "{:?}", page.percents);
        assert!(page.connections > 1);
    }
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
    assert_eq!(had.len(), 14, "{had:?}");
    for nothing in ["/page/main.rs", "/page/..%2fmain.rs", "/page/"] {
        assert_eq!(app.get(nothing).await.status(), 404, "{nothing}");
    }
}

/// Returns the files that a file of the page loads.
fn parts(text: &str) -> Vec<String> {
    let quoted = text.split(['"', '\'']);
    let local = quoted.filter_map(|word| match word.strip_prefix("./") {
        Some(name) if name.ends_with(".js") => Some(format!("/page/{name}")),
        _ => word.starts_with("/page/").then(|| word.to_owned()),
    });
    local.collect()
}
