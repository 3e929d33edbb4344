//! The gateway of `examples/llm`, with a model whose part the test plays.

use helios::prelude::*;
use support::{SseClient, TestServer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::seen::PATIENCE;
use super::wire::Wire;
use example::upstream::{Prompt, Tokens, Upstream};

#[path = "../../examples/llm/main.rs"]
#[allow(dead_code)]
mod example;

type Token = Result<String, HttpError>;

pub(crate) struct Gateway {
    pub(crate) wire: Wire,
    server: TestServer,
    generations: mpsc::UnboundedReceiver<Generation>,
}

/// An answer in progress. Dropping it ends the answer.
pub(crate) struct Generation(mpsc::UnboundedSender<Token>);

struct Model(mpsc::UnboundedSender<Generation>);

impl Upstream for Model {
    fn models(&self) -> &[&str] {
        &["m"]
    }

    fn generate(&self, _: Prompt) -> Tokens {
        let (says, tokens) = mpsc::unbounded_channel();
        self.0.send(Generation(says)).unwrap();
        Box::pin(UnboundedReceiverStream::new(tokens))
    }
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        let (asked, generations) = mpsc::unbounded_channel();
        let app = example::app().provide_as::<dyn Upstream>(Arc::new(Model(asked)));
        Self::serve(app, generations).await
    }

    /// Starts a gateway whose answers break off, but look complete.
    pub(crate) async fn careless() -> Self {
        let (_, generations) = mpsc::unbounded_channel();
        Self::serve(Helios::new(CarelessApp), generations).await
    }

    async fn serve(app: Helios, generations: mpsc::UnboundedReceiver<Generation>) -> Self {
        let server = TestServer::start(app).await;
        Self {
            wire: Wire::to(server.addr).await,
            server,
            generations,
        }
    }

    /// Waits for the next question.
    pub(crate) async fn asked(&mut self) -> Generation {
        let asked = timeout(PATIENCE, self.generations.recv()).await;
        asked.expect("nobody asks").unwrap()
    }

    pub(crate) fn asks_no_more(&mut self) -> bool {
        self.generations.try_recv().is_err()
    }

    /// Returns a stream of how many generations are running.
    pub(crate) async fn running(&self) -> Running {
        Running(self.server.sse("/generations").await)
    }

    /// Shuts down the server but not the wire. The future completes when the server accepts no more connections.
    pub(crate) async fn shut_down(self) -> (Wire, impl Future<Output = ()>) {
        let (wire, addr) = (self.wire, self.server.addr);
        let stopped = tokio::spawn(self.server.stop());
        let closed = async {
            while TcpStream::connect(addr).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, closed).await.expect("it listens");
        (wire, async move { stopped.await.unwrap().unwrap() })
    }
}

impl Generation {
    pub(crate) fn say(&self, token: &str) {
        self.0.send(Ok(token.to_owned())).unwrap();
    }

    pub(crate) fn fail(self, error: HttpError) {
        self.0.send(Err(error)).unwrap();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.is_closed()
    }
}

pub(crate) struct Running(SseClient);

impl Running {
    pub(crate) async fn wait_for(&mut self, count: u64) {
        let counts =
            async { while self.0.next().await.expect("a count").data != count.to_string() {} };
        let counted = timeout(PATIENCE, counts).await;
        assert!(counted.is_ok(), "not {count} run");
    }
}

#[derive(Injectable)]
struct Careless;

#[controller]
impl Careless {
    #[sse("v1/chat/completions", method = "POST")]
    fn complete(&self) -> impl Stream<Item = SseEvent> {
        let delta = json!({ "role": "assistant", "content": "it " });
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": null });
        let object = "chat.completion.chunk";
        let chunk =
            json!({ "id": "1", "object": object, "created": 0, "model": "m", "choices": [choice] });
        stream! {
            yield SseEvent::json(chunk);
        }
    }

    #[sse("chats", method = "POST")]
    fn chat(&self) -> impl Stream<Item = SseEvent> {
        stream! {
            yield SseEvent::json(json!({ "type": "start", "messageId": "1" }));
            yield SseEvent::json(json!({ "type": "text-start", "id": "text" }));
            yield SseEvent::json(json!({ "type": "text-delta", "id": "text", "delta": "it " }));
        }
    }
}

#[server(controllers = [Careless], sse(enabled = true))]
struct CarelessApp;
