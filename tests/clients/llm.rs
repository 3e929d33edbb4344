//! Clients of language models: what each of them does otherwise, and what happens to all of them.

use helios::prelude::*;
use http::HeaderValue;
use http::header::RETRY_AFTER;

use super::gateway::Gateway;
use super::kit::{self, Kit};
use super::seen::{Event, Seen, patiently};

/// A client, and what is special about it.
pub(crate) struct LlmClient {
    pub(crate) name: &'static str,
    /// A command in the folder of a kit, which takes the URL and what to do.
    program: (&'static Kit, &'static [&'static str]),
    /// What it tells behind the last token.
    end: &'static str,
    /// How often it asks where the model refuses, and the error then.
    asks: usize,
    refused: &'static str,
    /// What an error behind the first token is.
    failed: &'static str,
    /// What a connection is that breaks off.
    broken_off: &'static str,
    /// What an answer is that ends without an end; else it is a complete one.
    ended: Option<&'static str>,
    /// A loop that is left stops the model; else the connection stays.
    leaving_stops: bool,
    /// A new page gets all of the answer that is being written.
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
    /// The beginning of its row in the guide.
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

    /// Its tokens, and then an error.
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

    /// Each token is there before the next is said.
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

    /// It is told to stop at the first token.
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

    /// Its loop ends at the first token.
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
        model.fail(HttpError::new(StatusCode::BAD_GATEWAY, "the model is gone"));
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

    /// The connection ends as if all were well, but the answer does not.
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

    /// The answer that runs may finish.
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

    /// Neither `[DONE]` nor a reason to finish, nor an error.
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

    /// A page that comes back shows the answer from its start, and what is still to come. Later there is nothing to resume.
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

    /// A page that stays shows the answer anew.
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

/// What a model says that has no room.
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
