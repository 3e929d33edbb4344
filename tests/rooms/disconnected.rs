//! A user who is disconnected while a stream of theirs is being opened.

use std::sync::Arc;

use helios::prelude::*;
use helios::testing::TestApp;
use tokio::sync::Semaphore;

/// A place at which a request waits for the test.
struct Gate {
    reached: Semaphore,
    opened: Semaphore,
}

impl Gate {
    async fn wait(&self) {
        self.reached.add_permits(1);
        self.opened.acquire().await.unwrap().forget();
    }
}

#[derive(Injectable)]
struct SlowGuard {
    gate: Arc<Gate>,
}

impl Guard for SlowGuard {
    async fn check(&self, request: &mut RequestContext) -> Result<(), HttpError> {
        if request.route() == "/guarded" {
            self.gate.wait().await;
        }
        Ok(())
    }
}

#[derive(Injectable)]
struct Rooms {
    sse: SseService,
    gate: Arc<Gate>,
}

#[controller(guards = [SlowGuard])]
impl Rooms {
    #[sse("guarded")]
    async fn guarded(&self) -> Result<SseStream, SseError> {
        self.sse.subscribe(["x"]).await
    }

    #[sse("slow")]
    async fn slow(&self) -> Result<SseStream, SseError> {
        self.gate.wait().await;
        self.sse.subscribe(["x"]).await
    }

    #[on_sse_close]
    fn closed(&self, _: &SseStream, _: CloseReason) {
        self.gate.reached.add_permits(1);
    }
}

#[server(controllers = [Rooms], sse(enabled = true))]
struct App;

/// Opens a stream as ann, and calls `meanwhile` while the request waits. Returns the name of its first event.
async fn opened(path: &str, meanwhile: impl AsyncFnOnce(SseService)) -> String {
    let gate = Arc::new(Gate {
        reached: Semaphore::new(0),
        opened: Semaphore::new(0),
    });
    let app = Helios::new(App).provide_as(Arc::clone(&gate));
    let app = app.sse_options(|sse| {
        sse.connections.user = Some(Arc::new(|request| request.cookie("user")));
    });
    let app = TestApp::start(app).unwrap();
    let open = async {
        let mut stream = app.sse(path).header("cookie", "user=ann").await;
        stream.next().await.unwrap().event
    };
    let act = async {
        gate.reached.acquire().await.unwrap().forget();
        meanwhile(app.sse_service().clone()).await;
        gate.opened.add_permits(1);
    };
    tokio::join!(open, act).0
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_passed_its_guards_before_is_not_let_in() {
    for path in ["/guarded", "/slow"] {
        let first = opened(path, async |sse| sse.disconnect_user("ann").await.unwrap()).await;
        assert_eq!(first, "helios:overloaded", "{path}");
        let first = opened(path, async |sse| sse.disconnect_user("bob").await.unwrap()).await;
        assert_eq!(first, "helios:ready", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_more_than_are_remembered_everybody_has_to_ask_again() {
    let many = async |sse: SseService| {
        for n in 0..5_000 {
            sse.disconnect_user(n.to_string()).await.unwrap();
        }
    };
    assert_eq!(opened("/slow", many).await, "helios:overloaded");
}
