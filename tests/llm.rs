//! The gateway of `examples/llm`: OpenAI's streams and errors, answers that many pages read, and resumable chats.
#![allow(clippy::unwrap_used)]

#[path = "../examples/llm/main.rs"]
#[allow(dead_code)]
mod llm;

use std::sync::Mutex;

use helios::prelude::*;
use helios::sse::DecodedEvent;
use helios::testing::{TestApp, TestRequest, TestStream};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method};
use llm::upstream::{Prompt, Tokens, Upstream};
use serde_json::Value;
use support::within;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

type Token = Result<String, HttpError>;

/// A model that sends the test's script to the first request.
struct Scripted(Mutex<Option<mpsc::UnboundedReceiver<Token>>>);

impl Upstream for Scripted {
    fn models(&self) -> &[&str] {
        &["m"]
    }

    fn generate(&self, _: Prompt) -> Tokens {
        let script = self.0.lock().unwrap().take().unwrap();
        Box::pin(UnboundedReceiverStream::new(script))
    }
}

/// The sending side of a script. When nobody receives it any more, the upstream has stopped, and `closed` completes.
struct Script(mpsc::UnboundedSender<Token>);

impl Script {
    fn say(&self, token: &str) {
        self.0.send(Ok(token.to_owned())).unwrap();
    }

    fn fail(&self, error: HttpError) {
        self.0.send(Err(error)).unwrap();
    }

    async fn stopped(&self) {
        within(self.0.closed()).await;
    }
}

fn scripted() -> (TestApp, Script) {
    let (script, tokens) = mpsc::unbounded_channel();
    let upstream = Arc::new(Scripted(Mutex::new(Some(tokens))));
    let app = TestApp::builder(llm::app()).override_provider::<dyn Upstream>(upstream);
    (app.start().unwrap(), Script(script))
}

fn ask(more: &Value) -> Value {
    let mut ask = json!({ "model": "m", "messages": [{ "role": "user", "content": "who is it" }] });
    let more = more.as_object().unwrap().clone();
    ask.as_object_mut().unwrap().extend(more);
    ask
}

fn complete(app: &TestApp, ask: &Value) -> TestRequest {
    let request = app.post("/v1/chat/completions").json(ask);
    request.header("authorization", "Bearer sk-sun")
}

async fn stream(app: &TestApp, more: &Value) -> TestStream {
    let mut ask = ask(more);
    ask["stream"] = json!(true);
    let request = app.sse("/v1/chat/completions").post_json(&ask);
    request.header("authorization", "Bearer sk-sun").await
}

fn chunk(event: &DecodedEvent) -> Value {
    assert_eq!((event.event.as_str(), event.id.as_str()), ("message", ""));
    event.json().unwrap()
}

fn busy() -> HttpError {
    HttpError::too_many_requests("busy").with_header(RETRY_AFTER, HeaderValue::from_static("7"))
}

/// Returns how many generations are running, as a page sees it.
async fn running(app: &TestApp) -> String {
    app.sse("/generations").await.next().await.unwrap().data
}

#[tokio::test]
async fn a_stream_is_openais_chunks_and_done_and_nothing_else() {
    let (app, script) = scripted();
    script.say("it ");
    let mut answer = stream(&app, &json!({})).await;
    let first = chunk(&answer.next().await.unwrap());
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["model"], "m");
    let delta = json!({ "role": "assistant", "content": "it " });
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": null });
    assert_eq!(first["choices"], json!([choice]));

    script.say("rains");
    let second = chunk(&answer.next().await.unwrap());
    assert_eq!(second["id"], first["id"]);
    assert_eq!(second["choices"][0]["delta"], json!({ "content": "rains" }));

    drop(script);
    let rest = answer.rest().await;
    let last = chunk(&rest[0]);
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!((rest[1].data.as_str(), rest.len()), ("[DONE]", 2));
    assert!(!answer.broke_off());
    let written = String::from_utf8(answer.written().to_vec()).unwrap();
    let mut lines = written.lines();
    assert!(lines.all(|line| ["", ":"].contains(&line) || line.starts_with("data: ")));
}

#[tokio::test]
async fn usage_is_the_last_chunk_where_it_is_asked_for() {
    let (app, script) = scripted();
    script.say("it ");
    script.say("rains");
    drop(script);
    let options = json!({ "stream_options": { "include_usage": true } });
    let events = stream(&app, &options).await.rest().await;
    let usage = chunk(&events[events.len() - 2]);
    assert_eq!(usage["choices"], json!([]));
    let counted = json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 });
    assert_eq!(usage["usage"], counted);
}

#[tokio::test]
async fn without_stream_the_answer_is_one_json() {
    let (app, script) = scripted();
    script.say("it ");
    script.say("rains");
    drop(script);
    let whole: Value = complete(&app, &ask(&json!({}))).await.json();
    let message = json!({ "role": "assistant", "content": "it rains" });
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"][0]["message"], message);
    assert_eq!(whole["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn an_answer_at_its_limit_reports_it_and_stops_upstream() {
    let (app, script) = scripted();
    script.say("it ");
    script.say("rains");
    let events = stream(&app, &json!({ "max_tokens": 1 })).await.rest().await;
    assert_eq!(chunk(&events[1])["choices"][0]["finish_reason"], "length");
    assert_eq!(events.len(), 3);
    script.stopped().await;
}

#[tokio::test]
async fn an_early_error_is_a_status_with_openais_error() {
    for streamed in [true, false] {
        let (app, script) = scripted();
        script.fail(busy());
        let refused = complete(&app, &ask(&json!({ "stream": streamed }))).await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.header("retry-after"), "7");
        let error = json!({ "message": "busy", "type": "requests", "param": null, "code": "rate_limit_exceeded" });
        assert_eq!(refused.json::<Value>(), json!({ "error": error }));
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_a_slow_refusal() {
    let (app, script) = scripted();
    let refuse = async {
        sleep(Duration::from_secs(19)).await;
        script.fail(busy());
    };
    let body = ask(&json!({ "stream": true }));
    let (refused, ()) = tokio::join!(complete(&app, &body), refuse);
    assert_eq!(refused.status(), 429);
}

#[tokio::test]
async fn an_error_in_the_middle_is_a_chunk_without_done() {
    let (app, script) = scripted();
    script.say("it ");
    script.fail(HttpError::internal("the password is hunter2"));
    let events = stream(&app, &json!({})).await.rest().await;
    assert_eq!(events.len(), 2);
    let error = json!({ "message": "Internal Server Error", "type": "server_error", "param": null, "code": null });
    assert_eq!(chunk(&events[1]), json!({ "error": error }));
    script.stopped().await;
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_upstream() {
    let (app, script) = scripted();
    script.say("it ");
    let mut answer = stream(&app, &json!({})).await;
    answer.next().await.unwrap();
    assert_eq!(running(&app).await, "1");
    drop(answer);
    script.stopped().await;
    assert_eq!(running(&app).await, "0");
}

#[tokio::test]
async fn what_is_refused_is_refused_with_openais_error() {
    let (app, _script) = scripted();
    let message = |content: &str| json!([{ "role": "user", "content": content }]);
    let unknown = complete(&app, &ask(&json!({ "model": "x" }))).await;
    let empty = complete(&app, &ask(&json!({ "messages": [] }))).await;
    let long = complete(
        &app,
        &ask(&json!({ "messages": message(&"x".repeat(20_001)) })),
    )
    .await;
    let flood = complete(
        &app,
        &ask(&json!({ "messages": message(&"x".repeat(70_000)) })),
    )
    .await;
    let nobody = app
        .post("/v1/chat/completions")
        .json(&ask(&json!({})))
        .await;
    let refused = [
        (unknown, 404),
        (empty, 422),
        (long, 422),
        (flood, 413),
        (nobody, 401),
    ];
    for (response, status) in refused {
        assert_eq!(response.status(), status);
        let error = &response.json::<Value>()["error"];
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn the_models_are_listed_for_those_with_a_key() {
    let (app, _script) = scripted();
    let listed = app
        .get("/v1/models")
        .header("authorization", "Bearer sk-sun")
        .await;
    assert_eq!(listed.json::<Value>()["data"][0]["id"], "m");
    assert_eq!(app.get("/v1/models").await.status(), 401);
}

/// Asks as the page does, and returns the path of the answer.
async fn question(app: &TestApp) -> String {
    let question = json!({ "model": "m", "text": "who is it" });
    let created = app.post("/answers").json(&question).await;
    assert_eq!(created.status(), 201);
    format!(
        "/answers/{}",
        created.json::<Value>()["id"].as_str().unwrap()
    )
}

/// Returns the words up to this token.
async fn read_to(page: &mut TestStream, token: &str) -> String {
    let mut words = String::new();
    while !words.ends_with(token) {
        let event = page.next().await.unwrap();
        if event.event == "token" {
            words += event.json::<Value>().unwrap()["text"].as_str().unwrap();
        }
    }
    words
}

async fn over(page: &mut TestStream) -> String {
    let rest = page.rest().await;
    assert_eq!(rest.last().unwrap().event, "helios:end");
    let over = &rest[rest.len() - 2];
    assert_eq!(over.event, "over");
    over.data.clone()
}

#[tokio::test]
async fn two_pages_and_a_reloaded_one_read_the_whole_answer() {
    let (app, script) = scripted();
    let path = question(&app).await;
    let mut first = app.sse(&path).await;
    script.say("it ");
    assert_eq!(read_to(&mut first, "it ").await, "it ");
    drop(first);
    script.say("rains ");
    let (mut reloaded, mut second) = (app.sse(&path).await, app.sse(&path).await);
    script.say("today");
    drop(script);
    for page in [&mut reloaded, &mut second] {
        assert_eq!(read_to(page, "today").await, "it rains today");
        assert_eq!(over(page).await, r#"{"how":"finished"}"#);
    }
    let mut late = app.sse(&path).await;
    assert_eq!(late.next().await.unwrap().event, "helios:ready");
    assert_eq!(late.next().await.unwrap().data, r#"{"text":"who is it"}"#);
    assert_eq!(read_to(&mut late, "today").await, "it rains today");
}

#[tokio::test]
async fn a_stop_stops_the_upstream_and_every_page_is_told() {
    let (app, script) = scripted();
    let path = question(&app).await;
    let (mut first, mut second) = (app.sse(&path).await, app.sse(&path).await);
    script.say("it ");
    for page in [&mut first, &mut second] {
        read_to(page, "it ").await;
    }
    assert_eq!(running(&app).await, "1");
    assert_eq!(app.request(Method::DELETE, &path).await.status(), 204);
    for page in [&mut first, &mut second] {
        assert_eq!(over(page).await, r#"{"how":"stopped"}"#);
    }
    script.stopped().await;
    assert_eq!(running(&app).await, "0");
}

#[tokio::test]
async fn a_page_is_told_that_the_answer_has_failed() {
    let (app, script) = scripted();
    let path = question(&app).await;
    let mut page = app.sse(&path).await;
    script.say("it ");
    script.fail(busy());
    assert_eq!(over(&mut page).await, r#"{"how":"failed"}"#);
}

#[tokio::test]
async fn an_answer_that_nobody_has_asked_for_is_not_found() {
    let (app, _script) = scripted();
    let path = "/answers/00000000-0000-0000-0000-000000000001";
    assert_eq!(app.get(path).await.status(), 404);
    assert_eq!(app.request(Method::DELETE, path).await.status(), 404);
}

/// Asks as the AI SDK does.
async fn chat(app: &TestApp, model: &str) -> TestStream {
    let parts = json!([{ "type": "text", "text": "who is it" }, { "type": "step-start" }]);
    let message = json!({ "id": "1", "role": "user", "parts": parts });
    let ask =
        json!({ "id": "c", "model": model, "messages": [message], "trigger": "submit-message" });
    app.sse("/chats").post_json(&ask).await
}

/// Returns the types of the chunks up to the end, with the text of those that have one.
async fn chunks(answer: &mut TestStream) -> Vec<String> {
    let rest = answer.rest().await;
    let (done, chunks) = rest.split_last().unwrap();
    assert_eq!(done.data, "[DONE]");
    let told = |event: &DecodedEvent| {
        let chunk: Value = event.json().unwrap();
        let text = chunk.get("delta").or(chunk.get("errorText"));
        let text = text.map_or("", |text| text.as_str().unwrap());
        format!("{} {text}", chunk["type"].as_str().unwrap())
    };
    chunks.iter().map(told).collect()
}

#[tokio::test]
async fn a_reloaded_chat_reads_its_answer_from_the_start() {
    let (app, script) = scripted();
    let mut page = chat(&app, "m").await;
    assert_eq!(page.headers()["x-vercel-ai-ui-message-stream"], "v1");
    let start = page.next().await.unwrap();
    assert_eq!(start.json::<Value>().unwrap()["type"], "start");
    drop(page);
    script.say("it ");
    let mut reloaded = app.sse("/chats/c/stream").await;
    assert_eq!(reloaded.headers()["x-vercel-ai-ui-message-stream"], "v1");
    assert_eq!(reloaded.next().await.unwrap().data, start.data);
    script.say("rains");
    drop(script);
    let rest = [
        "text-start ",
        "text-delta it ",
        "text-delta rains",
        "text-end ",
        "finish ",
    ];
    assert_eq!(chunks(&mut reloaded).await, rest);
    assert_eq!(app.get("/chats/c/stream").await.status(), 204);
}

#[tokio::test]
async fn a_chat_without_its_page_continues_until_stopped() {
    let (app, script) = scripted();
    let mut page = chat(&app, "m").await;
    page.next().await.unwrap();
    drop(page);
    assert_eq!(running(&app).await, "1");
    let mut reloaded = app.sse("/chats/c/stream").await;
    let stopped = app.request(Method::DELETE, "/chats/c").await;
    assert_eq!(stopped.status(), 204);
    let told = chunks(&mut reloaded).await;
    assert_eq!(told, ["start ", "text-start ", "text-end ", "abort "]);
    script.stopped().await;
    assert_eq!(running(&app).await, "0");
}

#[tokio::test]
async fn a_failed_answer_reaches_the_chat_without_secrets() {
    let (app, script) = scripted();
    let mut page = chat(&app, "m").await;
    script.fail(HttpError::internal("the password is hunter2"));
    let told = chunks(&mut page).await;
    assert_eq!(told[3], "error 500 Internal Server Error");
}

#[tokio::test]
async fn a_new_question_stops_the_answer_before_it() {
    let app = TestApp::start(llm::app()).unwrap();
    let mut before = chat(&app, "sun-slow").await;
    let _page = chat(&app, "sun-slow").await;
    let told = within(chunks(&mut before)).await;
    assert_eq!(told.last().unwrap(), "abort ");
    assert_eq!(running(&app).await, "1");
    let reloaded = app.sse("/chats/c/stream").await.next().await.unwrap();
    assert_eq!(reloaded.json::<Value>().unwrap()["type"], "start");
}

#[tokio::test(start_paused = true)]
async fn the_fake_upstream_refuses_fails_and_answers() {
    let app = TestApp::start(llm::app()).unwrap();
    let streamed = |model: &str| ask(&json!({ "model": model, "stream": true }));
    assert_eq!(complete(&app, &streamed("sun-busy")).await.status(), 429);
    let again = stream(&app, &json!({ "model": "sun-busy" }))
        .await
        .rest()
        .await;
    assert_eq!(again.last().unwrap().data, "[DONE]");
    let broken = stream(&app, &json!({ "model": "sun-broken" }))
        .await
        .rest()
        .await;
    assert_eq!(chunk(&broken[5])["error"]["type"], "server_error");
}
