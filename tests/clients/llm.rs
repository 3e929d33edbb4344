//! Clients of language models, and the scenarios that all of them go through.

use helios::prelude::*;
use http::HeaderValue;
use http::header::RETRY_AFTER;

use super::gateway::Gateway;
use super::kit::{self, Kit};
use super::seen::{Event, Seen, patiently};

/// A client, and its peculiarities.
pub(crate) struct LlmClient {
    pub(crate) name: &'static str,
    /// A command in the folder of a kit. Its arguments are the URL and the action.
    program: (&'static Kit, &'static [&'static str]),
    /// The report after the last token.
    end: &'static str,
    /// How often it asks if the model refuses, and the error that follows.
    asks: usize,
    refused: &'static str,
    /// The report for an error after the first token.
    failed: &'static str,
    /// The report for a connection that breaks off.
    broken_off: &'static str,
    /// The report for an answer that stops without an end. `None` means that the client accepts the answer as complete.
    ended: Option<&'static str>,
    /// Whether leaving the loop stops the model. Otherwise the connection stays open.
    leaving_stops: bool,
    /// Whether a new page gets all of the answer in progress.
    resumes: bool,
}

pub(crate) const NPM_OPENAI: LlmClient = LlmClient {
    name: "npm openai",
    program: (&kit::LLM_NODE, &["node", "openai.mjs"]),
    end: "usage 3",
    asks: 3,
    refused: "RateLimitError",
    failed: "APIError",
    broken_off: "TypeError",
    ended: None,
    leaving_stops: true,
    resumes: false,
};

pub(crate) const PYTHON_OPENAI: LlmClient = LlmClient {
    name: "Python openai",
    program: (&kit::LLM_PYTHON, &["./bin/python", "with_openai.py"]),
    broken_off: "APIConnectionError",
    leaving_stops: false,
    ..NPM_OPENAI
};

pub(crate) const STREAM_TEXT: LlmClient = LlmClient {
    name: "npm ai, `streamText`",
    program: (&kit::LLM_NODE, &["node", "stream-text.mjs"]),
    refused: "RetryError",
    failed: "StreamProviderError",
    broken_off: "APICallError",
    ended: Some("InvalidResponseDataError"),
    leaving_stops: false,
    ..NPM_OPENAI
};

pub(crate) const CHAT: LlmClient = LlmClient {
    name: "npm ai, a chat",
    program: (&kit::LLM_NODE, &["node", "chat.mjs"]),
    end: "finish stop",
    asks: 1,
    refused: "Error",
    failed: "Error",
    broken_off: "TypeError",
    ended: None,
    leaving_stops: false,
    resumes: true,
};

pub(crate) const ALL: [&LlmClient; 4] = [&NPM_OPENAI, &PYTHON_OPENAI, &STREAM_TEXT, &CHAT];

/// A client in the middle of a scenario.
struct Trial<'a> {
    client: &'a LlmClient,
    gateway: Gateway,
}

const TOKENS: [&str; 3] = ["it ", "rains ", "today"];

/// Runs all scenarios at once.
pub(crate) async fn all(client: &LlmClient) {
    let start = || Trial::start(client);
    let scenarios = async {
        tokio::join!(
            async { start().await.streamed().await },
            async { start().await.stopped().await },
            async { start().await.left().await },
            async { start().await.failed().await },
            async { start().await.answered_when_it_asks_again().await },
            async { start().await.refused().await },
            async { start().await.cut().await },
            async { start().await.ended_in_the_middle().await },
            async { start().await.shut_down().await },
            async { Trial::careless(client).await.ended_without_an_end().await },
            async { start().await.reloaded().await },
            async { start().await.comes_back().await },
        );
    };
    Box::pin(scenarios).await;
}

impl LlmClient {
    /// Returns the beginning of its row in the guide.
    pub(crate) fn row(&self) -> String {
        let refused = match self.asks {
            1 => format!("`{}`", self.refused),
            3 => format!("asks again, twice; then `{}`", self.refused),
            asks => panic!("{asks} times"),
        };
        let ended = self.ended.map(|error| format!("`{error}`"));
        let columns = [
            self.name,
            if self.leaving_stops { "yes" } else { "no" },
            &refused,
            &format!("`{}`", self.failed),
            &format!("`{}`", self.broken_off),
            ended.as_deref().unwrap_or("a complete answer"),
            if self.resumes { "yes" } else { "no" },
        ];
        format!("| {} |", columns.join(" | "))
    }

    fn told_all(&self, seen: &Seen) {
        let mut all = TOKENS.map(|token| format!("token {token}")).to_vec();
        all.push(self.end.to_owned());
        assert_eq!(told(seen), all, "{}", self.name);
    }

    /// Checks for these tokens, followed by an error.
    fn told_an_error(&self, seen: &Seen, tokens: &[&str], error: &str) {
        let told = told(seen);
        let (last, before) = told.split_last().expect("an error");
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| format!("token {token}"))
            .collect();
        assert_eq!(before, tokens, "{}", self.name);
        let is_it = last.starts_with(&format!("error {error}: "));
        assert!(is_it, "{}: {last}", self.name);
    }
}

impl<'a> Trial<'a> {
    async fn start(client: &'a LlmClient) -> Self {
        let gateway = Gateway::start().await;
        Self { client, gateway }
    }

    async fn careless(client: &'a LlmClient) -> Self {
        let gateway = Gateway::careless().await;
        Self { client, gateway }
    }

    /// Runs the program, through the wire.
    async fn run(&self, what: &str) -> Seen {
        let (kit, command) = self.client.program;
        let mut program = kit::program(command, &kit.ready().await);
        program
            .arg(format!("http://{}", self.gateway.wire.door))
            .arg(what);
        Seen::by(program)
    }

    /// The client has each token before the model sends the next.
    async fn streamed(mut self) {
        let seen = self.run("read").await;
        let model = self.gateway.asked().await;
        for (count, token) in (1..).zip(TOKENS) {
            model.say(token);
            seen.wait_for("token", count).await;
        }
        drop(model);
        seen.wait_until_closed().await;
        self.client.told_all(&seen);
    }

    /// The client stops the answer at the first token.
    async fn stopped(mut self) {
        let mut running = self.gateway.running().await;
        let seen = self.run("stop").await;
        let model = self.gateway.asked().await;
        running.wait_for(1).await;
        model.say("it ");
        running.wait_for(0).await;
        seen.wait_until_closed().await;
        assert_eq!(seen.named("token").len(), 1, "{}", self.client.name);
    }

    /// The client leaves its loop at the first token.
    async fn left(mut self) {
        let mut running = self.gateway.running().await;
        let seen = self.run("leave").await;
        let model = self.gateway.asked().await;
        running.wait_for(1).await;
        model.say("it ");
        seen.wait_until_closed().await;
        if self.client.leaving_stops {
            running.wait_for(0).await;
        }
        assert_eq!(model.is_stopped(), self.client.leaving_stops);
    }

    async fn failed(mut self) {
        let seen = self.run("read").await;
        let model = self.gateway.asked().await;
        model.say("it ");
        seen.wait_for("token", 1).await;
        model.fail(HttpError::new(
            StatusCode::BAD_GATEWAY,
            "the model has failed",
        ));
        seen.wait_until_closed().await;
        self.client
            .told_an_error(&seen, &["it "], self.client.failed);
        let message = &seen.named("error")[0].data;
        assert!(message.contains("Bad Gateway"), "{message}");
    }

    async fn answered_when_it_asks_again(mut self) {
        let seen = self.run("read").await;
        for _ in 1..self.client.asks {
            self.gateway.asked().await.fail(busy());
        }
        let model = self.gateway.asked().await;
        for token in TOKENS {
            model.say(token);
        }
        drop(model);
        seen.wait_until_closed().await;
        self.client.told_all(&seen);
    }

    async fn refused(mut self) {
        let seen = self.run("read").await;
        for _ in 0..self.client.asks {
            self.gateway.asked().await.fail(busy());
        }
        seen.wait_until_closed().await;
        self.client.told_an_error(&seen, &[], self.client.refused);
        assert!(self.gateway.asks_no_more(), "{}", self.client.name);
    }

    /// The connection is reset.
    async fn cut(mut self) {
        let seen = self.run("read").await;
        let model = self.gateway.asked().await;
        model.say("it ");
        seen.wait_for("token", 1).await;
        self.gateway.wire.cut();
        seen.wait_until_closed().await;
        self.client
            .told_an_error(&seen, &["it "], self.client.broken_off);
    }

    /// The connection ends cleanly, but the answer is incomplete.
    async fn ended_in_the_middle(mut self) {
        let seen = self.run("read").await;
        let model = self.gateway.asked().await;
        model.say("it ");
        seen.wait_for("token", 1).await;
        self.gateway.wire.end_behind("rains");
        model.say("rains ");
        seen.wait_until_closed().await;
        self.client
            .told_an_error(&seen, &["it "], self.client.broken_off);
    }

    /// An answer in progress may finish during a shutdown.
    async fn shut_down(mut self) {
        let seen = self.run("read").await;
        let model = self.gateway.asked().await;
        model.say(TOKENS[0]);
        seen.wait_for("token", 1).await;
        let Self { client, gateway } = self;
        let (_wire, stopped) = gateway.shut_down().await;
        for (count, token) in (2..).zip(&TOKENS[1..]) {
            model.say(token);
            seen.wait_for("token", count).await;
        }
        drop(model);
        seen.wait_until_closed().await;
        stopped.await;
        client.told_all(&seen);
    }

    /// The answer stops without `[DONE]`, a reason to finish, or an error.
    async fn ended_without_an_end(self) {
        let seen = self.run("read").await;
        seen.wait_until_closed().await;
        match self.client.ended {
            Some(error) => self.client.told_an_error(&seen, &["it "], error),
            None => {
                assert_eq!(told(&seen)[0], "token it ");
                assert_eq!(seen.named("error"), [], "{}", self.client.name);
            }
        }
    }

    /// A reloaded page gets the answer from its start, and the rest live. After the end there is nothing to resume.
    async fn reloaded(mut self) {
        if !self.client.resumes {
            return;
        }
        let page = self.run("read").await;
        let model = self.gateway.asked().await;
        model.say("it ");
        page.wait_for("token", 1).await;
        drop(page);
        model.say("rains ");
        let page = self.run("resume").await;
        let caught_up = patiently(|| text(&page) == "it rains ").await;
        assert!(caught_up, "{:?}", told(&page));
        model.say("today");
        drop(model);
        page.wait_until_closed().await;
        assert_eq!(text(&page), "it rains today");
        assert_eq!(told(&page).last().unwrap(), self.client.end);
        let late = self.run("resume").await;
        late.wait_until_closed().await;
        assert_eq!(told(&late), [""; 0]);
        assert!(self.gateway.asks_no_more());
    }

    /// A page that stays open gets the answer again from its start.
    async fn comes_back(mut self) {
        if !self.client.resumes {
            return;
        }
        let page = self.run("return").await;
        let model = self.gateway.asked().await;
        model.say(TOKENS[0]);
        page.wait_for("token", 1).await;
        self.gateway.wire.cut();
        page.wait_for("error", 1).await;
        self.gateway.wire.mend();
        page.wait_for("token", 2).await;
        for token in &TOKENS[1..] {
            model.say(token);
        }
        drop(model);
        page.wait_until_closed().await;
        let told = told(&page);
        let expected = [
            "anew ",
            "token it ",
            "token rains ",
            "token today",
            self.client.end,
        ];
        assert_eq!(told[2..], expected, "{}", self.client.name);
    }
}

/// The error of a model without capacity.
fn busy() -> HttpError {
    let busy = HttpError::too_many_requests("the model is busy");
    busy.with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

fn told(seen: &Seen) -> Vec<String> {
    let events = seen.events().into_iter();
    events
        .map(|Event { name, data, .. }| format!("{name} {data}"))
        .collect()
}

fn text(seen: &Seen) -> String {
    let tokens = seen.named("token").into_iter();
    tokens.map(|token| token.data).collect()
}
